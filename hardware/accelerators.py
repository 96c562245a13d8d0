"""Which accelerator a name means: exact names and anchored patterns over the profile rows, never substrings.

"GH200" is not "H200", and "RTX 4090 Laptop GPU" is not "RTX 4090". A name that several devices share
("A100", "H100") is an error that lists them, unless a memory size settles it.
"""

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

from hardware.errors import UnknownDeviceError
from hardware.gpu_details import pcie_bytes_per_s
from hardware.spec import Accelerator, Basis
from hardware.units import GB, GIB, MEGA, MIB, TERA, format_bytes
from profiles.errors import ProfileError
from profiles.loader import accelerator_rows

Row: TypeAlias = Mapping[str, str | None]

# Error correction kept in the memory itself takes 1/16 of it (a 24,576 MiB card then reports 23,028 MiB,
# and the other way round +6.7 %), so two reports of one card may differ by that much.
DRIVER_MEMORY_TOLERANCE = 0.07
# A label such as "48GB" against what a driver reports with error correction on: 45.0 GiB, 6.3 % less.
LABEL_MEMORY_TOLERANCE = 0.08
_MAX_NAME_LENGTH = 100
_MAX_SUGGESTIONS = 5

# A brand in front of a name adds nothing that tells two devices apart, nor does that a machine passes it on.
_BRANDS = frozenset(
    {
        "nvidia",
        "geforce",
        "tesla",
        "amd",
        "radeon",
        "instinct",
        "intel",
        "apple",
        "google",
        "aws",
        "habana",
        "virtualized",
    }
)
# Nor do these behind it: "H100 GPU", "Arc B580 Graphics".
_KINDS = frozenset({"gpu", "graphics", "accelerator"})
_MARKS = re.compile(r"\((?:r|tm|c)\)|[®™©]", re.IGNORECASE)
_SEPARATORS = re.compile(r"[\s_()\-\u2010-\u2015]+")
# Stated FP16 matrix rate over FP32 vector rate, where units and clocks are not in the profile: makers' data sheets
# (L40S 362 / 91.6, H100 989 / 67, B200 2250 / 75, MI300X 1307 / 81.7 without dual issue); Apple's GPUs had no
# matrix units before M5.
_MATRIX_TO_VECTOR = {
    "Ada": 4.0, "Hopper": 14.8, "Blackwell": 30.0, "Blackwell Ultra": 30.0, "CDNA2": 8.0, "CDNA3": 16.0,
    "CDNA4": 29.0, "RDNA3.5": 4.0, "Apple M1": 1.0, "Apple M2": 1.0, "Apple M3": 1.0, "Apple M4": 1.0,
    "Apple M5": 4.0,
}  # fmt: skip
_RATES = {
    "fp16": "fp16_tflop_per_s",
    "bf16": "bf16_tflop_per_s",
    "fp8": "fp8_tflop_per_s",
    "fp4": "fp4_tflop_per_s",
    "int8": "int8_top_per_s",
}


def find_accelerator(
    name: str, rows: Iterable[Row] | None = None, *, memory_bytes: int | None = None
) -> Accelerator:
    """The device that a person means by `name`, such as "RTX 4090" or "H100 SXM".

    `memory_bytes` settles a name with several capacities, and is needed where the device uses main memory
    and is sold with different amounts of it. Raises UnknownDeviceError when no row or several rows match.
    """
    table = _table(rows)
    key = _key(name)
    exact = [row for row in table if key and _is_called(row, name, key)]
    family = [row for row in table if key and key in _keys(row, "family_names")]
    by_driver = [row for row in table if _pattern_matches(row, name)]
    found = exact or family or by_driver
    if not found:
        raise UnknownDeviceError(_unknown(name, key, table))
    shared = not exact and bool(family)
    if memory_bytes is not None:
        # "RTX 3080 12GB": the plain name means the 10 GB card, the size says that it is its namesake.
        groups = (_of_size(rows_, memory_bytes) for rows_ in (exact, family, by_driver))
        fitting = next((rows_ for rows_ in groups if rows_), [])
        if not fitting:
            raise UnknownDeviceError(
                f"no {_shown(name)} with {_label(memory_bytes)} is known; known are: {_choices(found)}"
            )
        found, shared = fitting, False
    if len(found) > 1 or shared:
        raise UnknownDeviceError(
            f"{_shown(name)} can mean more than one device; write the full name, one of: {_choices(found)}"
        )
    return accelerator_from_row(found[0], memory_bytes=memory_bytes)


