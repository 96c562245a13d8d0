"""Workload files: what is read is written back, and what is wrong is named with file, key and what is allowed."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import MalformedError, NotFoundError, ReadError
from planner.readers.workload_file import SCHEMA, parse_workload, read_workload
from planner.readers.workload_writer import workload_fields, workload_toml
from planner.workload.lengths import Lengths
from planner.workload.workload import AgentLoop, FigureSource, Objective, Traffic, Workload

LEAST = f"""
schema = "{SCHEMA}"
prompt_tokens = 512
output_tokens = "lognormal:128:0.5"
[traffic]
users = 4
"""

lengths = st.one_of(
    st.builds(
        lambda low, more: Lengths(kind="uniform", low=low, high=low + more),
        st.integers(1, 9_000), st.integers(0, 9_000),
    ),
    st.builds(
        lambda median, sigma, most: Lengths(
            kind="lognormal", low=median, high=median, sigma=sigma / 100, most=most
        ),
        st.integers(1, 9_000), st.integers(0, 300), st.none() | st.integers(1, 99_999),
    ),
    st.lists(st.integers(1, 99_999), min_size=2, max_size=20).map(
        lambda points: Lengths(kind="quantiles", low=min(points), high=max(points), points=tuple(sorted(points)))
    ),
)  # fmt: skip
texts = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=40).filter(str.isprintable)
weights = st.floats(0, 100, allow_nan=False).map(lambda weight: round(weight, 3))
workloads = st.builds(
    Workload,
    name=texts.filter(bool),
    description=texts,
    source=texts,
    prompt=lengths,
    output=lengths,
    thinking=lengths,
    shared_prefix_tokens=st.integers(0, 5_000),
    samples=st.integers(1, 9),
    availability=st.none() | st.sampled_from((0.9, 0.999)),
    objectives=st.sampled_from(((), (Objective(measure="ttft", quantile=0.999, limit_s=0.0015),))),
    agent=st.none()
    | st.builds(
        AgentLoop,
        steps=lengths,
        tool_tokens=lengths,
        max_steps=st.integers(1, 99),
        token_budget=st.none() | st.integers(1, 10**6),
        keeps_thinking=st.booleans(),
    ),
    traffic=st.builds(
        Traffic,
        tasks_per_s=st.floats(1e-3, 1e3),
        pattern=st.sampled_from(("poisson", "bursty", "steady")),
        burstiness=st.floats(0.1, 100),
        day_profile=st.lists(weights, min_size=24, max_size=24).map(lambda day: (1.0, *day[1:])),
        growth_per_year=st.floats(-0.9, 9),
    ),
    sources=st.sampled_from(
        ((), (FigureSource(key="traffic.users", basis="measured", note='a "log"', date="2026-11"),))
    ),
)


@given(workloads)
def test_a_written_workload_is_read_back_whole(workload: Workload) -> None:
    assert parse_workload(workload_toml(workload).encode(), "w") == workload
    as_json = json.dumps(workload_fields(workload)).encode()
    assert parse_workload(as_json, "w", is_json=True) == workload


def test_the_least_file_says_lengths_and_traffic(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(LEAST, encoding="utf-8")
    workload = read_workload(path)
    assert (workload.prompt.mean, workload.traffic.concurrency, workload.thinking.mean) == (512, 4, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("prompt_tokens", "promt_tokens"), "'promt_tokens' is no key of a workload; did you mean prompt_tokens?"),
        (("users = 4", "usrs = 4"), "'traffic.usrs' is no key of a workload; did you mean users?"),
        (("512", '"many"'), "key prompt_tokens: found 'many', expected a length in tokens, such as 512"),
        (("512", "0"), "key prompt_tokens: found '0', expected a length"),
        (("512", "true"), "key prompt_tokens: found 'True', expected a length"),
        (("users = 4", "users = 0"), "key traffic.users: found '0', expected a whole number from 1"),
        (("users = 4", "users = 1.5"), "key traffic.users: found '1.5', expected a whole number"),
        (("users = 4", "users = 4\ntasks_per_s = 2"), "key traffic: traffic is either tasks per second or"),
        (("users = 4", ""), "key traffic: traffic is either"),
        (("users = 4", 'users = 4\npattern = "wild"'), "found 'wild', expected one of poisson, bursty, steady"),
        (("users = 4", "users = 4\nday_profile = [1]"), "key traffic.day_profile: found '[1]', expected 24 weights"),
        (("users = 4", "users = nan"), "key traffic.users: found 'nan', expected a whole number"),
        ((SCHEMA, "planner.workload/9"), f'key schema: found \'planner.workload/9\', expected "{SCHEMA}"'),
        (("[traffic]\nusers = 4", ""), "the key traffic is missing"),
        (("[traffic]", "slo = 'fast'\n[traffic]"), "key slo: 'fast' is no objective"),
        (("[traffic]", "[agent]\nsteps = 3\n[traffic]"), "the key agent.tool_tokens is missing"),
        (("[traffic]", "[sources.x]\n[traffic]"), "'sources.x' is no key of a workload"),
        (("[traffic]", 'name = "a\\u001b[2J"\n[traffic]'), "key name: found 'a\\x1b[2J', expected a text on one line"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(change: tuple[str, str], message: str) -> None:
    assert change[0] in LEAST
    with pytest.raises(MalformedError) as error:
        parse_workload(LEAST.replace(*change).encode(), "'mine.toml'")
    assert message in str(error.value)
    assert str(error.value).startswith("'mine.toml'")
    assert "\n" not in str(error.value)


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_refused_in_one_line(data: bytes) -> None:
    for is_json in (False, True):
        with pytest.raises(ReadError) as error:
            parse_workload(data, "x", is_json=is_json)
        assert "\n" not in str(error.value)


def test_a_large_file_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * 2**20)
    with pytest.raises(MalformedError, match="KiB"):
        read_workload(large)
    with pytest.raises(NotFoundError, match="does not exist"):
        read_workload(tmp_path / "none.toml")
