"""Label against content: is a GGUF file what llama.cpp's quantizer would have written under its name?

Publishers sell their own mixes under a preset's name: embeddings in more bits, some layers raised, others
lowered. The file's tensor table says which; the quantizer's rules (`preset_rules`) say what it should be.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from planner.errors import MissingFactError
from planner.model.ggml_types import type_by_name
from planner.model.network import Network
from planner.model.preset_rules import BASE_TYPES, QuantizerFacts, Rules, TensorShape, quantizer_types
from planner.model.presets import ALIASES, quantizer_facts
from planner.model.storage import Storage, StoredWeight

_FLOATS = frozenset({"F32", "F16", "BF16"})
_TABLES = ("token_embd", "output")
_NOT_WEIGHTS = ("rope_freqs", "rope_factors_long", "rope_factors_short")
_MOSTLY: Final = 0.5  # of a file's layers, by bytes
_MOST_DIFFERENCES: Final = 12
_LONGEST_NAME: Final = 60
# A preset's name in a file name; publishers' own labels ("Q4_K_XL", "Q5_K_L") are found as such.
_IN_FILE_NAME = re.compile(
    r"(?<![A-Za-z0-9])(UD-)?"
    r"(IQ[1-4]_(?:XXS|XS|S|M|NL|XL)|Q[2-8]_K(?:_(?:XXL|XL|L|M|S))?|Q[1-8]_[01]|TQ[12]_0|MXFP4(?:_MOE)?|NVFP4|BF16|F16|F32)"
    r"(?![A-Za-z0-9_])",
    re.IGNORECASE,
)


class Verdict(StrEnum):
    """What the comparison came to."""

    AS_WRITTEN = "as the quantizer writes it"
    CUSTOM = "custom mix"
    MISLABELLED = "mislabelled"
    UNKNOWN_LABEL = "not a preset's name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Tensors of one role that have another type than the quantizer gives them."""

    role: str
    expected: str
    found: str
    n_tensors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelAudit:
    """A file's label, whether its tensors are what the label promises, and how they differ."""

    label: str
    verdict: Verdict
    variant: str | None  # which of the quantizer's own ways fits best: "with an importance matrix", "--pure"
    n_tensors: int
    n_differing: int
    differences: tuple[Difference, ...]  # the most tensors first
    size_ratio: float | None  # bytes over what the quantizer would have written
    main_type: str
    nearest_preset: str | None  # another preset that fits better
    file_name_label: str | None  # where the file's name says something else
    made_by: str | None  # whom the metadata name
    has_matrix: bool  # the metadata name an importance matrix

    @property
    def summary(self) -> str:
        """The verdict in a line."""
        if self.verdict is Verdict.UNKNOWN_LABEL:
            return f"{self.label!r} is not a preset of llama.cpp; the file holds mostly {self.main_type}{self._by}"
        if self.verdict is Verdict.AS_WRITTEN:
            variant = f" {self.variant}" if self.variant else ""
            return f"{self.label} as llama.cpp's quantizer writes it{variant}"
        size = "" if self.size_ratio is None else f", {_percent(self.size_ratio)} than the preset"
        if self.verdict is Verdict.MISLABELLED:
            near = f"; {self.nearest_preset} fits better" if self.nearest_preset else ""
            return f"named {self.label}, holds mostly {self.main_type}{size}{near}{self._by}"
        shown = ", ".join(
            f"{d.n_tensors} {d.role} in {d.found} instead of {d.expected}" for d in self.differences[:3]
        )
        more = ", …" if len(self.differences) > 3 else ""
        return f"custom mix: {self.n_differing} of {self.n_tensors} tensors differ ({shown}{more}){size}{self._by}"

    @property
    def _by(self) -> str:
        return f"; made by {self.made_by!r}" if self.made_by else ""


