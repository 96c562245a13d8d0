"""Rows of measured serving throughput predicted by the packaged fit of latencies, which has not seen them."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from planner.api.served_llama_cpp import is_llama_cpp, served_llama_cpp
from planner.api.serving_facts import serving_facts
from planner.api.serving_rows import row_reader
from planner.errors import MissingFactError
from planner.estimate.serving_speed.deployment import batch
from planner.estimate.serving_speed.latency import latency
from planner.estimate.serving_speed.rate_rows import RateRow, answered_per_s, read_rate
from planner.estimate.serving_speed.served_latency import kind
from planner.estimate.serving_speed.spread import Spread, spread_for, spreads_of
from planner.estimate.serving_speed.step_rates import StepRates
from planner.estimate.speed_validation import SpeedPrediction
from planner.progress import Progress
from planner.speed.held_out import HoldOut

Rows = Sequence[Mapping[str, str]]
_SOURCE: Final = "published throughput of vLLM, SGLang and TensorRT-LLM, which no fit has seen"


def rate_predictions(
    rows: Rows, progress: Progress | None = None, _: HoldOut = "none"
) -> list[SpeedPrediction]:
    """Tokens per second of every row, or the reason why there is none.

    The fit is one of latencies, so every row is unseen, whatever is asked to be held out.
    """
    facts = serving_facts()
    ours = {number: row for number, row in enumerate(rows) if is_llama_cpp(row)}
    found, reasons = _read(rows)
    predictions = served_llama_cpp(ours, row_reader().sources) + [
        SpeedPrediction(
            row=number, speed_class=None, quantity="tok_s", group="", measured=None, reason=reason
        )
        for number, reason in reasons
    ]
    for (number, one), expected in zip(
        found.items(), _expected(list(found.values()), facts.rates), strict=True
    ):
        spread = spread_for(facts.spreads, "tok_s", kind(one.deployment))
        row = rows[number]
        predictions.append(
            SpeedPrediction(
                row=number, speed_class="served", quantity="tok_s", group=one.group, measured=one.tokens_per_s,
                low=expected * min(1.0, spread.low_ratio), expected=expected,
                high=expected * max(1.0, spread.high_ratio), device=row["hardware"], model=row["model"],
                engine=row["engine"],
            )
        )  # fmt: skip
    if progress is not None:
        progress(1, "")
    return sorted(predictions, key=lambda prediction: prediction.row)


def rate_spreads(rows: Rows, rates: StepRates) -> tuple[Spread, ...]:
    """How far measured rates stray from those that a fit of latencies makes of their loads."""
    found = list(_read(rows)[0].values())
    ratios = [
        math.log(one.tokens_per_s / expected)
        for one, expected in zip(found, _expected(found, rates), strict=True)
    ]
    return spreads_of(
        "tok_s", ratios, [kind(one.deployment) for one in found], [one.group for one in found], _SOURCE
    )


def closed_loops(rows: Rows) -> tuple[RateRow, ...]:
    """The rows whose load is a number of requests in flight, from the first answer to the last."""
    return tuple(one for one in _read(rows)[0].values() if one.load == "loop")


def _read(rows: Rows) -> tuple[dict[int, RateRow], list[tuple[int, str]]]:
    reader = row_reader()
    found, reasons = {}, []
    for number, row in enumerate(rows):
        if is_llama_cpp(row):
            continue
        try:
            found[number] = read_rate(reader, row)
        except MissingFactError as error:
            reasons.append((number, str(error)))
    return found, reasons


def _expected(found: Sequence[RateRow], rates: StepRates) -> list[float]:
    if not found:
        return []
    times = latency(batch([one.deployment for one in found]), rates)
    return [
        answered_per_s(
            one, float(times.ttft_s[i]), float(times.tpot_s[i]), float(times.decode_step_s[i]),
            float(times.prompt_step_s[i]),
        )
        for i, one in enumerate(found)
    ]  # fmt: skip
