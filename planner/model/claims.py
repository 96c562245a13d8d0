"""What a card, a name or a second file claims of a model, held against what was counted and read.

A claim that the words leave open is listed as open: several sizes of a family are not resolved by a guess.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hardware.units import format_count
from planner.model.card import Card, Meaning, Place, StatedContext, StatedParameters
from planner.model.network import Network
from planner.model.weight import Use

_Figure = TypeVar("_Figure", bound=StatedParameters | StatedContext)

_PLACES = list(Place)
_CONTEXT_SLACK = 0.98  # "33K" of 32,768
_STRETCHING = frozenset(("yarn", "linear", "dynamic"))
_SAME_COUNT = 0.001  # two files of one model: buffers and scales aside
_PLAIN_DTYPES = frozenset(("F64", "F32", "F16", "BF16"))
# The names that a quantization goes by in a repository's name or tags, and what its config then says.
_METHODS: dict[str, tuple[str, ...]] = {
    "FP8": ("fp8", "compressed-tensors", "modelopt", "quark", "torchao"),
    "NVFP4": ("nvfp4", "modelopt", "compressed-tensors"),
    "MXFP4": ("mxfp4", "quark", "compressed-tensors", "modelopt"),
    "GPTQ": ("gptq", "compressed-tensors", "auto-round"),
    "AWQ": ("awq", "compressed-tensors", "auto-round"),
    "BNB": ("bitsandbytes",),
    "HQQ": ("hqq",),
    "EXL2": ("exl2",),
    "EXL3": ("exl3",),
    "AQLM": ("aqlm",),
    "W4A16": ("compressed-tensors",),
    "W8A8": ("compressed-tensors",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """What a config.json or a GGUF header says beside the network, to be held against claims."""

    source: str  # "config.json", "GGUF header"
    rope_kind: str | None = None  # yarn, llama3, linear …; None without scaling
    rope_factor: float | None = None
    original_context_tokens: int | None = None
    quantization: str | None = None  # the method, as the config names it
    licence: str | None = None
    size_label: str | None = None  # "30B-A3B", as a GGUF's author labelled it
    state_dtype: str | None = None  # "float32": what recurrent states are to be kept in
    stored_dtypes: tuple[str, ...] = ()  # of the safetensors, as their headers or the hub say


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One statement beside what was found. `agrees` is None where words or sources leave it open."""

    what: str
    claimed: str
    found: str
    agrees: bool | None
    source: str  # who claims it: "card, metadata", "card, text", "name", "GGUF header"
    note: str | None = None
    unit: str | None = None  # of the values: "parameters", "tokens"
    claimed_values: tuple[float, ...] = ()
    found_value: float | None = None


def card_claims(
    card: Card, network: Network, facts: SourceFacts | None, name: Sequence[StatedParameters]
) -> tuple[Claim, ...]:
    """All claims of a card that can be held against the network and what its files say."""
    return (
        *parameter_claims(card.parameters, network, in_name=name),
        *context_claims(card.contexts, network, facts),
        *_licence_claims(card, facts),
        *_quantization_claims(card, facts),
        *_modality_claims(card, network, facts),
    )


def name_claims(
    sizes: Sequence[StatedParameters], network: Network, source: str = "name"
) -> tuple[Claim, ...]:
    """The sizes that a model's own name promises."""
    claims = []
    for size in sizes:
        candidates = {**total_counts(network), **active_counts(network)} if size.meaning is Meaning.UNSAID else (
            active_counts(network))  # fmt: skip
        what = "active parameters in the name" if size.meaning is Meaning.ACTIVE else "parameters in the name"
        claims.append(_parameter_claim(what, (size,), candidates, source, network))
    return tuple(claims)


def total_counts(network: Network) -> dict[str, float]:
    """The totals that publishers state, by what they include."""
    counts = network.parameters
    found = {
        "language model": counts.text,
        "with extra prediction layers": counts.text + counts.mtp,
        "with towers": counts.text + counts.towers,
        "with prediction layers and towers": counts.text + counts.mtp + counts.towers,
        "all that is stored": counts.counted,
    }
    return _distinct(found)


def active_counts(network: Network) -> dict[str, float]:
    """Active parameters by the three conventions in use: all, less the input embedding, less the head too."""
    active = network.parameters.active
    table, head = _embedding_parameters(network)
    return _distinct({
        "everything active": active,
        "active, without input embedding": active - table,
        "active, without embedding and head": active - table - head,
    })  # fmt: skip


def non_embedding_counts(network: Network) -> dict[str, float]:
    """The language model without its embedding, or without embedding and head."""
    text = network.parameters.text
    table, head = _embedding_parameters(network)
    return _distinct(
        {"without embedding and head": text - table - head, "without input embedding": text - table}
    )


