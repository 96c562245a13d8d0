"""What the page or the scripts behind published throughput say of their runs, where its rows do not.

How many requests there were, how long they were, how the cache was stored, how much memory it got: `planner.estimate.
serving_speed.rate_rows` asks for it by the row's origin, engine, model, hardware, precision and lengths.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from profiles.errors import ProfileError

SETTINGS: Final = (
    "n_requests",  # of a queue that the row calls endless
    "most_running",
    "memory_share",
    "cache_element_bytes",
    "has_varied_lengths",  # 1: answers that end where the model or the data set ends them; 0: all alike
    "engine_year",  # of engines that say little of those of today
    "is_as_published",  # 1: weights as their repository holds them, whatever the row calls them
)
_TEXTS: Final = ("origin", "engine", "model", "hardware", "quant")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRun:
    """One setting, and the rows that it holds for."""

    setting: str
    value: float
    texts: Mapping[str, str]  # equal to the row's; of the model and the hardware a part is enough
    least_prompt: float
    most_prompt: float
    least_output: float
    most_output: float

    def holds(self, row: Mapping[str, str], n_prompt: float, n_output: float) -> bool:
        """Whether this is said of the row."""
        return (
            all(
                text in row.get(name, "") if name in ("model", "hardware") else text == row.get(name, "")
                for name, text in self.texts.items()
            )
            and self.least_prompt <= n_prompt <= self.most_prompt
            and self.least_output <= n_output <= self.most_output
        )


def source_settings(
    known: Iterable[SourceRun], row: Mapping[str, str], n_prompt: float, n_output: float
) -> dict[str, float]:
    """What is said of a row; where several lines hold, the one that names most of it."""
    found: dict[str, tuple[int, float]] = {}
    for one in known:
        if one.holds(row, n_prompt, n_output) and len(one.texts) >= found.get(one.setting, (0, 0.0))[0]:
            found[one.setting] = len(one.texts), one.value
    return {name: value for name, (_, value) in found.items()}


def source_runs_from_rows(rows: Iterable[Mapping[str, str | None]]) -> tuple[SourceRun, ...]:
    """The rows of `calibrations/serving_source_runs.csv` as records; raises ProfileError naming the row."""
    found = []
    for row in rows:
        try:
            if row["setting"] not in SETTINGS:
                raise ValueError(f"{row['setting']!r} is none of the settings {', '.join(SETTINGS)}")
            found.append(
                SourceRun(
                    setting=row["setting"], value=float(row["value"] or ""),
                    texts={name: text for name in _TEXTS if (text := row[name])},
                    least_prompt=float(row["least_prompt"] or 0), most_prompt=float(row["most_prompt"] or "inf"),
                    least_output=float(row["least_output"] or 0), most_output=float(row["most_output"] or "inf"),
                )
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise ProfileError(
                f"calibrations/serving_source_runs.csv, row {row.get('id')!r}: {error}"
            ) from error
    return tuple(found)
