"""What can be said of a replica without a simulation: that an objective cannot hold, and loads that it surely cannot carry.

Of a request alone on the replica: its first token comes no earlier than its own prompt is read, every other one no
earlier than a step of its own. Of many: with c tokens in the cache of each of n requests, O tokens of answer and P of
prompt to read, a replica ends no more than

    n / (O · step(n, n · c) + n · P · seconds of one more prompt token in a full step)

requests a second, and n is no more than the pool holds, the engine takes, and the time per token allows: a step, and the
prompts of all others, which are read while an answer is decoded.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from planner.simulate.policy import Policy
from planner.simulate.request_spec import RequestSpec
from planner.simulate.step_timer import StepTimer
from planner.workload.workload import Objective

# Means stand for distributions above; no simulated capacity was over 1.0 of the bound with this.
_SLACK: Final = 1.25
_NEAR: Final = 1.1  # times per token hardly differ between n and several more: the limit has slack of its own
_MOST_OF_THEM: Final = 0.5  # quantile from which the mean keeps to a limit too
_WAITING: Final = 4.0  # users for each that runs, where only their patience ends it


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """A workload's requests in the mean."""

    n_read_tokens: float  # of a prompt, without what a prefix cache holds
    n_output_tokens: float
    n_cached_tokens: float  # of a request that decodes, in the mean over its answer


def means_of(requests: Sequence[RequestSpec], *, prefix_cache: bool) -> Means:
    """The means of a sample; contexts are weighed by the tokens that are decoded at them."""
    outputs = sum(one.n_output_tokens for one in requests)
    contexts = sum(one.n_output_tokens * (one.n_prompt_tokens + one.n_output_tokens / 2) for one in requests)
    return Means(
        n_read_tokens=sum(_n_read(one, prefix_cache=prefix_cache) for one in requests) / len(requests),
        n_output_tokens=outputs / len(requests),
        n_cached_tokens=contexts / outputs,
    )


def impossible(
    timer: StepTimer,
    policy: Policy,
    requests: Sequence[RequestSpec],
    objectives: Sequence[Objective],
    first_token_s: float = 0.0,
) -> str | None:
    """Why an objective cannot hold even for requests that are alone; None where it may."""
    for objective in objectives:
        times = sorted(_alone_s(timer, policy, one, objective, first_token_s) for one in requests)
        seconds = times[max(0, math.ceil(objective.quantile * len(times)) - 1)]
        if seconds > objective.limit_s:
            what = {"ttft": "the first token", "tpot": "a token", "e2e": "an answer"}[objective.measure]
            return f"{what} of a request alone takes {_shown(seconds)} at p{objective.quantile * 100:g}, over {_shown(objective.limit_s)}"
    return None


def most_at_once(
    timer: StepTimer, policy: Policy, means: Means, objectives: Sequence[Objective], slack: float = 1.0
) -> int:
    """Requests that decode together at most: what the engine takes, the pool holds and the time per token allows.

    With some slack in the limit of that time, where it must be sure that no more do.
    """
    held = int(policy.kv_tokens / max(1.0, means.n_cached_tokens))
    most = max(1, min(policy.max_sequences, held))
    limits = [one.limit_s for one in objectives if one.measure == "tpot" and one.quantile >= _MOST_OF_THEM]

    def is_within(n: int) -> bool:
        # A request's own prompt comes before its tokens.
        others_s = (n - 1) * _reading_s(timer, policy, means, n)
        token_s = _step_s(timer, n, means) + others_s / means.n_output_tokens
        return token_s <= slack * min(limits)

    if not limits or is_within(most):
        return most
    low, high = 1, most  # it is within the limits at low, or nowhere
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_within(middle) else (low, middle)
    return low


def most_requests_per_s(
    timer: StepTimer, policy: Policy, means: Means, objectives: Sequence[Objective]
) -> float:
    """Requests a second that one replica surely does not carry within the objectives."""
    n = most_at_once(timer, policy, means, objectives, _NEAR)
    return _SLACK * _requests_per_s(timer, policy, means, n)


def most_users(
    timer: StepTimer, policy: Policy, means: Means, objectives: Sequence[Objective], idle_s: float = 0.0
) -> float:
    """Users that one replica surely does not carry, who have nothing on it for `idle_s` of each request.

    By Little's law those with something on it are no more than run at once, and, where the pool or the engine is what
    bounds that, those who wait for a place within the limits; and the replica ends so many requests a second at most.
    """
    n = most_at_once(timer, policy, means, objectives, _NEAR)
    held = most_at_once(timer, policy, means, ())
    per_s = _requests_per_s(timer, policy, means, n)
    waits = [one.limit_s for one in objectives if one.measure != "tpot" and one.quantile >= _MOST_OF_THEM]
    if n < held:
        there: float = n
    elif waits:
        there = n + per_s * min(waits)
    else:
        there = _WAITING * held
    return _SLACK * (there + per_s * idle_s) + 1


def _requests_per_s(timer: StepTimer, policy: Policy, means: Means, n_at_once: int) -> float:
    """Answers decoded beside each other, each prompt read once meanwhile."""
    decoding = means.n_output_tokens * _step_s(timer, n_at_once, means)
    return n_at_once / (decoding + n_at_once * _reading_s(timer, policy, means, n_at_once))


def _reading_s(timer: StepTimer, policy: Policy, means: Means, n_at_once: int) -> float:
    return means.n_read_tokens * _prompt_token_s(timer, policy, n_at_once)


def _alone_s(
    timer: StepTimer, policy: Policy, one: RequestSpec, objective: Objective, first_token_s: float
) -> float:
    empty_s, per_token_s = timer.decode(1)
    if objective.measure == "tpot":
        return empty_s + per_token_s * one.n_prompt_tokens if one.n_output_tokens > 1 else 0.0
    n_read, before = _n_read(one, prefix_cache=policy.prefix_cache), 0
    before = one.n_prompt_tokens - n_read
    seconds = first_token_s
    while n_read > 0:
        chunk = min(n_read, policy.max_batched_tokens)
        seconds += timer.mixed(0, 0, chunk, chunk * before + chunk * chunk // 2)
        before, n_read = before + chunk, n_read - chunk
    if objective.measure == "ttft":
        return seconds
    return seconds + (one.n_output_tokens - 1) * (empty_s + per_token_s * one.n_prompt_tokens)


def _n_read(one: RequestSpec, *, prefix_cache: bool) -> int:
    return max(1, one.n_prompt_tokens - (one.n_prefix_tokens if prefix_cache else 0))


def _step_s(timer: StepTimer, n: int, means: Means) -> float:
    empty_s, per_token_s = timer.decode(n)
    return empty_s + per_token_s * n * means.n_cached_tokens


def _prompt_token_s(timer: StepTimer, policy: Policy, n_at_once: int) -> float:
    """What one more token of a prompt adds to a full step, pairs of attention left out."""
    n = n_at_once if policy.mixing == "mixed" else 0
    full = max(1, policy.max_batched_tokens - n)
    half = max(1, full // 2)
    if full == half:
        return 0.0
    return max(0.0, (timer.mixed(n, 0, full, 0) - timer.mixed(n, 0, half, 0)) / (full - half))


def _shown(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"
