"""`planner model` as a document: what the network is, how it is stored, what its cache costs, what is claimed of it."""

from hardware.units import format_bytes, format_count
from planner.engines import llama_cpp
from planner.engines.llama_cpp import LlamaCppFlags
from planner.model.card import Card
from planner.model.claims import Claim
from planner.model.label_audit import Verdict
from planner.model.opened_model import OpenedModel
from planner.model.storage import Storage
from planner.report.document import Document, Table, listed
from planner.report.model_data import layer_kv_bytes_per_token, layer_state_bytes, model_data
from planner.report.outside_text import plain
from planner.report.parameter_count import total_in_words

DEFAULT_CONTEXT = 8192
SHOWN_BENCHMARKS = 8
SHOWN_BASES = 3


def model_document(opened: OpenedModel, n_context_tokens: int | None = None) -> Document:
    """The model in a few sentences and its tables; the cache is llama.cpp's, one sequence, F16."""
    network = opened.network
    n = n_context_tokens or min(DEFAULT_CONTEXT, network.context_tokens or DEFAULT_CONTEXT)
    flags = LlamaCppFlags(n_context_tokens=n)
    kv_bytes = llama_cpp.kv_bytes(network, flags)
    state_bytes = llama_cpp.state_bytes(network, flags)
    cache_rows = (("KV cache", format_bytes(kv_bytes)), ("recurrent state", format_bytes(state_bytes)))
    tables = [
        _layer_table(opened),
        _parameter_table(opened),
        Table(
            title=f"Cache of one sequence at {n:,} tokens (llama.cpp, F16)",
            headers=("what", "size"),
            rows=cache_rows if state_bytes else cache_rows[:1],
            right=(1,),
        ),
    ]
    if opened.storage is not None:
        tables.append(_type_table(opened.storage, "Tensor types"))
    elif opened.published is not None and len(opened.published.storage.bytes_by_type) > 1:
        tables.append(_type_table(opened.published.storage, "Formats of the language model's weights"))
    tables += _claim_tables(opened.claims)
    if opened.card is not None and opened.card.benchmarks:
        tables.append(_benchmark_table(opened.card))
    return Document(
        schema="planner.model/1",
        title=plain(opened.name),
        answer=_answer(opened),
        tables=tuple(tables),
        notes=(*opened.notes, *_quiet_notes(opened)),
        data={
            **model_data(opened),
            "n_context_tokens": n,
            "kv_bytes": kv_bytes,
            "state_bytes": state_bytes,
        },
    )


def _answer(opened: OpenedModel) -> tuple[str, ...]:
    network = opened.network
    parameters = network.parameters
    active = (
        f", {format_count(parameters.active)} active for a token" if network.is_mixture_of_experts() else ""
    )
    context = f"up to {network.context_tokens:,} tokens" if network.context_tokens else "context not stated"
    sentences = [
        f"{plain(opened.name)} has {total_in_words(parameters)} parameters{active} in {network.n_layers} layers, {context}."
    ]
    if opened.storage is not None:
        storage = opened.storage
        sentences.append(
            f"Stored as {plain(storage.label)}: {format_bytes(storage.total_bytes)}, "
            f"{storage.bits_per_weight:.2f} bits per weight."
        )
    elif opened.published is not None:
        sentences.append(
            f"Published in {plain(opened.published.storage.label)}: {format_bytes(opened.published.file_bytes)}, "
            f"{opened.published.storage.bits_per_weight:.2f} bits per weight of the language model."
        )
    elif opened.facts is not None and opened.facts.quantization is not None:
        sentences.append(f"Its config declares {plain(opened.facts.quantization)} weights.")
    if opened.audit is not None and opened.audit.verdict is not Verdict.UNKNOWN_LABEL:
        sentences.append(f"Its label: {plain(opened.audit.summary, 300)}.")
    if opened.licence is not None:
        sentences.append(f"Licence: {plain(opened.licence)}.")
    wrong = [claim.what for claim in opened.claims if claim.agrees is False]
    if wrong:
        verb = "is" if len(set(wrong)) == 1 else "are"
        sentences.append(
            f"What is claimed of its {listed(list(dict.fromkeys(wrong)))} {verb} not what was found."
        )
    return tuple(sentences)


def _layer_table(opened: OpenedModel) -> Table:
    groups = opened.network.groups
    with_state = any(layer_state_bytes(group) for group in groups)
    headers = ("kind", "layers", "which", "parameters", "KV/token")
    rows = [
        (
            group.kind,
            len(group.layers),
            _ranges(group.layers),
            format_count(sum(w.parameters for w in group.weights(opened.network.hidden_size))),
            _size(layer_kv_bytes_per_token(group)),
            _size(layer_state_bytes(group)),
        )
        for group in groups
    ]
    return Table(
        title="Layers; parameters, cache and state are those of one",
        headers=(*headers, "state") if with_state else headers,
        rows=tuple(row if with_state else row[:-1] for row in rows),
        right=(1, 3, 4, 5) if with_state else (1, 3, 4),
    )