def devices_called(name: str, rows: Iterable[Row] | None = None) -> tuple[Accelerator, ...]:
    """All profiled devices of a fixed memory size that a name may mean; several for "Tesla V100"."""
    table = _table(rows)
    key = _key(name)
    exact = [row for row in table if key and _is_called(row, name, key)]
    found = exact or [row for row in table if key and key in _keys(row, "family_names")]
    return tuple(accelerator_from_row(row) for row in found if _number(row, "memory_mib") is not None)


def match_driver_name(
    name: str, memory_bytes: int | None, rows: Iterable[Row] | None = None
) -> Accelerator | None:
    """The device that a driver reports as `name` with `memory_bytes`, or None when no single row fits.

    The size must agree within 7 %: one name can hide two cards (an RTX 3060 with 8 or 12 GB differs in
    bandwidth too), so a name without its size is not a match.
    """
    key = _key(name)
    found = [row for row in _table(rows) if _pattern_matches(row, name) or _is_called(row, name, key)]
    if memory_bytes is not None:
        found = [row for row in found if _size_agrees(row, memory_bytes)]
    if len(found) != 1:
        return None
    if memory_bytes is None and _number(found[0], "memory_mib") is None:
        return None
    return accelerator_from_row(found[0], memory_bytes=memory_bytes)


def is_device_name(name: str, rows: Iterable[Row] | None = None) -> bool:
    """Whether any row has this name, alone or with others; "EPYC 9654" is none, "A100" is one of several."""
    key = _key(name)
    return any(
        _is_called(row, name, key) or key in _keys(row, "family_names") or _pattern_matches(row, name)
        for row in _table(rows)
        if key
    )


def all_accelerators(rows: Iterable[Row] | None = None) -> tuple[Accelerator, ...]:
    """Every profiled device of a fixed memory size; chips sold with a choice of main memory are left out."""
    return tuple(accelerator_from_row(row) for row in _table(rows) if _number(row, "memory_mib") is not None)


def accelerator_from_row(row: Row, *, memory_bytes: int | None = None) -> Accelerator:
    """One profile row as a record in base units.

    `memory_bytes` is the size of this very device where it is a part of main memory.
    """
    memory_mib = _number(row, "memory_mib")
    if memory_bytes is not None and _is_unified(row):
        size_bytes = memory_bytes
    elif memory_mib is not None:
        size_bytes = round(memory_mib * MIB)
    else:
        name = _text(row, "name")
        raise UnknownDeviceError(
            f"{name} uses main memory and is sold with different amounts of it; add it, for example '64GiB'"
        )
    bandwidth = _required(row, "memory_gb_per_s")
    link = _number(row, "link_gb_per_s")
    rates = {kind: _number(row, column) for kind, column in _RATES.items()}
    return Accelerator(
        id=_text(row, "id"),
        name=_text(row, "name"),
        vendor=_text(row, "vendor"),
        architecture=_text(row, "architecture"),
        memory_bytes=size_bytes,
        memory_bytes_per_s=bandwidth * GB,
        dense_flop_per_s=MappingProxyType(
            {kind: rate * TERA for kind, rate in rates.items() if rate is not None}
        ),
        power_w=_number(row, "power_w"),
        unified_memory=_is_unified(row),
        memory_type=row.get("memory_type") or None,
        compute_capability=row.get("compute_capability") or None,
        link_bytes_per_s=None if link is None else link * GB,
        pcie_bytes_per_s=_pcie(row),
        vector_flop_per_s=_vector_flop_per_s(row),
        memory_basis=_basis(row, "memory_basis"),
        bandwidth_basis=_basis(row, "bandwidth_basis", default=Basis.VENDOR),
        flop_basis=_basis(row, "flop_basis", default=Basis.VENDOR),
        status=row.get("status") or "agree",
        source=row.get("source") or "",
    )


