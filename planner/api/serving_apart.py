"""Rows of measured latency with prompts on GPUs of their own, predicted by the packaged fit, which has not seen them."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from planner.api.serving_rows import row_reader
from planner.errors import MissingFactError
from planner.estimate.serving_speed.apart import apart_times
from planner.estimate.serving_speed.apart_rows import ApartRow, is_apart, read_apart
from planner.estimate.serving_speed.served_latency import ServingFacts, interval, kind_apart
from planner.estimate.serving_speed.spread import Spread, spreads_of
from planner.estimate.serving_speed.step_rates import StepRates
from planner.estimate.term import Interval

Rows = Sequence[Mapping[str, str]]
_SOURCE: Final = "latencies with prefill and decode apart in the aiconfigurator-core wheel (Apache-2.0), which no fit has seen"


def apart_intervals(
    rows: Rows, facts: ServingFacts
) -> tuple[dict[int, tuple[ApartRow, Interval, Interval]], list[tuple[int, str]]]:
    """Time per output token and to the first one of the rows that are such, by number; and why others have none."""
    found, reasons = _read(rows)
    if not found:
        return {}, reasons
    times = apart_times([one.apart for one in found.values()], facts.rates)
    answers = {}
    for i, (number, one) in enumerate(found.items()):
        like = kind_apart(one.apart)
        answers[number] = (
            one,
            interval(float(times.tpot_s[i]), "tpot", like, facts.spreads),
            interval(float(times.ttft_s[i]), "ttft", like, facts.spreads),
        )
    return answers, reasons


def apart_spreads(rows: Rows, rates: StepRates) -> tuple[Spread, ...]:
    """How far such rows stray from times that a fit of other rows makes of them."""
    found = list(_read(rows)[0].values())
    if not found:
        return ()
    times = apart_times([one.apart for one in found], rates)
    kinds, groups = [kind_apart(one.apart) for one in found], [one.group for one in found]
    tpot = [math.log(one.tpot_s / float(times.tpot_s[i])) for i, one in enumerate(found)]
    ttft = [math.log(one.ttft_s / float(times.ttft_s[i])) for i, one in enumerate(found)]
    both = (
        *spreads_of("tpot", tpot, kinds, groups, _SOURCE),
        *spreads_of("ttft", ttft, kinds, groups, _SOURCE),
    )
    return tuple(spread for spread in both if spread.kind.settings == "apart")


def _read(rows: Rows) -> tuple[dict[int, ApartRow], list[tuple[int, str]]]:
    reader = row_reader()
    found, reasons = {}, []
    for number, row in enumerate(rows):
        if not is_apart(row):
            continue
        try:
            found[number] = read_apart(reader, row)
        except MissingFactError as error:
            reasons.append((number, str(error)))
    return found, reasons
