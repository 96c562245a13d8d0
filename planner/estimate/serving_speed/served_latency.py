"""Time per output token and to the first token of deployments, as intervals."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hardware.spec import Basis
from planner.estimate.serving_speed.apart import Apart
from planner.estimate.serving_speed.deployment import Deployment, batch
from planner.estimate.serving_speed.latency import latency
from planner.estimate.serving_speed.spread import Kind, Quantity, Spread, kind_of, spread_for
from planner.estimate.serving_speed.step_rates import StepRates
from planner.estimate.term import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingFacts:
    """What was fitted to measured serving engines: rates, and how far single measurements stray from them."""

    rates: StepRates
    spreads: tuple[Spread, ...]
    devices: frozenset[str] | None = None  # ids of the GPUs that were measured; None: all there are
    rows_digest: str = ""  # of the measured times
    rate_rows_digest: str = ""  # of the measured rates


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedLatency:
    """What one request sees of a deployment under its load, and the steps it is made of."""

    tpot_s: Interval
    ttft_s: Interval
    decode_step_s: float
    prompt_step_s: float


def served_latencies(deployments: Sequence[Deployment], facts: ServingFacts) -> tuple[ServedLatency, ...]:
    """One answer for each deployment; raises MissingFactError for a GPU whose rates nobody knows."""
    if not deployments:
        return ()
    found = latency(batch(deployments), facts.rates)
    return tuple(
        ServedLatency(
            tpot_s=interval(float(found.tpot_s[i]), "tpot", kind(one, facts.devices), facts.spreads),
            ttft_s=interval(float(found.ttft_s[i]), "ttft", kind(one, facts.devices), facts.spreads),
            decode_step_s=float(found.decode_step_s[i]),
            prompt_step_s=float(found.prompt_step_s[i]),
        )
        for i, one in enumerate(deployments)
    )


def kind(one: Deployment, devices: frozenset[str] | None = None) -> Kind:
    """What a deployment's times stray like, where the fit has seen these GPUs (None: all)."""
    return kind_of(
        one.engine,
        has_experts=one.load.network.is_mixture_of_experts(),
        has_known_settings=one.schedule.has_known_settings,
        is_reported=one.schedule.is_reported,
        is_new_device=devices is not None and one.accelerator.id not in devices,
    )


def kind_apart(one: Apart) -> Kind:
    """What times stray like where prompts are read elsewhere."""
    return replace(kind(one.decode), settings="apart")


def interval(expected_s: float, quantity: Quantity, like: Kind, spreads: Iterable[Spread]) -> Interval:
    """An expected time with the bounds that four of five measurements of its kind kept to."""
    spread = spread_for(spreads, quantity, like)
    return Interval(
        low=expected_s * min(1.0, spread.low_ratio),
        expected=expected_s,
        high=expected_s * max(1.0, spread.high_ratio),
        basis=Basis.DERIVED,
        source=spread.source,
    )
