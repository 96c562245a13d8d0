"""A network stored as a quantization plan says: exact bytes of every weight, and what a hub would count."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from planner.model.formats.modules import Module, modules_of, names_a_tower
from planner.model.formats.piece import DTYPE_BYTES, Format, Piece, pieces_bytes
from planner.model.formats.plain import Plain
from planner.model.formats.plan import KnownNames, NamePatterns, QuantizationPlan
from planner.model.network import Network
from planner.model.storage import Storage, StoredWeight
from planner.model.weight import Use

# What publishers store in 32 bits (or as 64-bit integers) whatever the type of the rest. The lists of DeepSeek V4
# and Kimi K3 give the hub's own count per element type to the last element.
_EVERYWHERE = {"exp_probs_b.bias": "F32"}
_V4 = {
    **_EVERYWHERE,
    **dict.fromkeys(("attn_sinks", "attn_compressor_ape", "indexer_compressor_ape"), "F32"),
    **{
        f"{part}_{kind}": "F32"
        for part in ("hc_attn", "hc_ffn", "output_hc")
        for kind in ("fn", "base", "scale")
    },
    "ffn_gate_tid2eid": "I64",
}
_KIMI = {
    **_EVERYWHERE,
    **dict.fromkeys(("ssm_a", "ssm_dt.bias", "ssm_norm"), "F32"),
    **{f"ssm_conv1d_{part}": "F32" for part in "qkv"},
}
_OWN_TYPES = {"deepseek_v4": _V4, "deepseek_ref": _V4, "kimi_k3": _KIMI, "kimi_linear": _KIMI}


@dataclass(frozen=True, kw_only=True)
class FormatLayout:
    """The language model's storage; extra layers and towers apart; element counts of the files.

    `parameters_by_dtype` counts as the hub does since 2026: packed weights unpacked, scales left out.
    `elements_by_dtype` counts every stored element, as the hub did before and as file headers do.
    """

    storage: Storage
    extra_bytes: int
    tower_bytes: int
    copy_bytes: int  # stored a second time, such as a tied output head; never loaded twice
    parameters_by_dtype: Mapping[str, int]
    elements_by_dtype: Mapping[str, int]
    unmatched_patterns: tuple[str, ...]
    notes: tuple[str, ...]
    extra_weights: tuple[StoredWeight, ...] = ()  # of the extra prediction layers, one by one
    kv_cache: str | None = None  # the cache's type, where a quantized checkpoint asks for one

    @property
    def file_bytes(self) -> int:
        """Bytes of the weight files, headers apart."""
        return self.storage.total_bytes + self.extra_bytes + self.tower_bytes + self.copy_bytes

    @property
    def hub_parameters(self) -> int:
        """The total that the hub shows for such a repository."""
        return sum(self.parameters_by_dtype.values())

    @property
    def stored_elements(self) -> int:
        """Elements of all stored tensors, scales and packed words included."""
        return sum(self.elements_by_dtype.values())


def lay_out(network: Network, plan: QuantizationPlan) -> FormatLayout:
    """The network stored as the plan says.

    Raises MalformedError where a format cannot hold a weight's shape: an exclusion list is then missing.
    """
    stored: list[StoredWeight] = []
    parameters: Counter[str] = Counter()
    elements: Counter[str] = Counter()
    extra_bytes = 0
    sizes: Counter[str] = Counter()
    names: set[str] = set()
    unnamed: set[str] = set()
    pieces_of: dict[tuple[Format, int, int], tuple[Piece, ...]] = {}
    for module in modules_of(network, plan.patterns):
        names.update(module.names)
        chosen = _kept_type(plan.format_of(module), module, network.architecture)
        key = (chosen, module.n_in, module.n_out)
        if key not in pieces_of:
            pieces_of[key] = chosen.pieces(module.n_in, module.n_out)
        for piece in pieces_of[key]:
            elements[piece.dtype] += piece.n_elements * module.n_matrices
            if piece.n_values:
                parameters[piece.dtype] += piece.n_values * module.n_matrices
        n_bytes = pieces_bytes(pieces_of[key]) * module.n_matrices
        if module.is_extra:
            extra_bytes += n_bytes
        else:
            sizes[chosen.label] += n_bytes
        stored += _stored(module, chosen.label, n_bytes)
        if plan.rules and not module.names and not isinstance(chosen, Plain):
            unnamed.add(module.weights[0].role)
    kept_bytes = DTYPE_BYTES[plan.kept.dtype]
    counts = network.parameters
    for counter in (parameters, elements):
        counter[plan.kept.dtype] += counts.towers + counts.copies
    notes = list(plan.notes)
    if plan.average_bits:
        notes.append(
            "sizes follow the average bits the config states; the exact ones are in the files' headers"
        )
    if counts.uncounted:
        notes.append(f"without the bytes of {', '.join(counts.uncounted)}, which this planner cannot count")
    if unnamed:
        notes.append(
            f"the config's module lists cannot be applied to {', '.join(sorted(unnamed))}, whose module names this "
            "planner does not know; they are taken as quantized"
        )
    return FormatLayout(
        storage=Storage(
            label=_label(plan, sizes),
            weights=tuple(
                weight for weight in stored if weight.layer is None or weight.layer < network.n_layers
            ),
            predicted=True,
        ),
        extra_bytes=extra_bytes,
        kv_cache=plan.kv_cache,
        extra_weights=tuple(w for w in stored if w.layer is not None and w.layer >= network.n_layers),
        tower_bytes=counts.towers * kept_bytes,
        copy_bytes=counts.copies * kept_bytes,
        parameters_by_dtype=dict(parameters),
        elements_by_dtype=dict(elements),
        unmatched_patterns=_unmatched(
            plan, KnownNames(ordered=tuple(sorted(names))), has_towers=bool(network.towers)
        ),
        notes=tuple(notes),
    )


def _kept_type(chosen: Format, module: Module, architecture: str) -> Format:
    if not isinstance(chosen, Plain):
        return chosen
    own = _OWN_TYPES.get(architecture, _EVERYWHERE).get(module.weights[0].role)
    return Plain(dtype=own) if own else chosen


def _stored(module: Module, label: str, n_bytes: int) -> list[StoredWeight]:
    """The module's bytes, shared out over our weights by their elements."""
    total = sum(weight.parameters for weight in module.weights)
    found = []
    left = n_bytes
    for i, weight in enumerate(module.weights):
        last = i + 1 == len(module.weights)
        share = left if last else n_bytes * weight.parameters // total
        left -= share
        found.append(
            StoredWeight(
                role=weight.role,
                layer=module.layer,
                type_name=label,
                shape=weight.shape,
                n_elements=weight.parameters,
                n_bytes=share,
                use=Use.UNUSED if module.is_extra else weight.use,
                active_fraction=weight.active_fraction,
            )
        )
    return found


def _unmatched(plan: QuantizationPlan, names: KnownNames, *, has_towers: bool) -> tuple[str, ...]:
    found: list[str] = []
    for rule in plan.rules:
        kept = [p for p in rule.names.patterns if not (has_towers and names_a_tower(p))]
        found += NamePatterns(patterns=tuple(kept), style=rule.names.style).unmatched(names)
    return tuple(found)


def _label(plan: QuantizationPlan, sizes: Counter[str]) -> str:
    """The format that holds most bytes, of those that are not the model's own type."""
    formats = Counter({label: n for label, n in sizes.items() if label not in DTYPE_BYTES})
    return formats.most_common(1)[0][0] if formats else plan.kept.label
