"""Tokens per second that a load makes of a deployment's times.

With N requests to one replica of the attention, R of them at once, O tokens answered to each, p for a prompt among many
and d(n) for a step of n requests:

    batch     O / (p + (O − 1) · d(R) / R)                       prompts read together, then decoded together
    loop      O · R / (ttft + (O − 1) · tpot)                    of decoding alone: without ttft
    queue     O / (p + O · e)                                    all asked at once, taken in as there is room

Where all answers of a queue are alike, its requests run in rounds: k full ones of R and one of the r that are left,

    e = (k · d(R) + d(r)) / N                                    d(R) / R in a queue without end

Where they end anywhere with the same probability, exp(−t/O) of R are still there after t steps, and the last one ends
after O · (ln R + 0.577). With d(n) a straight line from d(1) to d(R), of slope s, these last answers add

    e = d(R) / R + ((d(1) − s) · ln R − 0.423 · d(1)) / N        ∫ d(n) · O/n dn from 1 to R, and Euler's constant
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from planner.estimate.serving_speed.deployment import Batch
from planner.estimate.serving_speed.latency import Latency, each_prompt_s
from planner.estimate.serving_speed.pipeline import decode_period_s
from planner.estimate.serving_speed.step_rates import StepRates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[Any]

Load = Literal["batch", "loop", "decoding", "queue"]
_EULER: Final = 0.5772
_NEARLY: Final = 1e-6  # of a round


@dataclass(frozen=True, kw_only=True)
class RateLoads:
    """Loads side by side: one array entry each."""

    kind: "Floats"  # strings
    n_copies: "Floats"  # of the deployment, each with its share of the requests
    counted_tokens: "Floats"  # of one request
    has_varied_lengths: "Floats"  # 1 or 0

    def __getitem__(self, chosen: "Floats") -> "RateLoads":
        """Some of the loads."""
        return RateLoads(
            kind=self.kind[chosen],
            n_copies=self.n_copies[chosen],
            counted_tokens=self.counted_tokens[chosen],
            has_varied_lengths=self.has_varied_lengths[chosen],
        )


def rate_loads(
    kinds: Sequence[Load],
    n_copies: Sequence[int],
    counted_tokens: Sequence[int],
    has_varied_lengths: Sequence[bool],
) -> RateLoads:
    """Loads as arrays."""
    import numpy as np

    return RateLoads(
        kind=np.array(kinds), n_copies=np.array(n_copies, dtype=float),
        counted_tokens=np.array(counted_tokens, dtype=float),
        has_varied_lengths=np.array(has_varied_lengths, dtype=float),
    )  # fmt: skip


def answered_per_s(loads: RateLoads, q: Batch, rates: StepRates, times: Latency) -> "Floats":
    """Tokens per second of all copies; see the module's head for the formulas."""
    import numpy as np

    running = np.minimum(q.n_requests / q.replicas, q.most_running)
    steps = np.maximum(q.n_output - 1, 0.0)
    first = np.where(loads.kind == "loop", times.ttft_s, 0.0)
    of_loop = np.maximum(steps * times.tpot_s + first, times.tpot_s) / running
    of_queue = times.added_prompt_s + decoded_s(loads, q, rates, times)
    of_batch = pooled_prompt_s(q, rates, running) + steps * times.decode_step_s / running
    each = np.select([loads.kind == "batch", loads.kind == "queue"], [of_batch, of_queue], of_loop)
    found: Floats = loads.n_copies * q.replicas * loads.counted_tokens / each
    return found


def pooled_prompt_s(q: Batch, rates: StepRates, running: "Floats") -> "Floats":
    """What one of many prompts takes that are read together, as many in one step as it has room for."""
    import numpy as np

    in_step = np.minimum(np.maximum(1.0, q.step_tokens / q.n_prompt), np.maximum(running, 1.0))
    return each_prompt_s(q, rates, in_step, np.zeros(len(q)))


def decoded_s(loads: RateLoads, q: Batch, rates: StepRates, times: Latency) -> "Floats":
    """Seconds of decoding that one request of a queue takes of a replica's time, others beside it."""
    import numpy as np

    asked = q.n_requests / q.replicas
    running = np.maximum(np.minimum(asked, q.most_running), 1.0)
    is_varied, has_end = loads.has_varied_lengths > 0, np.isfinite(asked)
    n = np.where(has_end, asked, running)
    rounds = np.floor(n / running + _NEARLY)
    left = np.maximum(n - rounds * running, 0.0)
    few = decode_period_s(q, rates, np.where(is_varied, 1.0, np.maximum(left, 1.0)))
    alike = (rounds * times.decode_step_s + np.where(left > _NEARLY * running, few, 0.0)) / n
    slope = (times.decode_step_s - few) / np.maximum(running - 1, 1.0)
    drained = np.maximum((few - slope) * np.log(running * q.replicas) - (1 - _EULER) * few, 0.0)
    varied = times.decode_step_s / running + drained / n * has_end
    found: Floats = q.n_output / times.tokens_per_step * np.where(is_varied, varied, alike)
    return found
