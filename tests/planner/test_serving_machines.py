"""Which machines a model is served on: one or several, what joins them, and how fast their GPUs talk."""

import pytest

from hardware.interconnect import NetworkLink
from planner import api
from planner.api.serving_machines import serving_machines
from planner.engines.sharding import Parallel
from planner.engines.vllm.settings import VllmSettings
from planner.errors import MissingFactError
from planner.report.serving_document import serving_document


def test_several_machines_of_one_kind_are_joined_by_their_network_cards() -> None:
    found = serving_machines("2x DGX H100")
    assert (found.count, found.gpus_per_machine, found.n_gpus) == (2, 8, 16)
    assert found.fabric(8) is None
    fabric = found.fabric(16)
    assert fabric is not None
    # Eight cards of 400 Gbit/s for eight GPUs: 50 GB/s each.
    assert fabric.bytes_per_s == 50e9


def test_a_network_that_nobody_stated_has_to_be_given() -> None:
    with pytest.raises(MissingFactError, match="reaches other machines is not known; give it"):
        serving_machines("2x HGX H100").fabric(16)
    given = serving_machines("2x HGX H100", NetworkLink(bytes_per_s=100e9, round_trip_s=1e-5))
    fabric = given.fabric(16)
    assert fabric is not None
    assert fabric.bytes_per_s == 12.5e9


def test_cards_without_a_bridge_talk_over_their_slots() -> None:
    assert serving_machines("2x RTX 3090, 64GiB").accelerator().link_bytes_per_s == pytest.approx(
        31.5e9, rel=0.01
    )
    assert serving_machines("2x H100 SXM").accelerator().link_bytes_per_s == 450e9


def test_a_machine_needs_a_gpu() -> None:
    with pytest.raises(MissingFactError, match="has no GPU whose memory is known"):
        serving_machines("cpu only, 64GiB")


def test_a_model_too_large_for_one_machine_is_put_on_two_in_stages() -> None:
    answer = api.fit_vllm("llama-3.1-405b-instruct", VllmSettings(), on="2x DGX H100")
    assert answer.best.parallel == Parallel(tensor=8, pipeline=2)
    assert answer.n_machines == 2
    assert answer.speeds
    document = serving_document(answer)
    assert "2 × DGX H100" in document.title
    assert document.data["n_machines"] == 2
    with pytest.raises(MissingFactError, match="takes 32 GPUs, 2x DGX H100 has 16"):
        api.fit_vllm(
            "llama-3.1-405b-instruct",
            VllmSettings(),
            on="2x DGX H100",
            splits=[Parallel(tensor=8, pipeline=4)],
        )
