"""When to measure what, and when to stop: plain arithmetic, so that it can be tested without an engine.

Machines have slow phases of seconds to a minute. Prompt and generation repetitions therefore alternate and
are spread over `spread_s`; a repetition is started only if it is likely to end within the budget.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

NARROW = 0.02  # half of a 95 % interval of the median, relative to it, that is narrow enough
NEIGHBOURS = 0.25  # cores kept busy by other programs that are worth a word
BUSY_SPREAD = 1.25  # median over minimum; above it the timings say more about the machine's load


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """How many repetitions are wanted, and over how long."""

    min_repetitions: int = 5
    max_repetitions: int = 40
    spread_s: float = 40.0
    narrow_spread_s: float = 12.0  # enough where repetitions that far apart agree


GPU_PACING = Pacing(
    spread_s=5.0, narrow_spread_s=3.0
)  # a GPU has no neighbours on its cores; clocks settle within seconds


def tokens_that_fit(n_wanted: int, s_per_token: float, available_s: float) -> int:
    """The wanted number of tokens, halved until it fits into the time; never below 1."""
    n_tokens = n_wanted
    while n_tokens > 1 and n_tokens * s_per_token > available_s:
        n_tokens //= 2
    return n_tokens


def shared_out(costs_s: Sequence[float], available_s: float) -> tuple[float, ...]:
    """Seconds that each test may take: what a cheap one leaves of its equal share goes to the dearer ones."""
    shares = [0.0] * len(costs_s)
    left_s = available_s
    for n_before, index in enumerate(sorted(range(len(costs_s)), key=lambda i: costs_s[i])):
        shares[index] = left_s / (len(costs_s) - n_before)
        left_s -= min(costs_s[index], shares[index])
    return tuple(shares)


def wants_another(samples_s: Sequence[float], elapsed_s: float, budget_s: float, pacing: Pacing) -> bool:
    """Whether one more repetition of a test is worth its time and likely to end within the budget."""
    if not samples_s:
        return True
    if len(samples_s) >= pacing.max_repetitions or elapsed_s + median(samples_s) > budget_s:
        return False
    if len(samples_s) >= pacing.min_repetitions and elapsed_s >= pacing.narrow_spread_s:
        half_width = relative_half_width(samples_s)
        if half_width is not None and half_width <= NARROW:
            return False
    return len(samples_s) < pacing.min_repetitions or elapsed_s < pacing.spread_s


def relative_half_width(samples_s: Sequence[float]) -> float | None:
    """Half of the 95 % confidence interval of the median over the median, whatever the distribution.

    The interval lies between two order statistics: the ranks n/2 ± 0.98·√n. None below five samples, where no two
    of them hold the median 19 times in 20.
    """
    n = len(samples_s)
    if n < 5:
        return None
    ordered = sorted(samples_s)
    below = max(0, int(n / 2 - 0.98 * n**0.5))
    above = min(n - 1, int(n / 2 + 0.98 * n**0.5))
    return (ordered[above] - ordered[below]) / 2 / median(ordered)


def done_fraction(n_done: int, elapsed_s: float, budget_s: float, pacing: Pacing) -> float:
    """How far a series is: the slower of repetitions and time, or the budget if that is nearer."""
    by_repetitions = n_done / pacing.min_repetitions
    by_time = elapsed_s / min(pacing.spread_s, budget_s)
    by_limit = n_done / pacing.max_repetitions
    return min(1.0, max(min(by_repetitions, by_time), elapsed_s / budget_s, by_limit))


def neighbours_note(other_cores: float | None) -> str | None:
    """A warning when other programs took a noticeable part of the processors meanwhile."""
    if other_cores is None or other_cores < NEIGHBOURS:
        return None
    return (
        f"other programs kept {other_cores:.1f} cores busy meanwhile, so the machine can do more than this; "
        "close them and repeat"
    )


def busy_note(name: str, samples_s: Sequence[float]) -> str | None:
    """A warning when repetitions of the same work disagree: median over fastest above 1.25."""
    if len(samples_s) < 2:
        return None
    spread = median(samples_s) / min(samples_s)
    if spread <= BUSY_SPREAD:
        return None
    return (
        f"{name}: the median repetition took {spread:.2f} times the fastest, so the machine was busy; "
        "close other programs and repeat"
    )
