"""Fuzzes the readers of evaluation results, pipelines and figures of costs: raw bytes, then odd values in sound files."""

import json
from datetime import date

from tests.fuzz.choices import Choices, odd_value
from tests.fuzz.harness import instrumented, main
from tests.planner.readers.evaluations.test_evaluations import INSPECT, LM_EVAL
from tests.planner.readers.test_pipeline_file import GOOD

with instrumented():
    from planner.compare.scenario import STATED_UNITS
    from planner.prices.figure import assumed_figures
    from planner.readers.cost_file import parse_costs
    from planner.readers.evaluations.file import parse_evaluation
    from planner.readers.pipeline_file import parse_pipeline

_ROWS = [{"model": "a", "solved": 1, "usd": 0.1, "minutes": 3}, {"model": "b", "n_tasks": 5, "n_solved": 2}]
_CSV = b"model,solved,attempts,usd\na,1,1,0.02\na,0,3,0.06\n"
_COSTS = b'pue = 1.2\nmachine_usd = "5000(4000-6000) EUR"\n[electricity_usd_per_kwh]\nvalue = 0.2\nlow = 0.1\nsource = "me"\n'
_DAY = date(2026, 11, 20)


def target(data: bytes) -> None:
    """Read the bytes as one of the three kinds of file, or a sound evaluation with an odd value somewhere."""
    choices = Choices(data)
    kind = choices.number() % 5
    if kind == 0:
        parse_pipeline(choices.rest(), "'file'")
    elif kind == 1:
        parse_costs(choices.rest(), "'file'", assumed_figures(), STATED_UNITS, _DAY)
    elif kind == 2:
        parse_evaluation(choices.rest(), "'file'", choices.pick((".csv", ".json", ".eval")))
    elif kind == 3:
        parse_evaluation(choices.rest(), "'file'", ".csv")
    else:
        document = json.loads(json.dumps(choices.pick((INSPECT, LM_EVAL, _ROWS))))
        for _ in range(1 + choices.number() % 3):
            _spoil(document, choices)
        parse_evaluation(json.dumps(document).encode("utf-8", "surrogatepass"), "'file'")


def _spoil(document: object, choices: Choices) -> None:
    """Puts an odd value somewhere into a document."""
    while True:
        keys = list(document) if isinstance(document, dict) else list(range(len(document)))  # type: ignore[arg-type]
        if not keys:
            return
        key = choices.pick(keys)
        inner = document[key]  # type: ignore[index]
        if not isinstance(inner, dict | list) or choices.number() % 3 == 0:
            document[key] = odd_value(choices)  # type: ignore[index]
            return
        document = inner


def seeds() -> list[bytes]:
    """Sound files of each kind, and choices for spoiled ones."""
    return [
        b"\0" + GOOD.encode(),
        b"\1" + _COSTS,
        *(b"\2" + json.dumps(document).encode() for document in (INSPECT, LM_EVAL, _ROWS[:1], _ROWS[1:])),
        b"\3" + _CSV,
        *(bytes([4, n % 3, n % 3, 7 * n % 256, n, 3 * n % 256, n % 5, 2 * n, n]) for n in range(40)),
    ]


if __name__ == "__main__":
    main("costs", target, seeds())
