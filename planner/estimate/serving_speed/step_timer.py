"""Steps of a deployment for a simulation: the seconds of `step_time`, asked once and remembered in tables.

    decode(n)     a + b · tokens in the caches       exact with empty caches and half-way through the deployment's answers
    mixed(n, …)   decode(n) + interference · (max(P + decode(n), host) − decode(n))
    prompts(n, …) max(P, host), times interference where sequences wait for it
                  P reading so many tokens of prompts

P runs on a line between points in the number of tokens, and is linear in the pairs of tokens that attention goes over.
Where tokens are drafted, a step counts as its share for one of the tokens that it yields.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

from planner.estimate.serving_speed.deployment import Batch, Deployment, batch
from planner.estimate.serving_speed.pipeline import decode_period_s, filling_s
from planner.estimate.serving_speed.rank_load import MIXINGS
from planner.estimate.serving_speed.served_latency import ServingFacts, interval, kind
from planner.estimate.serving_speed.step_rates import StepRates
from planner.estimate.serving_speed.step_time import (
    larger,
    prompt_host_s,
    prompt_step_s,
    prompt_work_s,
    tokens_of_a_step,
)

Bound = Literal["low", "expected", "high"]
_POINTS: Final = 64  # of prompt tokens between which times run on a line


@dataclass(frozen=True, kw_only=True)
class ServingStepTimer:
    """Answers `planner.simulate.step_timer.StepTimer` for one replica of a deployment's attention.

    The other replicas, if there are any, do the same at the same time. All seconds are stretched alike.
    """

    empty_s: tuple[float, ...]  # of a step that decodes n sequences, for n = 0, 1, 2 …
    cached_token_s: tuple[float, ...]  # more for each token in their caches
    chunk_tokens: tuple[float, ...]
    chunk_s: tuple[float, ...]  # of reading so many tokens of prompts, attention over pairs of them left out
    token_mixing_s: float  # of attention, for each token of prompts
    pair_mixing_s: float  # and for each pair
    host_s: float  # of launching a step with prompts in it
    interference: float  # of prompts that others wait for, a factor on their seconds
    first_token_s: float  # of a first token beside the steps that read its prompt: the host, later stages
    _read: dict[int, float] = field(default_factory=dict, compare=False, repr=False)

    def decode(self, n_sequences: int) -> tuple[float, float]:
        """Seconds of a step that decodes n sequences with empty caches, and per token of all their caches."""
        return self.empty_s[n_sequences], self.cached_token_s[n_sequences]

    def mixed(
        self, n_sequences: int, cached_tokens: int, chunk_tokens: int, chunk_context_tokens: int
    ) -> float:
        """Seconds of a step that reads tokens of prompts and decodes n sequences."""
        if n_sequences == 0:
            return self.prompts(0, chunk_tokens, chunk_context_tokens)
        work = self._work_s(chunk_tokens, chunk_context_tokens)
        empty_s, cached_token_s = self.decode(n_sequences)
        decoding_s = empty_s + cached_token_s * cached_tokens
        return decoding_s + self.interference * (larger(work + decoding_s, self.host_s) - decoding_s)

    def prompts(self, n_waiting: int, chunk_tokens: int, chunk_context_tokens: int) -> float:
        """Seconds of a step that only reads tokens of prompts, as far as those that wait are concerned."""
        alone_s = larger(self._work_s(chunk_tokens, chunk_context_tokens), self.host_s)
        return self.interference * alone_s if n_waiting else alone_s

    def _work_s(self, chunk_tokens: int, chunk_context_tokens: int) -> float:
        read = self._read.get(chunk_tokens)
        if read is None:
            read = self._read[chunk_tokens] = self._read_s(chunk_tokens)
        return read + self.token_mixing_s * chunk_tokens + self.pair_mixing_s * chunk_context_tokens

    def _read_s(self, chunk_tokens: int) -> float:
        import numpy as np

        return float(np.interp(chunk_tokens, self.chunk_tokens, self.chunk_s))


def serving_step_timer(
    deployment: Deployment,
    facts: ServingFacts,
    *,
    max_sequences: int,
    max_batched_tokens: int,
    bound: Bound = "expected",
) -> ServingStepTimer:
    """The timer of one replica of the attention that runs at most so many sequences and reads so many tokens a step.

    The bounds are those of the time per output token. What is in flight, in the deployment, decides nothing here; its
    lengths are those at which caches and attention are counted exactly. Raises MissingFactError for a GPU whose rates
    nobody knows.
    """
    import numpy as np

    q, rates = batch([deployment]), facts.rates
    within = interval(1.0, "tpot", kind(deployment, facts.devices), facts.spreads)
    stretch = {"low": within.low, "expected": 1.0, "high": within.high}[bound]
    n = np.arange(max_sequences + 1, dtype=float)
    per_token = stretch / float(tokens_of_a_step(q, rates)[0])
    empty, half_way = (decode_period_s(q, rates, n, share) * per_token for share in (0.0, 1.0))
    middle = deployment.n_prompt_tokens + deployment.n_output_tokens // 2
    cached = (half_way - empty) / np.maximum(n * middle, 1.0)
    points = np.unique(np.geomspace(1, max(2, max_batched_tokens), _POINTS).round())
    token_s, pair_s = _mixing_s(deployment, q, rates)
    of_stage = stretch * float(q.stage_share[0])  # prompts follow each other through stages of the network
    chunks = np.maximum(1.0, q.n_prompt / max_batched_tokens)
    filling = filling_s(q, rates, prompt_step_s(q, rates), chunks)
    none = dict.fromkeys(MIXINGS, np.zeros(1))

    def value(name: str) -> float:
        return float(rates.value(name, q)[0])

    return ServingStepTimer(
        empty_s=tuple(map(float, empty)),
        cached_token_s=tuple(map(float, cached)),
        chunk_tokens=tuple(map(float, points)),
        chunk_s=tuple(map(float, of_stage * prompt_work_s(q, rates, points, none))),
        token_mixing_s=of_stage * token_s,
        pair_mixing_s=of_stage * pair_s,
        host_s=of_stage * float(prompt_host_s(q, rates)[0]),
        interference=value("prompt_interference"),
        first_token_s=stretch * (value("first_token_s") + float(filling[0])),
    )


def _mixing_s(deployment: Deployment, q: Batch, rates: StepRates) -> tuple[float, float]:
    """Seconds of mixing for each token of a prompt and for each pair, such that this length and half of it are exact.

    f(n) = a · n + b · n² / 2. Attention over windows has no pairs at length, and recurrent layers never do.
    """
    import numpy as np

    n = max(2, deployment.n_prompt_tokens)

    def seconds(n_tokens: float) -> float:
        # Prompts move no caches, so mixing is a summand of its own.
        flop = {
            kind: np.array([found]) for kind, found in deployment.load.prefill_mixing_flop(n_tokens).items()
        }
        without = dict.fromkeys(flop, np.zeros(1))
        whole, rest = (prompt_work_s(q, rates, q.n_prompt, one) for one in (flop, without))
        return float((whole - rest)[0])

    whole, half = seconds(n), seconds(n / 2)
    pair = max(0.0, (whole - 2 * half) * 4 / n**2)
    return max(0.0, whole - pair * n**2 / 2) / n, pair
