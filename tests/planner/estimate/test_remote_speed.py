"""Layers on another machine: what crosses the network, on the command line and in the estimate."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.described import describe_machine
from hardware.interconnect import NetworkLink
from hardware.remote import with_remote_gpus
from planner.api.machines import speed_facts
from planner.cli.main import planner
from planner.engines.llama_cpp import LlamaCppFlags
from planner.engines.llama_cpp.given_split import GivenSplit
from planner.estimate.placement import place
from planner.estimate.speed import decode_speed, prefill_speed
from planner.speed.network import network_times
from planner.speed.operators import layout_on_one
from tests.planner.estimate.models import model
from tests.planner.speed.cases import GPU

LARGE = model("llama-70b")
OWN, OTHER = describe_machine("RTX 4090, 64GiB DDR5-5600"), describe_machine("RTX 3090")
FLAGS = LlamaCppFlags(n_context_tokens=4096)
FACTS, _ = speed_facts(OWN)
SPLIT = GivenSplit(n_gpu_layers=81, tensor_split=(1.0, 1.0))


def seconds(link: NetworkLink, depth: int = 0) -> float:
    box = with_remote_gpus(OWN, [OTHER], link)
    found = decode_speed(LARGE, place(LARGE, box, FLAGS, SPLIT), box, FACTS, depth).tokens_per_s
    assert found is not None
    return 1 / found.expected


def test_one_stretch_of_layers_costs_a_round_trip_and_its_vectors() -> None:
    link = NetworkLink(bytes_per_s=1e9, round_trip_s=1e-3)
    local = replace(layout_on_one(GPU, 4), gpus=(GPU, GPU), layers=(0, 0, 1, 1), head=1)
    times = {time.operator: time for time in network_times(local, (link, None), 512, 3, 1000)}
    assert times["network_wait"].ideal_s == pytest.approx(1e-3)
    # Three tokens: 512 f32 elements each way, and 1000 f16 elements of mask.
    assert times["network"].ideal_s == pytest.approx(3 * (2 * 512 * 4 + 2 * 1000) / 1e9)
    assert times["network"].device == 0
    assert list(network_times(local, (None, None), 512, 3, 1000)) == []
    back = replace(local, layers=(0, 1, 0, 1))
    assert sum(time.operator == "network_wait" for time in network_times(back, (link, None), 512, 1, 0)) == 2


@settings(deadline=None, max_examples=30)
@given(
    gbit=st.floats(0.1, 400),
    round_trip_s=st.floats(1e-6, 0.05),
    more=st.floats(1.0, 10.0),
    depth=st.integers(0, 4000),
)
def test_a_better_network_is_never_slower(gbit: float, round_trip_s: float, more: float, depth: int) -> None:
    here = NetworkLink(bytes_per_s=gbit * 125e6, round_trip_s=round_trip_s)
    quick = NetworkLink(bytes_per_s=gbit * 125e6 * more, round_trip_s=round_trip_s / more)
    assert seconds(quick, depth) <= seconds(here, depth) * 1.000001
    assert seconds(here, depth) >= round_trip_s


def test_a_long_round_trip_is_what_limits_the_speed_and_a_short_one_hardly_counts() -> None:
    endless = NetworkLink(bytes_per_s=1e15, round_trip_s=1e-12)
    slow = NetworkLink(bytes_per_s=125e6, round_trip_s=0.5)
    box = with_remote_gpus(OWN, [OTHER], slow)
    estimate = decode_speed(LARGE, place(LARGE, box, FLAGS, SPLIT), box, FACTS)
    assert estimate.limited_by == "the network to RPC 0"
    assert seconds(slow) == pytest.approx(seconds(endless) + 0.5, rel=0.02)
    assert prefill_speed(LARGE, place(LARGE, box, FLAGS, SPLIT), box, FACTS, 512).tokens_per_s is not None
    tensor = place(LARGE, box, FLAGS, replace(SPLIT, mode="tensor"))
    assert "over a network is not modelled" in (decode_speed(LARGE, tensor, box, FACTS).missing or "")


@pytest.fixture
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the user's data."""
    monkeypatch.setenv("PLANNER_DATA_DIR", str(tmp_path / "data"))


@pytest.mark.usefixtures("own_data")
def test_on_the_command_line() -> None:
    asked = (
        "fit",
        "llama-3.3-70b-instruct",
        "--on",
        "RTX 4090, 64GiB DDR5-5600",
        "--quant",
        "Q4_K_M",
        "--context",
        "8k",
    )
    alone = CliRunner().invoke(planner, [*asked, "--rpc", "RTX 3090"])
    assert alone.exit_code == 2
    assert "go together" in alone.output
    wrong = CliRunner().invoke(planner, [*asked, "--rpc", "RTX 3090", "--network", "soon"])
    assert wrong.exit_code == 2
    assert "10GbE 0.2ms" in wrong.output
    found = CliRunner().invoke(
        planner, [*asked, "--rpc", "RTX 3090", "--network", "10GbE 0.2ms", "--format", "json"]
    )
    assert found.exit_code == 0, found.output
    (row,) = json.loads(found.stdout)["rows"]
    assert row["devices"][0]["name"] == "RPC 0"
    assert row["fits"]
    assert row["command"][row["command"].index("--rpc") + 1] == "HOST1:50052"
