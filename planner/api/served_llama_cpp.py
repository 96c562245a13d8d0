"""Rows of served throughput that llama.cpp's own tools made, predicted as the tests that those tools time."""

from collections.abc import Mapping, Sequence

from planner.api.bench_speeds import bench_predictions
from planner.estimate.serving_speed.row_sources import SourceDevice, source_device
from planner.estimate.speed_validation import SpeedPrediction
from planner.readers.speed_rows.models import UnplacedError
from planner.readers.speed_rows.served_row import ServedTest, served_test


def is_llama_cpp(row: Mapping[str, str]) -> bool:
    """Whether llama.cpp made the row."""
    return row["engine"].strip().casefold() == "llama.cpp"


def served_llama_cpp(
    rows: Mapping[int, Mapping[str, str]], sources: Sequence[SourceDevice]
) -> list[SpeedPrediction]:
    """Tokens per second of rows by number, or the reason why there are none; by the packaged calibration."""
    found: dict[int, ServedTest] = {}
    predictions = []
    for number, row in rows.items():
        told = source_device(sources, row.get("origin", ""), row["engine"], row["hardware"])
        try:
            found[number] = served_test(row, told)
        except UnplacedError as error:
            predictions.append(_unplaced(number, str(error)))
    tests = [test for one in found.values() for test in one.tests]
    answers = iter(bench_predictions(tests, hold_out="none") if tests else ())
    for number, one in found.items():
        parts = [next(answers) for _ in one.tests]
        missing = next((part.reason for part in parts if part.expected is None), None)
        if missing is not None:
            predictions.append(_unplaced(number, missing))
        else:
            predictions.append(_joined(number, rows[number], one, parts))
    return predictions


def _joined(
    number: int, row: Mapping[str, str], one: ServedTest, parts: Sequence[SpeedPrediction]
) -> SpeedPrediction:
    """The rate over all tests; doubts about them come from the same device and model, so bounds are taken together."""

    def rate(bound: str) -> float:
        seconds = sum(n / float(getattr(part, bound)) for n, part in zip(one.n_tokens, parts, strict=True))
        return one.counted / seconds

    low, expected, high = rate("low"), rate("expected"), rate("high")
    return SpeedPrediction(
        row=number, speed_class="served", quantity="tok_s",
        group=f"{row['hardware']}|{row['model']}|{row.get('quant', '')}|{row['engine']}",
        measured=one.tokens_per_s, low=low, expected=expected, high=high, device=row["hardware"], model=row["model"],
        engine=row["engine"],
    )  # fmt: skip


def _unplaced(number: int, reason: str) -> SpeedPrediction:
    return SpeedPrediction(
        row=number, speed_class=None, quantity="tok_s", group="", measured=None, reason=reason
    )
