"""What the engines of measured runs were told that the rows of their results do not say.

A setting is looked up by what a row does say: system, model, precision, engine, load, split, image and date. Of the
lines that match, those that came last before the day of the measurement hold; where they contradict each other, the
setting is unknown.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from profiles.errors import ProfileError

SETTINGS: Final = (
    "draft_tokens",
    "held_steps",
    "collect_steps",
    "most_running",
    "memory_share",
    "is_cold",
    "step_tokens",
    "pads_experts",
)
_NUMBERS: Final = ("n_prompt", "n_output", "n_gpus", "n_expert_ranks")
_EARLY: Final = timedelta(days=2)  # changes are measured shortly before they are made


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRun:
    """What a row says of the run that it is the result of."""

    system: str
    model: str
    precision: str
    engine: str
    n_prompt: int
    n_output: int
    n_gpus: int
    n_expert_ranks: int
    is_replicated: bool
    n_requests: float
    image: str | None
    version: str | None
    day: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSetting:
    """One setting, and the runs that it holds for; None is any."""

    setting: str
    value: float
    texts: Mapping[str, str]  # equal to the run's; the model's name holds it
    numbers: Mapping[str, int]
    is_replicated: bool | None
    least_requests: float
    most_requests: float
    since: date
    until: date

    def holds(self, run: MeasuredRun) -> bool:
        """Whether this setting is one of the run's."""
        return (
            all(
                text in run.model if name == "model" else text == getattr(run, name)
                for name, text in self.texts.items()
            )
            and all(number == getattr(run, name) for name, number in self.numbers.items())
            and self.is_replicated in (None, run.is_replicated)
            and self.least_requests <= run.n_requests <= self.most_requests
            and self._covers(run.day)
        )

    def _covers(self, day: date | None) -> bool:
        if day is None:
            return self.since == date.min and self.until == date.max
        return self.since <= day + _EARLY and day <= self.until


def run_settings(known: Iterable[RunSetting], run: MeasuredRun) -> dict[str, float]:
    """The settings that are known of a run."""
    found: dict[str, float] = {}
    matching = [one for one in known if one.holds(run)]
    for name in SETTINGS:
        ours = [one for one in matching if one.setting == name]
        latest = max((one.since for one in ours), default=None)
        last = [one for one in ours if one.since == latest]
        narrowest = max((len(one.numbers) for one in last), default=0)
        values = {one.value for one in last if len(one.numbers) == narrowest}
        if len(values) == 1:
            found[name] = values.pop()
    return found


def of_versions(known: Iterable[RunSetting]) -> tuple[RunSetting, ...]:
    """The settings that every run of a version has, whoever started it."""
    return tuple(one for one in known if "version" in one.texts)


def run_settings_from_rows(rows: Iterable[Mapping[str, str | None]]) -> tuple[RunSetting, ...]:
    """The rows of `calibrations/serving_runs.csv` as records; raises ProfileError naming the row."""
    found = []
    for row in rows:
        try:
            if row["setting"] not in SETTINGS:
                raise ValueError(f"{row['setting']!r} is none of the settings {', '.join(SETTINGS)}")
            replicated = {"yes": True, "no": False, None: None}[row["is_replicated"]]
            found.append(
                RunSetting(
                    setting=row["setting"], value=float(row["value"] or ""),
                    texts=_filled(row, ("system", "model", "precision", "engine", "image", "version")),
                    numbers={k: int(v) for k, v in _filled(row, _NUMBERS).items()},
                    is_replicated=replicated,
                    least_requests=float(row["least_requests"] or 0),
                    most_requests=float(row["most_requests"] or "inf"),
                    since=_day(row["since"], date.min), until=_day(row["until"], date.max),
                )
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise ProfileError(f"calibrations/serving_runs.csv, row {row.get('id')!r}: {error}") from error
    return tuple(found)


def _filled(row: Mapping[str, str | None], names: Iterable[str]) -> dict[str, str]:
    return {name: value for name in names if (value := row[name])}


def _day(text: str | None, default: date) -> date:
    return date.fromisoformat(text) if text else default
