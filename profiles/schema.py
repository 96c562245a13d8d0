"""What every profile row must look like; a row that does not says which file, row and field is wrong.

Packaged rows are checked by the tests, rows from the user's own folder when they are read.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeGuard

from profiles.errors import ProfileError

Row = Mapping[str, str | None]

_SLUG = re.compile(r"[a-z0-9][a-z0-9.+_-]*")
_DATE = re.compile(r"\d{4}(?:-(?:(?:0[1-9]|1[0-2])(?:-\d{2})?|Q[1-4]|H[12]))?")
_MAX_CELL_CHARS = 2_000
_MAX_CONFIG_NUMBER = 10**15


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table: what a cell may hold. An empty cell means unknown, where that is allowed."""

    name: str
    kind: str = "text"  # text | list | slug | int | float | flag | date | regex | choice
    required: bool = False
    low: float = 0.0
    high: float = float("inf")
    choices: tuple[str, ...] = ()

    def expected(self) -> str:
        """What a cell should hold, in words."""
        if self.kind in ("int", "float"):
            what = "a whole number" if self.kind == "int" else "a number"
            return f"{what} from {self.low:g} to {self.high:g}"
        return {
            "text": "text",
            "list": "texts separated by ';', none of them empty",
            "slug": "lower-case letters, digits and any of . + _ -, for example rtx-4090",
            "flag": "0 or 1",
            "date": "a date such as 2026, 2026-05, 2026-Q1 or 2026-05-18",
            "regex": "a regular expression",
            "choice": f"one of {', '.join(self.choices)}",
        }[self.kind]

    def accepts(self, cell: str) -> bool:
        """Whether a cell that is not empty may stand in this column."""
        if len(cell) > _MAX_CELL_CHARS or not cell.isprintable():
            return False
        if self.kind in ("int", "float"):
            return self._accepts_number(cell)
        if self.kind == "list":
            return all(part.strip() for part in cell.split(";"))
        if self.kind == "regex":
            return _compiles(cell)
        if self.kind == "slug":
            return _SLUG.fullmatch(cell) is not None
        if self.kind == "date":
            return _DATE.fullmatch(cell) is not None
        return self.kind == "text" or cell in (("0", "1") if self.kind == "flag" else self.choices)

    def _accepts_number(self, cell: str) -> bool:
        pattern = r"\d+" if self.kind == "int" else r"\d+(?:\.\d+)?"
        return re.fullmatch(pattern, cell, re.ASCII) is not None and self.low <= float(cell) <= self.high


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


_RATE = {"kind": "float", "low": 0.1, "high": 100_000.0}  # TFLOP/s: an M1 has 2.6, a GB300 15,000 in FP4
_FLOP_COLUMNS = (
    "fp16_tflop_per_s", "bf16_tflop_per_s", "fp8_tflop_per_s", "fp4_tflop_per_s", "int8_top_per_s",
)  # fmt: skip