def _parameter_table(opened: OpenedModel) -> Table:
    network = opened.network
    parameters = network.parameters
    total = "counted so far" if parameters.uncounted else "total"
    counts = [
        ("language model", parameters.text),
        ("extra prediction layers (MTP)", parameters.mtp),
        *((plain(tower.name), tower.parameters) for tower in network.towers),
        ("stored a second time", parameters.copies),
        (total, parameters.counted),
        ("active per token", parameters.active),
    ]
    if opened.stored_elements is not None and opened.stored_elements != parameters.counted:
        # Scales, packed weights or copies; the note beside it says which figure is which.
        counts.append(("elements in the files", opened.stored_elements))
    return Table(
        title="Parameters",
        headers=("part", "parameters"),
        rows=tuple((name, f"{value:,.0f}") for name, value in counts if value),
        right=(1,),
    )


def _type_table(storage: Storage, title: str) -> Table:
    counts: dict[str, int] = {}
    elements: dict[str, int] = {}
    for weight in storage.weights:
        counts[weight.type_name] = counts.get(weight.type_name, 0) + 1
        elements[weight.type_name] = elements.get(weight.type_name, 0) + weight.n_elements
    rows = tuple(
        (name, counts[name], format_count(elements[name]), format_bytes(n_bytes), f"{n_bytes / storage.total_bytes:.1%}")
        for name, n_bytes in storage.bytes_by_type.items()
    )  # fmt: skip
    return Table(
        title=title,
        headers=("type", "tensors", "parameters", "size", "share"),
        rows=rows,
        right=(1, 2, 3, 4),
    )


def _claim_tables(claims: tuple[Claim, ...]) -> list[Table]:
    """Claims that were found otherwise, and those that the words leave open; the others make one quiet note."""
    odd = sorted(
        (claim for claim in claims if claim.agrees is not True), key=lambda claim: claim.agrees is None
    )
    if not odd:
        return []
    rows = tuple(
        (claim.what, plain(claim.claimed, 80), plain(claim.source), plain(claim.found, 60), _verdict(claim))
        for claim in odd
    )
    return [
        Table(
            title="Claims that do not match, or cannot be decided",
            headers=("what", "claimed", "by", "found", "so"),
            rows=rows,
        )
    ]


def _verdict(claim: Claim) -> str:
    if claim.agrees is None:
        return f"open: {claim.note}" if claim.note else "open"
    return f"differs; nearest: {claim.note}" if claim.note else "differs"


def _benchmark_table(card: Card) -> Table:
    more = f", {SHOWN_BENCHMARKS} of {card.n_benchmarks}" if card.n_benchmarks > SHOWN_BENCHMARKS else ""
    return Table(
        title=f"Results stated in the card's metadata{more}; not run again here",
        headers=("data set", "metric", "score", "verified"),
        rows=tuple(
            (
                plain(found.dataset, 40),
                plain(found.metric or found.task or "–", 30),
                plain(found.value_text, 12),
                {True: "says so", False: "no", None: "signed" if found.signed else "–"}[found.verified],
            )
            for found in card.benchmarks[:SHOWN_BENCHMARKS]
        ),
        right=(2,),
    )


def _quiet_notes(opened: OpenedModel) -> tuple[str, ...]:
    notes = []
    agreeing = [
        f"{claim.what} {plain(claim.claimed, 60)}" + (f" ({claim.note})" if claim.note else "")
        for claim in opened.claims
        if claim.agrees
    ]
    if agreeing:
        notes.append(f"found as claimed: {', '.join(agreeing)}")
    if opened.card is not None:
        facts = _card_facts(opened.card)
        if facts:
            notes.append(f"its card: {'; '.join(facts)}")
    return tuple(notes)


def _card_facts(card: Card) -> list[str]:
    facts = []
    if card.licence_shown is not None:
        link = f", {plain(card.licence_link, 100)}" if card.licence_link else ""
        facts.append(f"licence {plain(card.licence_shown)}{link}")
    if card.base_models:
        relation = {"quantized": "quantized from", "finetune": "fine-tuned from", "merge": "merged of",
                    "adapter": "an adapter of"}.get(card.base_relation or "", "made from")  # fmt: skip
        shown = [plain(base, 80) for base in card.base_models[:SHOWN_BASES]]
        more = len(card.base_models) - len(shown)
        facts.append(f"{relation} {listed([*shown, *([f'{more} more'] if more else [])])}")
    if card.quantized_by is not None:
        facts.append(f"quantized by {plain(card.quantized_by, 60)}")
    if card.pipeline is not None:
        facts.append(plain(card.pipeline, 60))
    if card.languages:
        few = len(card.languages) <= 4
        facts.append(
            listed([plain(code, 20) for code in card.languages])
            if few
            else f"{len(card.languages)} languages"
        )
    if card.gated:
        facts.append("gated: its files need an accepted licence")
    return facts


def _size(n_bytes: float) -> str:
    return format_bytes(n_bytes) if n_bytes else "–"


def _ranges(layers: tuple[int, ...]) -> str:
    """Layer numbers, shortened: "0–29" or "0, 2, 4 … 22"."""
    if len(layers) > 1 and layers == tuple(range(layers[0], layers[-1] + 1)):
        return f"{layers[0]}–{layers[-1]}"
    if len(layers) <= 4:
        return ", ".join(str(i) for i in layers)
    return f"{layers[0]}, {layers[1]}, {layers[2]} … {layers[-1]}"