def parameter_claims(
    stated: Sequence[StatedParameters], network: Network, *, in_name: Sequence[StatedParameters] = ()
) -> tuple[Claim, ...]:
    """Total, active and non-embedding parameters as stated, each against the counts that the words can mean."""
    totals, actives = total_counts(network), active_counts(network)
    of_meaning = {meaning: _strongest([s for s in stated if s.meaning is meaning]) for meaning in Meaning}
    unsaid = of_meaning[Meaning.UNSAID]
    explicit = (*of_meaning[Meaning.TOTAL], *of_meaning[Meaning.ACTIVE])
    clear = of_meaning[Meaning.TOTAL]
    if (clear and unsaid and _rank(clear[0]) >= _rank(unsaid[0])) or _repeats(unsaid, explicit):
        unsaid = ()  # the same card says it in clearer words
    asked = (
        ("total parameters", of_meaning[Meaning.TOTAL], totals),
        ("active parameters", of_meaning[Meaning.ACTIVE], actives),
        ("parameters without embeddings", of_meaning[Meaning.NON_EMBEDDING], non_embedding_counts(network)),
        ("parameters", unsaid, {**totals, **actives}),
    )
    claims = []
    for what, figures, candidates in asked:
        if figures:
            chosen = _one_named(figures, in_name)
            claims.append(_parameter_claim(what, chosen, candidates, "card, text", network))
    return tuple(claims)


def _parameter_claim(
    what: str,
    figures: Sequence[StatedParameters],
    candidates: dict[str, float],
    source: str,
    network: Network,
) -> Claim:
    values = tuple(dict.fromkeys(figure.value for figure in figures))
    claimed = ", ".join(dict.fromkeys(figure.text for figure in figures))
    # Best a figure that rounds to the digits written, else one that only comes near; then the plainest count.
    pairs = [
        (not f.rounds(exact), abs(f.value - exact) > f.step / 2, name, exact)
        for name, exact in candidates.items()
        for f in figures
    ]
    pairs = [pair for pair in pairs if not pair[0]] or [
        min(pairs, key=lambda p: abs(figures[0].value - p[3]))
    ]
    misses, _, name, exact = min(pairs, key=lambda pair: pair[1])
    fits = not misses
    # Nothing to tell apart where all counts are one, as in a dense model with tied embeddings.
    note = name if len(candidates) > 1 else None
    agrees: bool | None = fits
    if len(values) > 1:
        agrees = None
        note = f"several are stated{'; one fits' if fits else ', none fits'}"
    elif not fits and network.parameters.uncounted:
        agrees, note = None, "a tower is not counted"
    return Claim(
        what=what, claimed=claimed, found=format_count(exact), agrees=agrees, source=source, note=note,
        unit="parameters", claimed_values=values, found_value=exact,
    )  # fmt: skip


def context_claims(
    stated: Sequence[StatedContext], network: Network, facts: SourceFacts | None
) -> tuple[Claim, ...]:
    """Context lengths as stated, against what config or header allow."""
    allowed = network.context_tokens
    figures = _strongest(stated)
    if not figures or allowed is None:
        return ()
    kind = facts.rope_kind if facts is not None else None
    # llama3 and longrope stretch positions too, but within the length that the config states.
    scaled = round(facts.original_context_tokens * facts.rope_factor) if (
        facts is not None and kind in _STRETCHING and facts.original_context_tokens and facts.rope_factor) else allowed  # fmt: skip
    most = max(allowed, scaled)
    source = facts.source if facts is not None else "config.json"
    found = f"{most:,}" + (f" with {kind}" if kind else "")
    # The same length may be said twice, once with the words that it takes rope scaling.
    extended = {f.most_tokens for f in figures if f.extended}
    claims = []
    for needs_scaling in (False, True):
        group = [f for f in figures if (f.most_tokens in extended) == needs_scaling]
        if not group:
            continue
        fits = [f.least_tokens * _CONTEXT_SLACK <= most for f in group]
        agrees: bool | None = all(fits)
        note = None
        if agrees and not any(f.covers(n) for f in group for n in (allowed, scaled)):
            note = f"less than {source} allows"
        elif not agrees and needs_scaling:
            agrees, note = None, "beyond the config: needs rope scaling that it does not set"
        elif not agrees and any(fits):
            agrees, note = None, "several are stated; one fits"
        claims.append(
            Claim(
                what="context with rope scaling" if needs_scaling else "context",
                claimed=", ".join(dict.fromkeys(f.text for f in group)), found=found, agrees=agrees, source="card, text",
                note=note, unit="tokens", claimed_values=tuple(dict.fromkeys(float(f.most_tokens) for f in group)),
                found_value=most,
            )
        )  # fmt: skip
    return tuple(claims)


def network_claims(claimed: Network, found: Network, source: str) -> tuple[Claim, ...]:
    """One file's description of a model against another's, such as config.json against a GGUF of its folder."""
    pairs: list[tuple[str, float | None, float | None, str | None]] = [
        ("layers", claimed.n_layers, found.n_layers, "layers"),
        ("hidden size", claimed.hidden_size, found.hidden_size, None),
        ("vocabulary", claimed.vocab_size, found.vocab_size, None),
        ("attention heads", _heads(claimed, "n_heads"), _heads(found, "n_heads"), None),
        ("KV heads", _heads(claimed, "n_kv_heads"), _heads(found, "n_kv_heads"), None),
        ("language model", claimed.parameters.text, found.parameters.text, "parameters"),
    ]
    return tuple(
        Claim(
            what=what, claimed=f"{one:,.0f}", found=f"{other:,.0f}", source=source, unit=unit,
            agrees=abs(one - other) <= (_SAME_COUNT * other if unit == "parameters" else 0),
            claimed_values=(one,), found_value=other,
        )
        for what, one, other, unit in pairs if one is not None and other is not None
    )  # fmt: skip