ACCELERATOR_COLUMNS = (
    Column(name="id", kind="slug", required=True),
    Column(name="name", required=True),
    Column(name="aliases", kind="list"),
    Column(name="family_names", kind="list"),
    Column(name="pattern", kind="regex"),
    Column(name="vendor", kind="slug", required=True),
    Column(name="architecture", required=True),
    Column(name="marketing_gb", kind="float", low=1, high=4096),
    Column(
        name="memory_max_gb", kind="float", low=1, high=4096
    ),  # the largest size a unified chip is sold with
    Column(name="memory_mib", kind="int", low=1024, high=4_194_304),
    Column(name="memory_basis", kind="choice", choices=("vendor", "derived", "assumed")),
    Column(name="memory_gb_per_s", kind="float", required=True, low=10, high=100_000),
    Column(name="bandwidth_basis", kind="choice", choices=("vendor", "derived", "assumed")),
    Column(name="memory_bus_bits", kind="int", low=32, high=65_536),
    Column(name="memory_gbit_per_pin", kind="float", low=0.5, high=100),
    *(Column(name=name, **_RATE) for name in _FLOP_COLUMNS),  # type: ignore[arg-type]
    Column(name="flop_basis", kind="choice", choices=("vendor", "derived", "assumed")),
    Column(name="compute_units", kind="int", low=1, high=10_000),  # SM, CU, Xe core or GPU core
    Column(name="boost_mhz", kind="float", low=100, high=10_000),
    Column(name="power_w", kind="float", low=1, high=5_000),
    Column(name="link_gb_per_s", kind="float", low=1, high=10_000),  # one way
    Column(name="link_type"),
    Column(name="pcie"),
    Column(name="memory_type"),
    Column(name="compute_capability"),
    Column(name="unified_memory", kind="flag", required=True),
    Column(name="status", required=True),
    Column(name="conflict_fields"),
    Column(name="checked_on", kind="date"),  # when the sources were compared
    Column(name="source", required=True),
    Column(name="note"),
)
RENT_COLUMNS = (
    Column(name="id", kind="slug", required=True),
    Column(name="accelerator_id", kind="slug", required=True),
    Column(name="provider", required=True),
    Column(name="kind", kind="choice", required=True, choices=("on-demand", "spot", "reserved", "tco")),
    Column(name="usd_per_gpu_hour_low", kind="float", required=True, low=0.01, high=1_000),
    Column(name="usd_per_gpu_hour_high", kind="float", required=True, low=0.01, high=1_000),
    Column(name="all_in_power_w", kind="float", low=1, high=20_000),
    Column(name="as_of", kind="date"),
    Column(name="source", required=True),
    Column(name="note"),
)
PURCHASE_COLUMNS = (
    Column(name="id", kind="slug", required=True),
    Column(name="accelerator_id", kind="slug", required=True),
    Column(name="kind", kind="choice", required=True, choices=("new", "used", "list", "estimate")),
    Column(name="unit", kind="choice", required=True, choices=("gpu", "machine")),
    Column(name="usd_low", kind="float", required=True, low=1, high=10_000_000),
    Column(name="usd_high", kind="float", required=True, low=1, high=10_000_000),
    Column(name="as_of", kind="date"),
    Column(name="source", required=True),
    Column(name="note"),
)
REFERENCE_API_COLUMNS = (
    Column(name="id", kind="slug", required=True),
    Column(name="group", required=True),
    Column(name="kind", kind="choice", required=True, choices=("closed", "open")),
    Column(name="catalogue_id", kind="slug"),
    Column(name="provider", required=True),
    Column(name="model_id", required=True),
    Column(name="reason", required=True),
)

# Makers round: 936.2 GB/s are printed as 936, 1,008 as 1,010.
BANDWIDTH_TOLERANCE = 0.01

# FP8 runs at most twice as fast as FP16 and FP4 four times as fast as FP8 (GeForce, which halves FP8 with
# FP32 accumulation); INT8 at most four times FP16 (GeForce again). More than that is a rate with sparsity.
_MAX_RATIO = (
    ("fp8_tflop_per_s", ("fp16_tflop_per_s", "bf16_tflop_per_s"), 2.1),
    ("fp4_tflop_per_s", ("fp8_tflop_per_s",), 4.2),
    ("int8_top_per_s", ("fp16_tflop_per_s", "bf16_tflop_per_s"), 4.2),
)


def check_accelerator(row: Row, file: str) -> None:
    """Refuse an accelerator row whose cells, or their relation to each other, cannot be right."""
    check_cells(row, ACCELERATOR_COLUMNS, file)
    if row["memory_mib"] is None and row["unified_memory"] == "0":
        raise problem(
            file, row["id"], "memory_mib", "nothing", "a size, as only unified memory is left to the user"
        )
    if (row["memory_mib"] is None) != (row["memory_basis"] is None):
        raise problem(
            file, row["id"], "memory_basis", row["memory_basis"], "a basis exactly when memory_mib is given"
        )
    _check_bandwidth(row, file)
    for name, references, ratio in _MAX_RATIO:
        rate = number(row[name])
        known = [value for value in (number(row[reference]) for reference in references) if value is not None]
        if rate is not None and known and rate > ratio * max(known):
            expected = f"at most {ratio:g} times {max(known):g}, the dense rate of {references[0]}"
            raise problem(file, row["id"], name, f"{rate:g}", f"{expected} (is this a rate with sparsity?)")


