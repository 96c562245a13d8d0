"""The sections of the accuracy page on speed, from the scores that calibrations keep."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from planner.estimate.speed_score_table import AFTER_BENCH, BEFORE_BENCH
from planner.estimate.speed_validation import Part, SpeedScore, class_scores
from planner.report.document import Document, Table
from planner.report.speed_score_tables import GOALS, WORDS, class_table, part_table, worst_table

COVERAGE_ASKED: Final = (0.76, 0.84)
_UNSEEN_DEVICE_TIMES: Final = 1.5  # what is asked of errors on a device that no fit has seen

LLAMA_CPP: Final = """\
**Input**: the model by architecture and parameter count, the file's size and type, the device by its name, the layers and
experts on it, flash attention, micro-batch and build. Every row is predicted by a fit that has not seen its **cell**
(device, backend, model and type), its **device**, or its **model**. A group is a device, architecture, type and
backend. **Noise** is what independent people disagree by on the same test of the same model on the same device, with
builds of one age and like options (so few that it is a hint): no prediction can be surer. **After a benchmark** of its
smallest model (in whatever types and at whatever depths it was measured), a device that was left out is predicted again,
for all other models of the kind on the same machine. How it is done, and where it is weak: [speed.md](speed.md).
"""
SERVING: Final = """\
**Input**: the model, how its weights are stored, the GPUs and how it is spread over them, the engine, lengths of prompt
and output, and how many requests are in flight at a time. A group (**cell**) is a system, model, precision and engine;
every one is predicted by a fit that has not seen it, its system (**device**), or its **model**. How it is done:
[serving.md](serving.md).
"""

_BENCHED: Final = {
    BEFORE_BENCH: "each device left out, machines with several models",
    AFTER_BENCH: "the same machines, after a benchmark of one other model there",
}
WEAK: Final = """\
## Where speeds are further off than they should be

Every figure above that is worse than asked, and 80 % intervals that hold less than 76 or more than 84 %. A device that
no fit has seen may be off by half as much again.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedSection:
    """One kind of measurements: groups' scores by what fits had not seen, and what is said of them."""

    title: str
    text: str
    answer: str
    scores: Mapping[str, Sequence[SpeedScore]]
    noise: Mapping[str, tuple[float, int]] | None
    parts: tuple[tuple[str, Part], ...]  # what is shown, by what had been left out


def speed_section_document(section: SpeedSection) -> Document:
    """Scores by what was left out, then by device, model and engine, and the groups that are furthest off."""
    tables = [
        _titled(
            class_table(class_scores(groups), section.noise, _times(held_out)),
            f"Scores: {_left_out(held_out)}",
        )
        for held_out, groups in section.scores.items()
    ]  # fmt: skip
    tables += [
        _titled(
            part_table(section.scores[held_out], part),
            f"By {part}, each {held_out} left out: median error (80 % interval holds)",
        )
        for held_out, part in section.parts
        if held_out in section.scores
    ]
    tables += [
        _titled(worst_table(groups), f"Furthest off: each {held_out} left out")
        for held_out, groups in section.scores.items()
        if held_out not in _BENCHED
    ]
    return Document(
        schema="planner.accuracy/1", title=section.title, answer=(section.answer,), tables=tuple(tables)
    )


def _left_out(held_out: str) -> str:
    return _BENCHED.get(held_out, f"each {held_out} left out")


def _times(held_out: str) -> float:
    unseen = held_out in ("device", "system") or held_out in _BENCHED
    return _UNSEEN_DEVICE_TIMES if unseen else 1.0


def missed_goals(sections: Sequence[SpeedSection]) -> str:
    """Every figure that is worse than asked, as a list."""
    lines = [line for section in sections for line in _missed(section)]
    return "\n".join(lines) if lines else "Nothing that is asked of speeds is missed."


def _missed(section: SpeedSection) -> Iterator[str]:
    low, high = COVERAGE_ASKED
    for held_out, groups in section.scores.items():
        if held_out in _BENCHED:
            continue
        times = _times(held_out)
        for score in class_scores(groups):
            goal = GOALS.get(score.speed_class)
            if goal is None:
                continue
            figures = (
                ("median error", score.median_error_fraction, goal.median * times),
                ("90th percentile", score.p90_error_fraction, None if goal.p90 is None else goal.p90 * times),
                ("mean error", score.mean_error_fraction, None if goal.mean is None else goal.mean * times),
            )
            parts = [
                f"{name} {value:.1%} (asked {100 * asked:.3g}%)"
                for name, value, asked in figures
                if asked is not None and value > asked
            ]
            if not low <= round(score.coverage_fraction, 2) <= high:
                parts.append(f"80 % intervals hold {score.coverage_fraction:.0%}")
            if score.median_width_ratio > goal.width:
                parts.append(f"high / low {score.median_width_ratio:.2f} (asked {goal.width:.1f})")
            if parts:
                yield f"* {WORDS[score.speed_class]}, each {held_out} left out: {'; '.join(parts)}"


def _titled(table: Table, title: str) -> Table:
    return Table(title=title, headers=table.headers, rows=table.rows, right=table.right)
