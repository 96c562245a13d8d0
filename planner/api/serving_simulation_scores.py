"""The simulation and the closed form held against the same measured loads:

    python -m planner.api.serving_simulation_scores LATENCIES.csv RATES.csv --date 2026-11-28

writes `serving_simulation_scores.csv` into the packaged calibrations. Both take the packaged fit.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from planner.api.serving_facts import serving_facts
from planner.api.serving_rates import closed_loops, expected_rates
from planner.api.serving_rows import measured_rows, row_reader
from planner.api.serving_simulation import simulated_loops
from planner.api.speed_calibration import write_table
from planner.errors import MissingFactError
from planner.estimate.serving_speed.latency_rows import LatencyRow
from planner.estimate.serving_speed.rate_rows import RateRow
from planner.estimate.serving_speed.served_latency import ServingFacts, served_latencies
from planner.readers.measurement_table import read_table

SCORES_FILE: Final = "serving_simulation_scores"
_COLUMNS: Final = (
    "id", "quantity", "n_groups", "n_rows", "closed_form_error", "simulated_error", "date", "source",
)  # fmt: skip
_SOURCE: Final = "packaged fit, median over groups of the median error of a group's rows"
Rows = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationScore:
    """Median errors over the same groups of measured loads, by both ways of predicting them."""

    quantity: str  # "tpot", "ttft", "tok_s"
    n_groups: int
    n_rows: int
    closed_form_error: float
    simulated_error: float

    @property
    def ratio(self) -> float:
        """The simulation's error over the closed form's."""
        return self.simulated_error / self.closed_form_error


def latency_simulation_scores(rows: Rows, facts: ServingFacts | None = None) -> tuple[SimulationScore, ...]:
    """Time per output token and to the first token, of every row that says enough."""
    facts = facts or serving_facts()
    found, _ = measured_rows(rows, row_reader())
    loads: list[LatencyRow] = list({one.identity: one for one in found.values()}.values())
    deployments = [one.deployment for one in loads]
    closed, simulated = served_latencies(deployments, facts), simulated_loops(deployments, facts)
    tpot = [
        (one.group, answer.tpot_s.expected / one.tpot_s, run.tpot_s / one.tpot_s)
        for one, answer, run in zip(loads, closed, simulated, strict=True)
    ]
    ttft = [
        (one.group, answer.ttft_s.expected / one.ttft_s, run.ttft_s / one.ttft_s)
        for one, answer, run in zip(loads, closed, simulated, strict=True)
        if one.ttft_s is not None
    ]
    return _score("tpot", tpot), _score("ttft", ttft)


def rate_simulation_scores(rows: Rows, facts: ServingFacts | None = None) -> tuple[SimulationScore, ...]:
    """Tokens per second of every row that is a closed loop and says enough."""
    facts = facts or serving_facts()
    loads = [one for one in closed_loops(rows) if _fits(one)]
    deployments = [one.deployment for one in loads]
    closed, simulated = expected_rates(loads, facts.rates), simulated_loops(deployments, facts)
    rates = [
        (
            one.group,
            expected / one.tokens_per_s,
            run.answered_tokens_per_s * one.n_copies * _counted(one) / one.tokens_per_s,
        )
        for one, expected, run in zip(loads, closed, simulated, strict=True)
    ]
    return (_score("tok_s", rates),)


def _counted(one: RateRow) -> float:
    """Tokens that a row counts for each one that is answered."""
    n_in, n_out = one.deployment.n_prompt_tokens, one.deployment.n_output_tokens
    return (n_in + n_out) / n_out if one.counts_prompts else 1.0


def _fits(one: RateRow) -> bool:
    return one.deployment.n_output_tokens > 1


def _score(quantity: str, ratios: Sequence[tuple[str, float, float]]) -> SimulationScore:
    """Each group by the median error of its rows, then the median of groups."""
    import numpy as np

    if not ratios:
        raise MissingFactError(f"no row says enough to be simulated for {quantity}")
    groups = np.array([group for group, _, _ in ratios])
    errors = np.abs(np.array([both for _, *both in ratios]) - 1)
    medians = np.array([np.median(errors[groups == name], axis=0) for name in np.unique(groups)])
    closed, simulated = np.median(medians, axis=0)
    return SimulationScore(
        quantity=quantity, n_groups=len(medians), n_rows=len(ratios), closed_form_error=float(closed),
        simulated_error=float(simulated),
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Scores both files and keeps the scores."""
    parser = argparse.ArgumentParser(
        prog="python -m planner.api.serving_simulation_scores", description=__doc__
    )
    parser.add_argument("latencies", type=Path)
    parser.add_argument("rates", type=Path)
    parser.add_argument("--date", required=True, help="of the scores, ISO 8601")
    parser.add_argument("--out", type=Path, default=Path("profiles/calibrations"))
    options = parser.parse_args(arguments)
    scores = (
        *latency_simulation_scores(read_table(options.latencies).rows),
        *rate_simulation_scores(read_table(options.rates).rows),
    )
    write_table(
        options.out / f"{SCORES_FILE}.csv",
        _COLUMNS,
        [
            {
                "id": one.quantity, "quantity": one.quantity, "n_groups": str(one.n_groups), "n_rows": str(one.n_rows),
                "closed_form_error": f"{one.closed_form_error:.4f}", "simulated_error": f"{one.simulated_error:.4f}",
                "date": options.date, "source": _SOURCE,
            }
            for one in scores
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