def audit_label(
    storage: Storage,
    network: Network,
    *,
    file_name: str | None = None,
    metadata: Mapping[str, object] = MappingProxyType({}),
) -> LabelAudit:
    """Compares a GGUF's own tensor table with what the quantizer would have written under its label.

    `storage` is the file's, with the label of its general.file_type; `file_name` and `metadata` may add what
    the name says and who made it.
    """
    named = label_in_file_name(file_name) if file_name else None
    label = storage.label if storage.label in BASE_TYPES else (named or storage.label).removeprefix("UD-")
    label = ALIASES.get(label, label)
    weights = [weight for weight in storage.weights if weight.role not in _NOT_WEIGHTS]
    tensors = [TensorShape(layer=w.layer, role=w.role, shape=w.shape) for w in weights]
    facts = _facts(network, weights)
    made_by = _text(metadata, "general.quantized_by")
    if made_by is None and named is not None and named.startswith("UD-"):
        made_by = "Unsloth (UD in the file name)"
    has_matrix = any(key.startswith("quantize.imatrix.") for key in metadata)
    best = _best(weights, tensors, label, facts, has_matrix) if label in BASE_TYPES else None
    counted = sum(_is_quantized_weight(weight) for weight in weights) or len(weights)
    if best is None:
        return LabelAudit(
            label=label[:_LONGEST_NAME], verdict=Verdict.UNKNOWN_LABEL, variant=None, n_tensors=counted,
            n_differing=0, differences=(), size_ratio=None, main_type=storage.main_type,
            nearest_preset=_nearest(weights, tensors, facts, None), file_name_label=named, made_by=made_by,
            has_matrix=has_matrix,
        )  # fmt: skip
    differing = _differing(weights, best.types)
    expected = sum(_bytes_as(weight, name) for weight, name in zip(weights, best.types, strict=True))
    verdict = Verdict.AS_WRITTEN
    if differing:
        verdict = Verdict.MISLABELLED if _mostly_other(weights, best.types) else Verdict.CUSTOM
    return LabelAudit(
        label=label,
        verdict=verdict,
        variant=best.name,
        n_tensors=counted,
        n_differing=len(differing),
        differences=_differences(differing),
        size_ratio=sum(weight.n_bytes for weight in weights) / expected if expected else None,
        main_type=storage.main_type,
        nearest_preset=_nearest(weights, tensors, facts, label) if verdict is Verdict.MISLABELLED else None,
        file_name_label=named if named and ALIASES.get(named, named) != label else None,
        made_by=made_by,
        has_matrix=has_matrix,
    )


def label_in_file_name(file_name: str) -> str | None:
    """The last quantization that a file's name mentions, in capitals: "UD-Q4_K_XL", "Q4_K_M"; None without one."""
    found = _IN_FILE_NAME.findall(file_name[-400:])
    if not found:
        return None
    name = "".join(found[-1]).upper()
    return "MXFP4_MOE" if name == "MXFP4" else name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Variant:
    """One of the quantizer's own ways to make a preset, and the types that come of it."""

    name: str | None
    types: tuple[str, ...]


def _facts(network: Network, weights: Sequence[StoredWeight]) -> QuantizerFacts:
    in_file = 1 + max((weight.layer for weight in weights if weight.layer is not None), default=0)
    return replace(quantizer_facts(network), n_layers=max(network.n_layers, in_file))


def _best(
    weights: Sequence[StoredWeight],
    tensors: Sequence[TensorShape],
    label: str,
    facts: QuantizerFacts,
    has_matrix: bool,
) -> _Variant | None:
    """The variant with the fewest differing tensors, plain ones first; None where the preset cannot be made."""
    variants = []
    matrix_names = ((False, None), (True, "with an importance matrix"))
    for importance_matrix, name in reversed(matrix_names) if has_matrix else matrix_names:
        for rules in Rules:
            try:
                types = quantizer_types(
                    tensors, label, facts, importance_matrix=importance_matrix, rules=rules
                )
            except MissingFactError:
                return None
            age = None if rules is Rules.CURRENT else "with the rules of before March 2026"
            variants.append(_Variant(name=" ".join(filter(None, (name, age))) or None, types=types))
    variants += [_with_tables(weights, variant) for variant in tuple(variants)]
    variants.append(_pure(weights, variants[0].types, BASE_TYPES[label]))
    return min(variants, key=lambda variant: len(_differing(weights, variant.types)))