def _check_bandwidth(row: Row, file: str) -> None:
    """A bandwidth is bus width times data rate, where both are given."""
    bus, rate = number(row["memory_bus_bits"]), number(row["memory_gbit_per_pin"])
    if (bus is None) != (rate is None):
        raise problem(
            file,
            row["id"],
            "memory_gbit_per_pin",
            row["memory_gbit_per_pin"],
            "both or neither of memory_bus_bits and memory_gbit_per_pin",
        )
    if bus is None or rate is None:
        return
    product, given = bus / 8 * rate, float(row["memory_gb_per_s"] or 0)
    if abs(product / given - 1) > BANDWIDTH_TOLERANCE:
        expected = f"{product:g}, which is {bus:g} bits / 8 x {rate:g} Gbit/s per pin"
        raise problem(file, row["id"], "memory_gb_per_s", f"{given:g}", expected)


def check_rent(row: Row, file: str) -> None:
    """Refuse a rent row that cannot be right."""
    check_cells(row, RENT_COLUMNS, file)
    _check_order(row, "usd_per_gpu_hour_low", "usd_per_gpu_hour_high", file)


def check_purchase(row: Row, file: str) -> None:
    """Refuse a purchase row that cannot be right."""
    check_cells(row, PURCHASE_COLUMNS, file)
    _check_order(row, "usd_low", "usd_high", file)


def check_reference_api(row: Row, file: str) -> None:
    """Refuse a row of the reference APIs that cannot be right."""
    check_cells(row, REFERENCE_API_COLUMNS, file)


def check_calibration(row: Row, file: str) -> None:
    """Refuse a calibration row without an id or a source; the columns between belong to the calibration."""
    for name in ("id", "source"):
        if row.get(name) is None:
            raise problem(file, row.get("id"), name, "nothing", "text")


def _check_order(row: Row, low: str, high: str, file: str) -> None:
    if float(row[low] or 0) > float(row[high] or 0):
        raise problem(file, row["id"], high, row[high], f"at least {low}, which is {row[low]}")


def check_cells(row: Row, columns: Sequence[Column], file: str) -> None:
    """Refuse a row with an unknown column, a missing cell, or a cell of the wrong kind or range."""
    names = [column.name for column in columns]
    for name in row:
        if name not in names:
            near = get_close_matches(name[:80], names, n=1)
            hint = f"the column {near[0]!r}" if near else f"one of the columns {', '.join(names)}"
            raise problem(file, row.get("id"), name, "a column of that name", hint)
    for column in columns:
        cell = row.get(column.name)
        if cell is None:
            if column.required:
                raise problem(file, row.get("id"), column.name, "nothing", column.expected())
        elif not column.accepts(cell):
            raise problem(file, row.get("id"), column.name, cell, column.expected())


def number(cell: str | None) -> float | None:
    """The number in a checked cell; None when it is empty."""
    return None if cell is None else float(cell)


def problem(file: str, row: str | None, field: str, found: object, expected: str) -> ProfileError:
    """The error that names file, row and field, and says what was found and what was expected."""
    shown = found if isinstance(found, str) and found in ("nothing", "a column of that name") else repr(found)
    return ProfileError(
        f"{file}, row {row!r}, field {field!r}: found {str(shown)[:120]}, expected {expected}"
    )


_PARAMETER_FIELDS = ("total", "includes", "text", "source", "beside", "why")
_BASES = ("file", "published", "counted from config", "recalled")
ASSUMPTION_BASES = ("measured", "vendor", "given", "derived", "assumed")
_MODEL_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "id": (lambda value: isinstance(value, str) and bool(_SLUG.fullmatch(value)), "a lower-case id"),
    "name": (lambda value: _is_text(value), "text"),
    "hub_id": (
        lambda value: value is None or (_is_text(value) and value.count("/") == 1),
        "owner/name or null",
    ),
    "aliases": (lambda value: isinstance(value, list) and all(map(_is_text, value)), "a list of texts"),
    "family": (lambda value: _is_text(value), "text"),
    "licence": (lambda value: value is None or _is_text(value), "text or null"),
    "released": (
        lambda value: value is None or (_is_text(value) and bool(_DATE.fullmatch(value))),
        "a date or null",
    ),
    "context_tokens": (lambda value: value is None or _is_count(value), "a positive whole number or null"),
    "modalities": (lambda value: isinstance(value, list) and "text" in value, 'a list with "text" in it'),
    "parameters": (lambda value: isinstance(value, dict), "an object"),
    "config": (lambda value: isinstance(value, dict), "an object"),
    "sources": (lambda value: isinstance(value, list) and bool(value), "a list with at least one source"),
}


