"""How far off the planner is on loads that somebody recorded."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from planner.errors import MalformedError
from planner.estimate.llama_cpp_rows.predict import LoadPredictor
from planner.estimate.llama_cpp_rows.row import COLUMNS as LOAD_COLUMNS
from planner.estimate.served.rows import Resolve
from planner.estimate.served.rows import predict as predict_served
from planner.estimate.validation import Prediction, Score, scores
from planner.progress import Progress
from planner.quoting import quoted
from planner.readers.catalogue_lookup import catalogue_resolver, known_networks
from planner.readers.measurement_table import MeasurementTable, read_table
from planner.readers.recorded_network import network_of_columns

Row = Mapping[str, str]
SERVED_COLUMNS = ("engine", "model", "weights_load_gib", "kv_cache_gib", "kv_tokens")
# Sums over whatever devices there are: every device's own figure is one of these.
_DEVICE = "device "
_SUPPOSED = "supposed device "
# What stands for a whole start-up: a device's buffers, or the pool that a serving engine is left with.
TOTAL = "total"
_POOL = "kv_pool"


@dataclass(frozen=True, kw_only=True)
class MemoryValidation:
    """Every prediction of a table of recorded loads, and the scores of their components."""

    name: str
    n_rows: int
    predictions: tuple[Prediction, ...]
    scores: tuple[Score, ...]
    group_scores: tuple[Score, ...]


def validate_memory(path: str | Path, *, progress: Progress | None = None) -> MemoryValidation:
    """Predicts what engines allocated, from what stood fixed before they started, and compares.

    The file is a CSV table of load logs, of llama.cpp's family or of vLLM and SGLang; its columns say which.
    Raises ReadError subclasses for a file that is neither, or for a cell that cannot be read.
    """
    table = read_table(Path(path))
    predict = _predictor(table)
    found: list[Prediction] = []
    for number, row in enumerate(table.rows):
        if progress is not None:
            progress(number / len(table.rows), row.get("id", ""))
        try:
            found += predict(number, row)
        except MalformedError as error:
            raise MalformedError(f"{quoted(table.name)}, row {number}: {error}") from None
    if progress is not None:
        progress(1, "")
    scored = [_of_any_device(prediction) for prediction in found]
    return MemoryValidation(
        name=Path(path).name,
        n_rows=len(table.rows),
        predictions=tuple(found),
        scores=scores(scored),
        group_scores=scores(scored, by_group=True),
    )


def _of_any_device(prediction: Prediction) -> Prediction:
    """A device's total scored with those of all others, whatever the device is called."""
    if prediction.component.startswith(_SUPPOSED):
        return replace(prediction, component="supposed total per device")
    is_total = prediction.component.startswith(_DEVICE) or prediction.component == _POOL
    return replace(prediction, component=TOTAL) if is_total else prediction


def _predictor(table: MeasurementTable) -> Callable[[int, Row], Sequence[Prediction]]:
    if table.has(LOAD_COLUMNS):
        loads = LoadPredictor(known_networks(), network_of_columns)
        return lambda number, row: tuple(_load(loads, number, row))
    if table.has(SERVED_COLUMNS):
        resolve = catalogue_resolver()
        return lambda number, row: tuple(_served(resolve, number, row))
    missing = min(
        (sorted(set(columns) - set(table.columns)) for columns in (LOAD_COLUMNS, SERVED_COLUMNS)), key=len
    )
    raise MalformedError(
        f"{quoted(table.name)} is no table of recorded loads: the column {quoted(missing[0])} is missing; "
        f"llama.cpp's logs have {', '.join(LOAD_COLUMNS)}, serving engines' {', '.join(SERVED_COLUMNS)}"
    )


def _load(loads: LoadPredictor, number: int, row: Row) -> Iterator[Prediction]:
    found = loads.predict(row)
    for part in found.components:
        yield Prediction(
            row=number, engine=found.engine, component=part.name, group=found.group, unit=part.unit,
            expected=part.expected, measured=part.measured, reason=part.reason, given=part.given,
            notes=found.notes,
        )  # fmt: skip


def _served(resolve: Resolve, number: int, row: Row) -> Iterator[Prediction]:
    found = predict_served(row, resolve)
    engine = (row.get("engine") or "").strip().lower()
    if isinstance(found, str):
        yield Prediction(
            row=number, engine=engine, component="kv_pool", group=row.get("model", ""), unit="bytes",
            expected=None, measured=None, reason=found,
        )  # fmt: skip
        return
    for part in found.components:
        yield Prediction(
            row=number, engine=found.engine, component=part.name, group=found.model, unit=part.unit,
            expected=part.expected, measured=part.measured, reason=part.reason, given=part.given,
            notes=found.notes,
        )  # fmt: skip
