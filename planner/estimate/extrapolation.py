"""From shallow files of a network to all of it: the time of the layers not run, by what they read or compute.

Two files of different depth give the time per unit of work of a layer; what is outside the layers is in both.

    t = t_deep + (W − w_deep) · (t_deep − t_few) / (w_deep − w_few)

Work is bytes read per token for decode and FLOP per prompt token for prefill, of the layers alone, so layers with larger
types count for more. Holds where a layer of the sample costs per unit of work what a layer of the network does:
same shapes, same mix of types, caches as cold as in the whole model.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, hypot, log

from hardware.spec import Basis
from planner.estimate.described_model import DescribedModel
from planner.estimate.measurement import Phase, lower_quartile
from planner.estimate.term import Interval

KV_ELEMENT_BYTES = 2.0
_RESAMPLES = 400
_TENTH = 1.2816  # standard deviations to the 10th and 90th percentile of a normal distribution
# What a handful of rounds cannot show, since all of them may lie in one slow phase of the machine.
_OF_FEW = 0.2
_ENOUGH_ROUNDS = 5
# What the method itself is off by, noise apart, as measured by benchmarks/synthetic.py: 80 % of cases within.
METHOD_SPREAD: dict[Phase, float] = {"decode": 0.06, "prefill": 0.06}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShallowTimes:
    """One shallow file: the work of its layers and the times of repetitions, one for each round."""

    work: float
    samples_s: tuple[float, ...]


class TooNoisyError(ValueError):
    """The deeper file was not slower: noise was larger than what its layers cost."""


def layers_work(
    model: DescribedModel, layers: Sequence[int], phase: Phase, depth_tokens: int, n_tokens: int
) -> float:
    """What the given layers read per decoded token (bytes), or compute for a prompt (FLOP)."""
    chosen = set(layers)
    weights = [weight for weight in model.storage.weights if weight.layer in chosen]
    mixers = [
        (group.mixer, len(chosen.intersection(group.layers)))
        for group in model.network.groups
        if group.mixer is not None
    ]
    if phase == "decode":
        middle = depth_tokens + n_tokens // 2
        cached = sum(
            n * int(cache.entries_read(middle)) * cache.elements_per_entry
            for mixer, n in mixers
            for cache in mixer.token_caches
        )
        return sum(weight.read_bytes_per_token for weight in weights) + cached * KV_ELEMENT_BYTES
    matmul = sum(2 * w.n_elements * w.active_fraction for w in weights if w.use == "matmul")
    mixing = sum(n * float(mixer.prefill_flop(n_tokens, depth_tokens)) for mixer, n in mixers)
    return matmul * n_tokens + mixing


def extrapolated_seconds(few: ShallowTimes, deep: ShallowTimes, work: float, phase: Phase) -> Interval:
    """Seconds of the whole network for the same tokens, with an 80 % interval.

    The interval joins the noise of the two lower quartiles, multiplied on the way to the whole (by resampling
    whole rounds), and what the method is off by. Raises TooNoisyError where more layers took no more time.
    """
    expected = _line(few.samples_s, deep.samples_s, few.work, deep.work, work)
    if expected is None:
        raise TooNoisyError("the file with more layers was not slower")
    chance = random.Random(1)  # noqa: S311 (resampling, no secret)
    n = min(len(few.samples_s), len(deep.samples_s))
    found = []
    for _ in range(_RESAMPLES):
        rounds = [chance.randrange(n) for _ in range(n)]
        value = _line(
            [few.samples_s[i] for i in rounds], [deep.samples_s[i] for i in rounds], few.work, deep.work, work
        )
        # A resample whose deeper file is not slower says as little as can be: the deeper file's own time.
        found.append(value if value is not None else lower_quartile([deep.samples_s[i] for i in rounds]))
    found.sort()
    below = max(0.0, log(expected / found[int(0.1 * (_RESAMPLES - 1))]))
    above = max(0.0, log(found[int(0.9 * (_RESAMPLES - 1))] / expected))
    method = hypot(METHOD_SPREAD[phase], _OF_FEW if n < _ENOUGH_ROUNDS else 0.0)
    return Interval(
        low=expected * exp(-hypot(below, method)),
        expected=expected,
        high=expected * exp(hypot(above, method)),
        basis=Basis.DERIVED,
        source=f"synthetic: two shallow files of random weights, {n} rounds",
    )


def _line(
    few_s: Sequence[float], deep_s: Sequence[float], few: float, deep: float, work: float
) -> float | None:
    at_few, at_deep = lower_quartile(few_s), lower_quartile(deep_s)
    if at_deep <= at_few or deep <= few:
        return None
    return at_deep + (work - deep) * (at_deep - at_few) / (deep - few)
