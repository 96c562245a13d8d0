"""An evaluation file of any known kind."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hardware.units import MIB
from planner.compare.solved import EvaluationResult
from planner.errors import MalformedError
from planner.quoting import quoted
from planner.readers.byte_source import read_bounded
from planner.readers.evaluations.inspect_log import inspect_results, is_inspect
from planner.readers.evaluations.lm_eval import is_lm_eval, lm_eval_results
from planner.readers.evaluations.own_rows import own_results

MAX_BYTES = 64 * MIB  # a log of Inspect holds every message of every sample


def read_evaluation(path: Path) -> tuple[EvaluationResult, ...]:
    """The results in a file: of lm-evaluation-harness, of Inspect, or rows of one's own in CSV or JSON.

    Raises ReadError, one line, for anything else.
    """
    return parse_evaluation(read_bounded(path, MAX_BYTES), quoted(path), path.suffix.casefold())


def parse_evaluation(data: bytes, shown: str, suffix: str = ".json") -> tuple[EvaluationResult, ...]:
    """The results in the bytes of a file; `shown` stands in messages, already quoted."""
    try:
        decoded = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        hint = "; convert it with `inspect log convert --to json`" if suffix == ".eval" else ""
        raise MalformedError(f"{shown} is not text (byte {error.start:,}){hint}") from error
    try:
        if suffix == ".csv":
            return own_results(_csv_rows(decoded, shown), shown)
        return _from_json(decoded, shown)
    except ValueError as error:  # counts that cannot be, as the record itself says
        raise MalformedError(f"{shown}: {quoted(error)[1:-1]}") from error


def _csv_rows(text: str, shown: str) -> list[dict[str, Any]]:
    found = []
    try:
        for index, row in enumerate(csv.DictReader(io.StringIO(text, newline=""), strict=True)):
            if None in row:
                raise MalformedError(f"{shown}, row {index + 1}: more cells than the header has")
            found.append(dict(row))
    except csv.Error as error:
        raise MalformedError(f"{shown} is not readable as CSV: {quoted(error)[1:-1]}") from error
    return found


def _from_json(text: str, shown: str) -> tuple[EvaluationResult, ...]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"{shown} is not readable as JSON: {quoted(error)[1:-1]}") from error
    if isinstance(document, list):
        rows = [row for row in document if isinstance(row, Mapping)]
        if len(rows) != len(document):
            raise MalformedError(f"{shown} is a list of more than objects; give one object for each task")
        return own_results(rows, shown)
    if isinstance(document, Mapping):
        for holds, read in ((is_inspect, inspect_results), (is_lm_eval, lm_eval_results)):
            if holds(document):
                return read(document, shown)
    raise MalformedError(
        f"{shown} is neither a results file of lm-evaluation-harness, a log of Inspect, nor a list of results"
    )
