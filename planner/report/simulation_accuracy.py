"""The simulation beside the closed form on one page: errors over the same measured loads."""

from collections.abc import Mapping, Sequence
from typing import Final

_WORDS: Final[Mapping[str, str]] = {
    "tpot": "Time per output token",
    "ttft": "time to the first token",
    "tok_s": "tokens per second of closed loops",
}


def simulation_text(rows: Sequence[Mapping[str, str | None]]) -> str:
    """One sentence on what is compared, and the medians of both."""
    parts = [
        f"{_WORDS[row['quantity'] or '']}: {float(row['simulated_error'] or 0):.1%} simulated, "
        f"{float(row['closed_form_error'] or 0):.1%} in closed form ({row['n_rows']} loads, {row['n_groups']} groups)"
        for row in rows
    ]
    return (
        "The simulation (`planner simulate`, `planner size`) plays the same loads step by step on the same step times. "
        f"Median error of groups with the packaged fit, {rows[0]['date']}: {'; '.join(parts)}.\n"
    )