def _with_tables(weights: Sequence[StoredWeight], variant: _Variant) -> _Variant:
    """As with --token-embedding-type and --output-tensor-type: those two as they are in the file."""
    types = tuple(
        weight.type_name if weight.role in _TABLES and weight.layer is None else name
        for weight, name in zip(weights, variant.types, strict=True)
    )
    tables = [f"{w.role} in {w.type_name}" for w in weights if w.role in _TABLES and w.layer is None]
    name = f"with {' and '.join(tables)}"
    return _Variant(name=f"{variant.name}, {name}" if variant.name else name, types=types)


def _pure(weights: Sequence[StoredWeight], types: tuple[str, ...], base: str) -> _Variant:
    """As with --pure: every quantized tensor in the preset's own type where its rows allow it."""
    block = type_by_name(base).block_elements
    return _Variant(
        name="with --pure",
        types=tuple(
            base if name not in (*_FLOATS, "I32") and weight.shape[0] % block == 0 else name
            for weight, name in zip(weights, types, strict=True)
        ),
    )


def _is_quantized_weight(weight: StoredWeight) -> bool:
    return len(weight.shape) > 1 and weight.type_name not in _FLOATS


def _differing(weights: Sequence[StoredWeight], types: Sequence[str]) -> list[tuple[StoredWeight, str]]:
    """Tensors of another type than expected; which float type an unquantized one has does not matter."""
    return [
        (weight, name)
        for weight, name in zip(weights, types, strict=True)
        if weight.type_name != name and not (weight.type_name in _FLOATS and name in _FLOATS)
    ]


def _differences(differing: Sequence[tuple[StoredWeight, str]]) -> tuple[Difference, ...]:
    counted = Counter((weight.role[:_LONGEST_NAME], name, weight.type_name) for weight, name in differing)
    return tuple(
        Difference(role=role, expected=expected, found=found, n_tensors=n)
        for (role, expected, found), n in counted.most_common(_MOST_DIFFERENCES)
    )


def _bytes_as(weight: StoredWeight, type_name: str) -> int:
    if weight.type_name == type_name or (weight.type_name in _FLOATS and type_name in _FLOATS):
        return weight.n_bytes
    ggml_type = type_by_name(type_name)
    return weight.n_elements // ggml_type.block_elements * ggml_type.block_bytes


def _mostly_other(weights: Sequence[StoredWeight], types: Sequence[str]) -> bool:
    """Whether most elements of the layers are of a type that the preset would hardly have used."""
    in_layers = [
        (weight, name)
        for weight, name in zip(weights, types, strict=True)
        if weight.layer is not None and len(weight.shape) > 1
    ]
    expected = Counter[str]()
    for weight, name in in_layers:
        expected[name] += weight.n_elements
    total = sum(expected.values())
    usual = {name for name, n in expected.items() if n > 0.05 * total}
    other = sum(weight.n_elements for weight, _ in in_layers if weight.type_name not in usual)
    return total > 0 and other / total > _MOSTLY


def _nearest(
    weights: Sequence[StoredWeight], tensors: Sequence[TensorShape], facts: QuantizerFacts, label: str | None
) -> str | None:
    """The preset whose types the file shares most, by elements, where that is more than half of them."""
    total = sum(weight.n_elements for weight in weights)
    scores = {}
    for preset in BASE_TYPES:
        try:
            types = quantizer_types(tensors, preset, facts)
        except MissingFactError:
            continue
        scores[preset] = sum(
            weight.n_elements for weight, name in zip(weights, types, strict=True) if weight.type_name == name
        )
    best = max(scores, key=lambda preset: scores[preset], default=None)
    return best if best is not None and best != label and scores[best] > _MOSTLY * total else None


def _text(metadata: Mapping[str, object], key: str) -> str | None:
    value = metadata.get(key)
    return value[:_LONGEST_NAME] if isinstance(value, str) and value else None


def _percent(ratio: float) -> str:
    return f"{abs(ratio - 1) * 100:.1f} % {'larger' if ratio > 1 else 'smaller'}"
