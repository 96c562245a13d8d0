"""Fits the step rates to measured times: damped Gauss-Newton on log ratios, robust, with shrinkage to common values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from planner.estimate.serving_speed.deployment import Batch
from planner.estimate.serving_speed.latency import latency
from planner.estimate.serving_speed.step_rates import ALL, RATES, Rate, StepRates, to_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[Any]

_PRIOR_WEIGHT: Final = 0.12
# Log ratios far beyond these hardly count: of such rows something else is wrong.
_TPOT_SCALE: Final = 0.08
_TTFT_SCALE: Final = 0.3
_WIDER: Final = (8.0, 3.0)
_TTFT_WEIGHT: Final = 0.6  # the time to the first token scatters more
_GROUP_POWER: Final = 0.4  # a group of n rows weighs n**(1 - 2 · 0.4) of one row
_DIFFERENCE: Final = 1e-4
_MOST_STEPS: Final = 40
_SETTLED: Final = 1e-4


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Measured times of deployments, and the group of rows that each belongs to."""

    questions: Batch
    tpot_s: "Floats"
    ttft_s: "Floats"
    groups: Sequence[str]


def summand_names(questions: Batch) -> tuple[tuple[Rate, str], ...]:
    """Every summand that these deployments have a say in."""
    found: list[tuple[Rate, str]] = []
    for rate in RATES:
        found.append((rate, ALL))
        for axis in rate.axes:
            found += [(rate, f"{axis}:{name}") for name in questions.members[axis]]
    return tuple(found)


def fit_rates(measured: Measured, start: StepRates | None = None, most_steps: int = _MOST_STEPS) -> StepRates:
    """The rates that explain measured times best, each no further from its start than the data ask for."""
    import numpy as np

    names = summand_names(measured.questions)
    origin = np.array(
        [to_line(r, r.start) if group == ALL else r.groups.get(group, 0.0) for r, group in names]
    )
    spread = np.array([rate.spread_of(group) for rate, group in names])
    weights = _row_weights(measured.groups)
    log_tpot, log_ttft = np.log(measured.tpot_s), np.log(measured.ttft_s)

    def rates(x: "Floats") -> StepRates:
        return StepRates(
            summands={(rate.name, group): float(v) for (rate, group), v in zip(names, x, strict=True)}
        )

    def residuals(x: "Floats") -> "Floats":
        found = latency(measured.questions, rates(x))
        return np.concatenate(
            [np.log(found.tpot_s) - log_tpot, np.log(found.ttft_s) - log_ttft, (x - origin) / spread]
        )

    weight = np.concatenate([weights, _TTFT_WEIGHT * weights, np.full(len(names), _PRIOR_WEIGHT)])
    # Far rows count little, but however far a rate goes from its start, that counts in full.
    scale = np.concatenate(
        [np.full(len(weights), _TPOT_SCALE), np.full(len(weights), _TTFT_SCALE), np.full(len(names), np.inf)]
    )

    x = (
        origin
        if start is None
        else np.array([start.summands.get((r.name, g), o) for (r, g), o in zip(names, origin, strict=True)])
    )
    if (
        start is None
    ):  # with all rows in reach at first, so that no accident of the start decides which are far off
        for wider in _WIDER:
            x = _minimise(residuals, x, weight, scale * wider, most_steps)
    return rates(_minimise(residuals, x, weight, scale, most_steps))


def _row_weights(groups: Sequence[str]) -> "Floats":
    """Each group of rows counts for little more than a single row, so that none of them decides alone."""
    import numpy as np

    _, index, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    return counts[index] ** -_GROUP_POWER


def _minimise(residuals: Any, x: "Floats", weight: "Floats", scale: "Floats", most_steps: int) -> "Floats":
    """Levenberg-Marquardt with the loss w²·s²·log(1 + (r/s)²), that of a Cauchy distribution; Jacobian by differences.

    An endless s is the plain square.
    """
    import numpy as np

    is_robust = np.isfinite(scale)
    finite = np.where(is_robust, scale, 1.0)

    def cost(r: "Floats") -> float:
        loss = np.where(is_robust, finite**2 * np.log1p((r / finite) ** 2), r**2)
        return float(np.sum(weight**2 * loss))

    r = residuals(x)
    now, damping = cost(r), 1e-2
    for _ in range(most_steps):
        jacobian = np.empty((len(r), len(x)))
        for i in range(len(x)):
            moved = x.copy()
            moved[i] += _DIFFERENCE
            jacobian[:, i] = (residuals(moved) - r) / _DIFFERENCE
        importance = weight**2 / (1 + np.where(is_robust, (r / finite) ** 2, 0.0))
        normal = jacobian.T @ (jacobian * importance[:, None])
        gradient = jacobian.T @ (importance * r)
        before = now
        for _ in range(10):
            step = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-9), -gradient)
            tried = x + np.clip(step, -1.0, 1.0)
            r_tried = residuals(tried)
            reached = cost(r_tried)
            if np.isfinite(reached) and reached < now:
                x, r, now, damping = tried, r_tried, reached, damping / 3
                break
            damping *= 4
        if before - now < _SETTLED * before:
            break
    return x
