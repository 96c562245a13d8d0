"""When to measure what, and when to stop: plain arithmetic, so that it can be tested without an engine.

Machines have slow phases of seconds to a minute. Prompt and generation repetitions therefore alternate and
are spread over `spread_s`; a repetition is started only if it is likely to end within the budget.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

BUSY_SPREAD = 1.25  # median over minimum; above it the timings say more about the machine's load


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """How many repetitions are wanted, and over how long."""

    min_repetitions: int = 5
    max_repetitions: int = 40
    spread_s: float = 40.0


GPU_PACING = Pacing(spread_s=5.0)  # a GPU has no neighbours on its cores; clocks settle within seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What fits into the time: how many tokens per repetition, and whether a whole warm-up fits as well."""

    n_prompt: int
    n_gen: int
    full_warm_up: bool


def tokens_that_fit(n_wanted: int, s_per_token: float, available_s: float) -> int:
    """The wanted number of tokens, halved until it fits into the time; never below 1."""
    n_tokens = n_wanted
    while n_tokens > 1 and n_tokens * s_per_token > available_s:
        n_tokens //= 2
    return n_tokens


def plan(
    n_prompt: int, n_gen: int, prompt_s_per_token: float, gen_s_per_token: float, available_s: float
) -> Plan:
    """Shrinks a test that cannot run even once: pp512 becomes pp256 …, and says so under that name."""
    prompt_s = n_prompt * prompt_s_per_token
    gen_s = n_gen * gen_s_per_token
    if prompt_s + gen_s <= available_s:
        return Plan(n_prompt=n_prompt, n_gen=n_gen, full_warm_up=2 * prompt_s + gen_s <= available_s)
    half_s = available_s / 2 if n_prompt and n_gen else available_s
    if gen_s <= half_s:
        fitting = tokens_that_fit(n_prompt, prompt_s_per_token, available_s - gen_s)
        return Plan(n_prompt=fitting, n_gen=n_gen, full_warm_up=False)
    if prompt_s <= half_s:
        fitting = tokens_that_fit(n_gen, gen_s_per_token, available_s - prompt_s)
        return Plan(n_prompt=n_prompt, n_gen=fitting, full_warm_up=False)
    return Plan(
        n_prompt=tokens_that_fit(n_prompt, prompt_s_per_token, half_s),
        n_gen=tokens_that_fit(n_gen, gen_s_per_token, half_s),
        full_warm_up=False,
    )


def wants_another(samples_s: Sequence[float], elapsed_s: float, budget_s: float, pacing: Pacing) -> bool:
    """Whether one more repetition of a test is worth its time and likely to end within the budget."""
    if not samples_s:
        return True
    if len(samples_s) >= pacing.max_repetitions or elapsed_s + median(samples_s) > budget_s:
        return False
    return len(samples_s) < pacing.min_repetitions or elapsed_s < pacing.spread_s


def done_fraction(n_done: int, elapsed_s: float, budget_s: float, pacing: Pacing) -> float:
    """How far a series is: the slower of repetitions and time, or the budget if that is nearer."""
    by_repetitions = n_done / pacing.min_repetitions
    by_time = elapsed_s / min(pacing.spread_s, budget_s)
    by_limit = n_done / pacing.max_repetitions
    return min(1.0, max(min(by_repetitions, by_time), elapsed_s / budget_s, by_limit))


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
