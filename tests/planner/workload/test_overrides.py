"""What a person says otherwise replaces a workload's figures, and their sources."""

import pytest

from planner.workload.lengths import parse_lengths
from planner.workload.overrides import NO_OVERRIDES, Overrides, overridden
from planner.workload.workload import FigureSource, Traffic, Workload

WORKLOAD = Workload(
    name="w",
    prompt=parse_lengths("1000"),
    output=parse_lengths("100"),
    shared_prefix_tokens=600,
    traffic=Traffic(tasks_per_s=2.0, burstiness=3.0),
    sources=(
        FigureSource(key="prompt_tokens", basis="measured", note="a trace"),
        FigureSource(key="traffic.tasks_per_s", basis="assumed", note="one"),
        FigureSource(key="traffic.burstiness", basis="measured", note="a trace"),
    ),
)


def test_without_overrides_nothing_changes() -> None:
    assert overridden(WORKLOAD, NO_OVERRIDES) is WORKLOAD


def test_a_given_figure_loses_the_source_of_the_old_one() -> None:
    changed = overridden(WORKLOAD, Overrides(prompt=parse_lengths("400"), concurrency=8))
    assert (changed.prompt.mean, changed.shared_prefix_tokens) == (400, 400)
    assert (changed.traffic.tasks_per_s, changed.traffic.concurrency, changed.traffic.burstiness) == (
        None,
        8,
        3.0,
    )
    assert {(source.key, source.basis) for source in changed.sources} == {
        ("traffic.burstiness", "measured"),
        ("prompt_tokens", "given"),
        ("traffic.users", "given"),
    }


def test_traffic_is_given_in_one_way_only() -> None:
    with pytest.raises(ValueError, match="either"):
        Overrides(tasks_per_s=1, concurrency=2)