def _vector_flop_per_s(row: Row) -> float | None:
    """FP32 outside the matrix cores: units · lanes · 2 · clock; where those are not known, by the architecture.

    Two instructions at once, which RDNA3 and later can issue in places, are not counted.
    """
    units, clock = _number(row, "compute_units"), _number(row, "boost_mhz")
    lanes = _lanes(row)
    if units is not None and clock is not None and lanes is not None:
        return units * lanes * 2 * clock * MEGA
    ratio = _MATRIX_TO_VECTOR.get(row.get("architecture") or "")
    rate = _number(row, "fp16_tflop_per_s")
    return None if ratio is None or rate is None else rate * TERA / ratio


def _lanes(row: Row) -> int | None:
    """FP32 lanes of one unit: CUDA programming guide, table of throughput; AMD and Intel architecture guides."""
    vendor = row.get("vendor")
    if vendor == "nvidia":
        return 64 if (row.get("compute_capability") or "") in ("6.0", "7.0", "7.2", "7.5", "8.0") else 128
    return {"amd": 64, "intel": 128}.get(vendor or "")


def _pcie(row: Row) -> float | None:
    """What a slot such as "4.0x16" carries; None where the device has none or its lanes are not said."""
    generation, by, lanes = (row.get("pcie") or "").partition("x")
    if not by:
        return None
    return pcie_bytes_per_s(int(float(generation)), int(lanes))


def mig_slice(
    accelerator: Accelerator, *, memory_bytes: int, n_slices: int, n_slices_total: int
) -> Accelerator:
    """The share of a card that one MIG slice owns: compute by slices, bandwidth by memory.

    A slice has its own memory channels, so bandwidth goes with its part of the memory: 1g.10gb of an
    80 GB A100 has 1/7 of the compute and 1/8 of the bandwidth.
    """
    compute_fraction = min(1.0, n_slices / n_slices_total)
    memory_fraction = min(1.0, memory_bytes / accelerator.memory_bytes)
    return replace(
        accelerator,
        name=f"{accelerator.name}, MIG slice {n_slices}/{n_slices_total}",
        memory_bytes=memory_bytes,
        memory_bytes_per_s=accelerator.memory_bytes_per_s * memory_fraction,
        dense_flop_per_s=MappingProxyType(
            {kind: rate * compute_fraction for kind, rate in accelerator.dense_flop_per_s.items()}
        ),
        power_w=None,
        link_bytes_per_s=None,  # slices cannot reach each other over NVLink
        memory_basis=Basis.MEASURED,
        status="derived from the whole card",
    )


def _table(rows: Iterable[Row] | None) -> Sequence[Row]:
    return accelerator_rows() if rows is None else tuple(rows)


@lru_cache(maxsize=4096)
def _key(name: str) -> str:
    """A name without brand, case and separators: "NVIDIA GeForce RTX-4090" and "rtx4090" are one name."""
    words = [word for word in _SEPARATORS.split(_MARKS.sub(" ", name.casefold())) if word]
    while len(words) > 1 and words[0] in _BRANDS:
        words = words[1:]
    while len(words) > 1 and words[-1] in _KINDS:
        words = words[:-1]
    return "".join(words)


def _keys(row: Row, *columns: str) -> set[str]:
    """All names that a row gives in `columns`, in the form that `_key` compares."""
    names = [name for column in columns for name in (row.get(column) or "").split(";")]
    return {_key(name) for name in names if name.strip()}


def _is_called(row: Row, name: str, key: str) -> bool:
    """Whether a row has this very name; ids count only as they stand ("apple-m4-max" is not every M4 Max)."""
    return key in _keys(row, "name", "aliases") or name.strip().casefold() == row.get("id")


