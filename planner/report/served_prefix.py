"""What a shared prefix saves, as tables; and how times of a serving engine are shown and handed on as data."""

from collections.abc import Sequence
from typing import Any

from hardware.units import MILLI, format_bytes
from planner.estimate.served.answer import PrefixReuse, ServingSpeed
from planner.estimate.term import Interval, Term
from planner.report.document import Table
from planner.report.estimate_terms import interval_data, term_data


def prefix_tables(reuse: PrefixReuse | None, speeds: Sequence[ServingSpeed]) -> tuple[Table, ...]:
    """The terms, and times without the prefix beside those with it; none without a prefix."""
    if reuse is None:
        return ()
    rows = [(term.name, _value(term), term.source) for term in reuse.terms]
    rows.append(("at once", f"{reuse.n_at_once:,}", f"{reuse.n_at_once_without:,} without the prefix"))
    terms = Table(
        title=f"A prefix of {reuse.n_prefix_tokens:,} tokens: {reuse.n_found_tokens:,} found, {reuse.n_read_tokens:,} read",
        headers=("", "a GPU", "from"),
        rows=tuple(rows),
        right=(1,),
    )
    return terms, _beside(reuse, speeds)


def _beside(reuse: PrefixReuse, speeds: Sequence[ServingSpeed]) -> Table:
    without = {speed.n_requests: speed for speed in reuse.without}
    rows = []
    for speed in speeds:
        whole = without.get(speed.n_requests)
        first = "–" if whole is None else f"{whole.latency.ttft_s.expected:.3g}"
        rate = "–" if whole is None else f"{whole.tokens_per_s:,.0f}"
        rows.append(
            (
                str(speed.n_requests),
                first,
                f"{speed.latency.ttft_s.expected:.3g}",
                rate,
                f"{speed.tokens_per_s:,.0f}",
            )
        )
    return Table(
        title="Without the prefix and with it",
        headers=("at once", "first token, s", "with it", "tokens/s together", "with it"),
        rows=tuple(rows),
        right=(0, 1, 2, 3, 4),
    )


def _value(term: Term) -> str:
    return format_bytes(round(term.value)) if term.unit == "bytes" else f"{term.value / MILLI:.3g} ms"


def shown_interval(found: Interval, scale: float = 1.0) -> str:
    """A time as "0.2 (0.1–0.4)", in seconds times a scale."""
    low, expected, high = (f"{value * scale:.3g}" for value in (found.low, found.expected, found.high))
    return f"{expected} ({low}–{high})"


def speed_data(speed: ServingSpeed) -> dict[str, Any]:
    """Times of one number of requests."""
    return {
        "n_requests": speed.n_requests,
        "n_own_loads": speed.n_own_loads,
        "ttft_s": interval_data(speed.latency.ttft_s),
        "tpot_s": interval_data(speed.latency.tpot_s),
        "decode_step_s": speed.latency.decode_step_s,
        "prompt_step_s": speed.latency.prompt_step_s,
        "tokens_per_s": speed.tokens_per_s,
    }


def prefix_data(reuse: PrefixReuse | None) -> dict[str, Any] | None:
    """The prefix as data."""
    if reuse is None:
        return None
    return {
        "n_prefix_tokens": reuse.n_prefix_tokens,
        "n_found_tokens": reuse.n_found_tokens,
        "n_read_tokens": reuse.n_read_tokens,
        "n_at_once": reuse.n_at_once,
        "n_at_once_without": reuse.n_at_once_without,
        "terms": [term_data(term) for term in reuse.terms],
        "without": [speed_data(speed) for speed in reuse.without],
    }
