"""Energy of a token on a placed model: of its GPUs, from their power limits and what a step moves and computes."""

from collections.abc import Sequence
from dataclasses import dataclass

from hardware.spec import Basis, Gpu, Machine
from hardware.units import MEGA
from planner.errors import MissingFactError
from planner.estimate.described_model import DescribedModel
from planner.estimate.modelled_speed import decode_case, placed_layout, prefill_case
from planner.estimate.placement import Placement
from planner.estimate.speed import SpeedEstimate
from planner.estimate.term import Interval
from planner.speed.factors import Case
from planner.speed.operators import HOST
from planner.speed.power import End, PowerShare, ideal_seconds, shares_of, step_joules

_J_PER_WH = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """Joules of a decoded and of a prompt token, of all GPUs together; or the fact that is missing."""

    decode_j: Interval | None = None
    prompt_j: Interval | None = None
    missing: str | None = None


NOT_ASKED = Energy()


def wh_per_mtok(joules: float) -> float:
    """Watt-hours per million tokens: 1 J a token is 277.8 Wh a million."""
    return joules * MEGA / _J_PER_WH


def energy(
    model: DescribedModel,
    placement: Placement,
    machine: Machine,
    shares: Sequence[PowerShare],
    decode: SpeedEstimate,
    prefill: SpeedEstimate,
    n_prompt_tokens: int,
) -> Energy:
    """What the GPUs draw over a token's time; unknown for processors, whose power no profile has."""
    try:
        limits = [
            _limit_w(load.device.gpu, load.device.name) for load in placement.loads if load.device.is_gpu
        ]
        if not limits:
            raise MissingFactError("how much power a processor and its memory draw is not known")
        layout = placed_layout(placement, machine)
        decoded = decode_case(model.work, layout, placement.flags, 0, 1)
        prompt = prefill_case(model.work, layout, placement.flags, n_prompt_tokens)
        return Energy(
            decode_j=_joules(decoded, limits, shares, decode, 1),
            prompt_j=_joules(prompt, limits, shares, prefill, n_prompt_tokens),
        )
    except MissingFactError as error:
        return Energy(missing=str(error))


def _limit_w(gpu: Gpu | None, name: str) -> float:
    """What the driver says the board may draw, or what its vendor states."""
    details = gpu.details.power if gpu and gpu.details else None
    accelerator = gpu.accelerator if gpu else None
    found = (
        gpu.power_limit_w if gpu else None,
        details.limit_w if details else None,
        accelerator.power_w if accelerator else None,
    )
    limit = next((limit for limit in found if limit), None)
    if limit is None:
        raise MissingFactError(f"the power limit of {gpu.name if gpu else name} is unknown")
    return limit


def _joules(
    case: Case, limits: Sequence[float], shares: Sequence[PowerShare], speed: SpeedEstimate, n_tokens: int
) -> Interval | None:
    rate = speed.tokens_per_s
    if rate is None:
        return None
    ideal = ideal_seconds(case)

    def joules(end: End, tokens_per_s: float) -> float:
        total = 0.0
        for index, limit_w in enumerate(limits):
            # Of GPUs that work at once the case holds the one that takes longest.
            at_once = len(case.layout.gpus) < len(limits)
            device = case.layout.gpus[0 if at_once else index]
            if device.kind == "cpu":
                continue  # in the place of a GPU that nothing lies on
            found = shares_of(shares, device.memory_kind, end)
            if found is None:
                raise MissingFactError(
                    f"how much power a device with {device.memory_kind} memory draws was not measured"
                )
            byte_s, flop_s = ideal.get(0 if at_once else index, (0.0, 0.0))
            total += step_joules(limit_w, found, n_tokens / tokens_per_s, byte_s, flop_s)
        return total / n_tokens

    beside = " alone, without the processor and main memory that work too" if HOST in ideal else ""
    return Interval(
        low=joules("low", rate.high),
        expected=joules("expected", rate.expected),
        high=joules("high", rate.low),
        basis=Basis.DERIVED,
        source=f"the GPUs{beside}: limits of {', '.join(f'{limit:g} W' for limit in limits)}, shares of them as measured "
        "on four kinds of GPU",
    )