def _heads(network: Network, name: str) -> int | None:
    """Heads of the first layers that have any."""
    for group in network.groups:
        n = getattr(group.mixer, name, None)
        if isinstance(n, int):
            return n
    return None


def _licence_claims(card: Card, facts: SourceFacts | None) -> tuple[Claim, ...]:
    claimed = card.licence_shown
    if claimed is None or facts is None or facts.licence is None:
        return ()
    names = {_plain(name) for name in (card.licence, card.licence_name) if name}
    return (
        Claim(
            what="licence", claimed=claimed, found=facts.licence, agrees=_plain(facts.licence) in names,
            source="card, metadata",
        ),
    )  # fmt: skip


def _quantization_claims(card: Card, facts: SourceFacts | None) -> tuple[Claim, ...]:
    if facts is None or facts.source != "config.json":
        return ()  # a GGUF's own types say more than a card that speaks of a whole folder of them
    claims = []
    for word in card.quantizations:
        methods = _METHODS.get(word)
        if methods is None:
            continue
        agrees: bool | None = facts.quantization is not None and facts.quantization.lower() in methods
        note = None
        if facts.quantization is None and not (
            facts.stored_dtypes and _PLAIN_DTYPES.issuperset(facts.stored_dtypes)
        ):
            agrees, note = None, "config.json names no method; another file may"
        found = facts.quantization or ", ".join(facts.stored_dtypes) or "not said"
        claims.append(Claim(what="quantization", claimed=word, found=found, agrees=agrees,
                            source="card, metadata", note=note))  # fmt: skip
    return tuple(claims)


def _modality_claims(card: Card, network: Network, facts: SourceFacts | None) -> tuple[Claim, ...]:
    towers = " ".join(tower.name.lower() for tower in network.towers)
    claims = []
    for modality in card.modalities:
        agrees: bool | None = ("audio" if modality == "audio" else "vision") in towers
        note = None
        if not agrees and facts is not None and facts.source == "GGUF header":
            agrees, note = None, "a projector file beside the GGUF would hold its tower"
        found = ", ".join(tower.name for tower in network.towers) or "no tower"
        claims.append(Claim(what=f"{modality} input", claimed="yes", found=found, agrees=agrees,
                            source="card, metadata", note=note))  # fmt: skip
    return tuple(claims)


def _rank(figure: StatedParameters | StatedContext) -> int:
    return _PLACES.index(figure.place)


def _strongest(figures: Sequence[_Figure]) -> tuple[_Figure, ...]:
    """The figures of the weightiest place, without those that only round one another."""
    best = max(map(_rank, figures), default=0)
    kept: list[_Figure] = []
    for figure in sorted((f for f in figures if _rank(f) == best), key=_coarseness):
        if not any(_says_again(figure, finer) for finer in kept):
            kept.append(figure)
    return tuple(kept)


def _coarseness(figure: StatedParameters | StatedContext) -> float:
    return figure.step if isinstance(figure, StatedParameters) else figure.most_tokens - figure.least_tokens


def _says_again(figure: _Figure, finer: _Figure) -> bool:
    if isinstance(figure, StatedParameters) and isinstance(finer, StatedParameters):
        return figure.rounds(finer.value)
    if isinstance(figure, StatedContext) and isinstance(finer, StatedContext):
        same = figure.least_tokens <= finer.most_tokens and finer.least_tokens <= figure.most_tokens
        return same and figure.extended == finer.extended
    return False


def _repeats(unsaid: Iterable[StatedParameters], explicit: Sequence[StatedParameters]) -> bool:
    return all(any(u.rounds(e.value) or e.rounds(u.value) for e in explicit) for u in unsaid)


def _one_named(
    figures: tuple[StatedParameters, ...], in_name: Sequence[StatedParameters]
) -> tuple[StatedParameters, ...]:
    """Of several sizes in a card, the one that the model's own name states, where it is exactly one."""
    ours = tuple(f for f in figures if any(size.rounds(f.value) for size in in_name))
    return ours if len(ours) == 1 else figures


def _embedding_parameters(network: Network) -> tuple[int, int]:
    """Elements of the input embedding and of the output head; a tied table is the input embedding."""
    tables = sum(w.parameters for w in network.outer if w.use is Use.TABLE)
    heads = sum(w.parameters for w in network.outer if w.use is Use.HEAD)
    return (tables, heads) if tables else (heads, 0)


def _distinct(counts: Mapping[str, float]) -> dict[str, float]:
    """The first name of each count."""
    found: dict[float, str] = {}
    for name, value in counts.items():
        found.setdefault(value, name)
    return {name: value for value, name in found.items()}


def _plain(licence: str) -> str:
    return " ".join(licence.lower().replace("_", "-").split())