def check_model(entry: Mapping[str, Any], file: str) -> None:
    """Refuse a model of the catalogue that lacks a field, or whose config names no architecture."""
    row = str(entry.get("id"))
    for name in entry:
        if name not in _MODEL_FIELDS:
            raise problem(file, row, name, "a column of that name", f"one of {', '.join(_MODEL_FIELDS)}")
    for name, (accepts, expected) in _MODEL_FIELDS.items():
        if name not in entry or not accepts(entry[name]):
            raise problem(file, row, name, entry.get(name, "nothing"), expected)
    parameters = entry["parameters"]
    for name in ("total", "text"):
        value = parameters.get(name)
        if value is not None and not _is_count(value):
            raise problem(file, row, f"parameters.{name}", value, "a positive whole number or null")
    if parameters.get("total") is not None and not _is_text(parameters.get("source")):
        raise problem(
            file, row, "parameters.source", parameters.get("source", "nothing"), "where the total is from"
        )
    _check_difference(parameters, row, file)
    if not _is_text(entry["config"].get("model_type")):
        raise problem(file, row, "config.model_type", "nothing", "the architecture, for example llama")
    for source in entry["sources"]:
        _check_model_source(source, row, file)


def _check_difference(parameters: Mapping[str, Any], row: str, file: str) -> None:
    """Elements that the files hold beside the counted weights, or leave out: a number, and why."""
    for name in parameters:
        if name not in _PARAMETER_FIELDS:
            expected = f"one of {', '.join(_PARAMETER_FIELDS)}"
            raise problem(file, row, f"parameters.{name}", "a column of that name", expected)
    beside = parameters.get("beside")
    if beside is not None and not (isinstance(beside, int) and _is_count(abs(beside))):
        raise problem(file, row, "parameters.beside", beside, "a whole number other than 0")
    if (beside is not None) != _is_text(parameters.get("why")):
        found = parameters.get("why", "nothing")
        raise problem(file, row, "parameters.why", found, "a reason exactly when beside is given")


def _check_model_source(source: object, row: str, file: str) -> None:
    if not isinstance(source, dict) or not all(
        _is_text(source.get(key)) for key in ("what", "where", "basis")
    ):
        raise problem(file, row, "sources", source, "objects with what, where, date and basis")
    if not source["basis"].startswith(_BASES):
        raise problem(
            file, row, "sources.basis", source["basis"], f"text that starts with {' or '.join(_BASES)}"
        )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_CELL_CHARS and value.isprintable()


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < _MAX_CONFIG_NUMBER


def check_assumption(name: str, table: object, file: str) -> None:
    """Refuse an assumption without a value, a unit, a basis and a source, or with bounds that do not hold the value."""
    if not isinstance(table, dict):
        raise problem(file, name, "value", table, "a table with value, unit, basis and source")
    value = table.get("value")
    if not _is_number(value) or value < 0:
        raise problem(file, name, "value", table.get("value", "nothing"), "a number that is not negative")
    low, high = table.get("low", value), table.get("high", value)
    for key, bound in (("low", low), ("high", high)):
        if not _is_number(bound):
            raise problem(file, name, key, bound, "a number")
    if not low <= value <= high:
        raise problem(file, name, "value", value, f"a number between low and high, {low:g} and {high:g}")
    for key in ("unit", "basis", "source"):
        if not _is_text(table.get(key)):
            raise problem(file, name, key, table.get(key, "nothing"), "text")
    if table["basis"] not in ASSUMPTION_BASES:
        raise problem(file, name, "basis", table["basis"], f"one of {', '.join(ASSUMPTION_BASES)}")
    if table.get("as_of") is not None and not (_is_text(table["as_of"]) and _DATE.fullmatch(table["as_of"])):
        raise problem(file, name, "as_of", table["as_of"], "a date such as 2026, 2026-05 or 2026-05-18")


def _is_number(value: object) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _MAX_CONFIG_NUMBER  # false for what is not a number (NaN), too
