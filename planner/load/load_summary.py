"""What a stretch of load says: rates in its steady part, and percentiles of the latencies people feel."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from planner.load.raw_load import RawLoad
from planner.load.request_record import RequestRecord

PERCENTILES = (50, 90, 95, 99)
_FEWEST = 5  # requests of a steady part; with fewer the whole stretch is used, and that is said


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Of one latency, in seconds; `at` follows PERCENTILES."""

    mean: float
    at: tuple[float, ...]
    n: int

    def of(self, percent: int) -> float:
        """One of them."""
        return self.at[PERCENTILES.index(percent)]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadLevel:
    """One stretch at one concurrency or rate."""

    concurrency: int | None  # None for an open loop
    offered_per_s: float | None  # None for a closed one
    n_good: int
    n_failed: int
    errors: tuple[tuple[str, int], ...]
    window_s: float
    requests_per_s: float
    output_tokens_per_s: float
    prompt_tokens_per_s: float
    mean_under_way: float
    ttft: Percentiles | None
    tpot: Percentiles | None
    itl: Percentiles | None
    e2e: Percentiles | None
    mean_prompt_tokens: float
    mean_output_tokens: float
    cached_fraction: float | None  # of prompt tokens, by the server
    latest_send_s: float  # how far this program itself fell behind
    notes: tuple[str, ...] = ()


def percentiles(values: Sequence[float]) -> Percentiles | None:
    """Linear interpolation between order statistics, as NumPy's default; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    at = []
    for percent in PERCENTILES:
        position = (len(ordered) - 1) * percent / 100
        below = math.floor(position)
        above = min(below + 1, len(ordered) - 1)
        at.append(ordered[below] + (ordered[above] - ordered[below]) * (position - below))
    return Percentiles(mean=sum(ordered) / len(ordered), at=tuple(at), n=len(ordered))


def summarize(
    raw: RawLoad, *, concurrency: int | None = None, offered_per_s: float | None = None
) -> LoadLevel:
    """Rates and latencies of a stretch.

    A closed loop begins with all its requests at once and so with a queue that will not be again: its steady part
    is from when each place has had one answer until no more requests are begun. An open loop is steady as a whole.
    Tokens count when they arrive, whichever request they belong to; latencies are of requests begun in the part.
    """
    notes: list[str] = []
    good = [record for record in raw.records if record.is_good]
    failed = [record for record in raw.records if not record.is_good]
    start_s, end_s = raw.started_s, raw.stopped_s
    if concurrency is not None:
        ends = sorted(record.end_s for record in raw.records)
        steady_from = ends[concurrency - 1] if len(ends) >= concurrency else end_s
        steady = [record for record in good if steady_from <= record.sent_s <= end_s]
        if len(steady) >= _FEWEST:
            start_s, measured = steady_from, steady
        else:
            # Too short for a steady part: everything until the last answer.
            measured = good
            end_s = max((record.end_s for record in raw.records), default=end_s)
            notes.append(
                f"only {len(good)} answers at concurrency {concurrency}: the first ones, which all start at once, "
                "count as well; allow more time with --budget"
            )
    else:
        measured = good
        end_s = max((record.end_s for record in good), default=end_s)
    window_s = max(end_s - start_s, 1e-9)
    n_ended = sum(start_s < record.token_s[-1] <= end_s for record in good)
    busy_s = sum(_overlap(record.sent_s, record.end_s, start_s, end_s) for record in raw.records)
    tokens = sum(_tokens_within(record, start_s, end_s) for record in good)
    prompts = sum((record.n_prompt_tokens or 0) for record in good if start_s < record.token_s[0] <= end_s)
    if raw.n_cut_off:
        notes.append(f"{raw.n_cut_off} requests were still unanswered at the end and were cut off")
    if raw.n_not_sent:
        notes.append(f"{raw.n_not_sent} requests were not sent: too many were under way")
    return LoadLevel(
        concurrency=concurrency,
        offered_per_s=offered_per_s,
        n_good=len(good),
        n_failed=len(failed),
        errors=tuple(Counter(record.error or "no text" for record in failed).most_common(5)),
        window_s=window_s,
        requests_per_s=n_ended / window_s,
        output_tokens_per_s=tokens / window_s,
        prompt_tokens_per_s=prompts / window_s,
        mean_under_way=busy_s / window_s,
        ttft=percentiles([record.ttft_s for record in measured]),
        tpot=percentiles([tpot for record in measured if (tpot := record.tpot_s) is not None]),
        itl=percentiles([gap for record in measured for gap in _gaps(record)]),
        e2e=percentiles([record.e2e_s for record in measured]),
        mean_prompt_tokens=_mean([record.n_prompt_tokens or 0 for record in good]),
        mean_output_tokens=_mean([record.n_output_tokens or 0 for record in good]),
        cached_fraction=_cached_fraction(good),
        latest_send_s=max((record.sent_s - record.planned_s for record in raw.records), default=0.0),
        notes=tuple(notes),
    )


def _tokens_within(record: RequestRecord, start_s: float, end_s: float) -> float:
    """Its tokens that arrived in a stretch of time; a piece carries the same share of them as any other."""
    within = sum(start_s < when <= end_s for when in record.token_s)
    return (record.n_output_tokens or 0) * within / len(record.token_s)


def _gaps(record: RequestRecord) -> list[float]:
    return [after - before for before, after in zip(record.token_s, record.token_s[1:], strict=False)]


def _overlap(begin: float, end: float, start_s: float, end_s: float) -> float:
    return max(0.0, min(end, end_s) - max(begin, start_s))


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values) if values else 0.0


def _cached_fraction(good: Sequence[RequestRecord]) -> float | None:
    told = [record for record in good if record.n_cached_tokens is not None and record.n_prompt_tokens]
    if not told:
        return None
    return sum(record.n_cached_tokens or 0 for record in told) / sum(
        record.n_prompt_tokens or 0 for record in told
    )
