"""GPUs of other machines over a network: how it is written, and how they join a machine."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.described import describe_machine
from hardware.errors import DescriptionError
from hardware.interconnect import NetworkLink
from hardware.remote import parse_network, with_remote_gpus

LINK = NetworkLink(bytes_per_s=1.25e9, round_trip_s=2e-4)


@pytest.mark.parametrize(
    ("text", "bytes_per_s", "round_trip_s"),
    [
        ("10GbE 0.2ms", 1.25e9, 2e-4),
        ("2.5 GbE, 300us", 312.5e6, 3e-4),
        ("100Mbit/s 5 ms", 12.5e6, 5e-3),
        ("40Gbit/s 15µs", 5e9, 15e-6),
    ],
)
def test_a_network_in_words(text: str, bytes_per_s: float, round_trip_s: float) -> None:
    found = parse_network(text)
    assert found.bytes_per_s == pytest.approx(bytes_per_s)
    assert found.round_trip_s == pytest.approx(round_trip_s)


@pytest.mark.parametrize(
    "text", ["", "10GbE", "0.2ms", "fast", "0GbE 1ms", "10GbE 0.2ms twice", "10 GB/s 1ms"]
)
def test_anything_else_shows_how_to_write_it(text: str) -> None:
    with pytest.raises(DescriptionError, match=r"10GbE 0\.2ms"):
        parse_network(text)


@given(st.text(max_size=80))
def test_no_text_breaks_the_reader(text: str) -> None:
    with contextlib.suppress(DescriptionError):
        assert parse_network(text).bytes_per_s > 0


def test_lent_gpus_come_first_and_keep_what_they_are() -> None:
    own, other = describe_machine("RTX 4090, 64GiB"), describe_machine("2x RTX 3090")
    found = with_remote_gpus(own, [other], LINK)
    assert [gpu.name for gpu in found.gpus] == [gpu.name for gpu in (*other.gpus, *own.gpus)]
    assert [gpu.index for gpu in found.gpus] == [0, 1, 2]
    assert [gpu.network for gpu in found.gpus] == [LINK, LINK, None]
    assert found.memory == own.memory


def test_a_machine_without_a_gpu_lends_none() -> None:
    with pytest.raises(DescriptionError, match="no GPU to lend"):
        with_remote_gpus(describe_machine("RTX 4090"), [describe_machine("64GiB DDR5-5600")], LINK)
