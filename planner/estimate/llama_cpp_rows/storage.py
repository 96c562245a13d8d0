"""How the file of a recorded load stores its weights, by what a person knows of a file without opening it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from planner.errors import MissingFactError
from planner.estimate.llama_cpp_rows.model import RowModel, as_filed, with_fused_experts
from planner.estimate.llama_cpp_rows.names import stored_as
from planner.estimate.llama_cpp_rows.row import LoadRow
from planner.model.preset_rules import BASE_TYPES, Rules
from planner.model.presets import ALIASES, preset_storage
from planner.model.storage import Storage
from planner.model.type_mix import mixed_storage, preset_mix, scaled

# llama_model_ftype_name prints words where llama-quantize takes letters.
_SIZES: Final[Mapping[str, str]] = MappingProxyType({"small": "S", "medium": "M", "large": "L"})
_TYPE: Final = re.compile(
    r"((?:I?Q|TQ)\d\w*|BF16|F16|all F32|MXFP4\w*)(?: - (\w+))?", re.ASCII | re.IGNORECASE
)
# Names of mixes that a publisher makes by hand, so that no preset's rules hold.
_OWN_MIX: Final = re.compile(r"\bUD-|[-_]XL\b|mix-|THIREUS|__", re.ASCII)
_ANY_PRESET: Final = "Q8_0"


def row_storage(row: LoadRow, model: RowModel) -> tuple[Storage, str | None]:
    """The tensors of the row's file and their bytes, and why the bytes are not known, if they are not.

    The preset is that of the printed file type, or of the file's name; the numbers of tensors per type and the
    file's size correct it where the row has them.
    """
    preset = _preset(row)
    starts = list(_starts(model, preset or _ANY_PRESET))
    if not starts:
        starts = list(_starts(model, "F16"))
        return starts[0], f"the network cannot be stored as {preset}"
    if row.tensor_types:
        for start in starts:
            found = preset_mix(start, row.tensor_types, row.file_bytes)
            if found is not None:
                return found, None
        for start in (
            starts[0],
            *_starts(replace(model, network=with_fused_experts(model.network)), _ANY_PRESET),
        ):
            found = mixed_storage(start, row.tensor_types, row.file_bytes)
            if found is not None:
                return replace(found, label=row.text("ftype") or found.label), None
    if row.file_bytes is not None:
        nearest = min(starts, key=lambda start: abs(start.total_bytes - (row.file_bytes or 0)))
        return replace(scaled(nearest, row.file_bytes), label=row.text("ftype") or nearest.label), None
    if preset is None or _OWN_MIX.search(row.name):
        return starts[
            0
        ], "the row does not say how the weights are stored: no file size, and no preset's name"
    return starts[0], None


def _preset(row: LoadRow) -> str | None:
    found = _TYPE.match(row.text("ftype"))
    name = None
    if found is not None:
        size = _SIZES.get((found[2] or "").lower())
        name = f"{found[1]}_{size}" if size else found[1].removeprefix("all ")
    name = re.sub(r"_R\d+$", "", (name or stored_as(row.name) or "").upper())
    name = ALIASES.get(name, name)
    return name if name in BASE_TYPES else None


def _starts(model: RowModel, preset: str) -> Iterator[Storage]:
    """The preset by each version of the quantizer's rules, with and without an importance matrix."""
    for rules in Rules:
        for matrix in (False, True):
            try:
                yield _stored(model, preset, rules, matrix)
            except MissingFactError:  # the quantizer cannot make it of these shapes
                continue


def _stored(model: RowModel, preset: str, rules: Rules, matrix: bool) -> Storage:
    def stored(whole: bool) -> Storage:
        network = as_filed(model.network, "whole" if whole else None)
        return preset_storage(
            network, preset, importance_matrix=matrix, rules=rules, extra_layers=model.has_extra_layers
        )

    found = stored(model.latent_form == "whole")
    if model.latent_form != "both":
        return found
    more = tuple(weight for weight in stored(True).weights if weight.role == "attn_kv_b")
    return replace(found, weights=(*found.weights, *more))