def _pattern_matches(row: Row, name: str) -> bool:
    pattern = row.get("pattern")
    return bool(pattern) and re.fullmatch(pattern or "", " ".join(name.split())) is not None


def _is_unified(row: Row) -> bool:
    return row.get("unified_memory") == "1"


def _of_size(rows: Sequence[Row], memory_bytes: int) -> list[Row]:
    """The rows that come with `memory_bytes` on the label, read as GB or as GiB (labels mix the two)."""
    readings = (memory_bytes, memory_bytes / GB * GIB)
    fitting = []
    for row in rows:
        if _is_unified(row):
            limit_gb = _number(row, "memory_max_gb")  # the largest model that is sold, where known
            if limit_gb is None or memory_bytes <= limit_gb * GIB:
                fitting.append(row)
        elif any(
            math.isclose(_required(row, "memory_mib") * MIB, reading, rel_tol=LABEL_MEMORY_TOLERANCE)
            for reading in readings
        ):
            fitting.append(row)
    # A chip whose largest model has just this much is a better match than one that goes on to more.
    largest = [
        row
        for row in fitting
        if (limit_gb := _number(row, "memory_max_gb")) is not None
        and memory_bytes in (limit_gb * GB, limit_gb * GIB)
    ]
    return largest or fitting


def _size_agrees(row: Row, memory_bytes: int) -> bool:
    if _is_unified(row):
        return True  # what such a driver reports is a share of main memory, set by the system
    size_bytes = _required(row, "memory_mib") * MIB
    return abs(memory_bytes / size_bytes - 1) <= DRIVER_MEMORY_TOLERANCE


def _text(row: Row, column: str) -> str:
    value = row.get(column)
    if not value:
        raise ProfileError(f"accelerators.csv: row {row.get('id')!r} has no {column}; fill it in")
    return value


def _number(row: Row, column: str) -> float | None:
    value = row.get(column)
    if value is None or not value.strip():
        return None
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number <= 0:
        raise ProfileError(
            f"accelerators.csv: row {row.get('id')!r} has {column} = {value!r}; write a positive number"
        )
    return number


def _required(row: Row, column: str) -> float:
    number = _number(row, column)
    if number is None:
        raise ProfileError(f"accelerators.csv: row {row.get('id')!r} has no {column}; fill it in")
    return number


def _basis(row: Row, column: str, *, default: Basis = Basis.ASSUMED) -> Basis:
    value = row.get(column) or default.value
    try:
        return Basis(value)
    except ValueError:
        known = ", ".join(Basis)
        raise ProfileError(
            f"accelerators.csv: row {row.get('id')!r} has {column} = {value!r}; write one of {known}"
        ) from None


def _shown(name: str) -> str:
    """A name that is safe to print on one line."""
    return repr(name if len(name) <= _MAX_NAME_LENGTH else f"{name[:_MAX_NAME_LENGTH]}…")


def _label(n_bytes: int) -> str:
    """A size as a label states it: "48 GB" stays "48 GB"."""
    return f"{n_bytes // GB} GB" if n_bytes % GB == 0 else format_bytes(n_bytes)


def _choices(rows: Sequence[Row]) -> str:
    return "; ".join(_text(row, "name") for row in rows)


def _unknown(name: str, key: str, table: Sequence[Row]) -> str:
    """The message for a name that no row has: the nearest names, and the facts that a new row needs."""
    names = {
        known: _text(row, "name") for row in table for known in _keys(row, "name", "aliases", "family_names")
    }
    near = dict.fromkeys(
        names[known]
        for known in difflib.get_close_matches(key[:_MAX_NAME_LENGTH], names, n=2 * _MAX_SUGGESTIONS)
    )
    facts = (
        "its facts, for example 'my-gpu=24GiB@900GB/s,fp16=150T' (memory, memory bandwidth, dense FP16 rate)"
    )
    if not near:
        return f"no profile is known for the device {_shown(name)}; give {facts}"
    nearest = "; ".join(list(near)[:_MAX_SUGGESTIONS])
    return f"no profile is known for the device {_shown(name)}; nearest are: {nearest}; or give {facts}"
