"""Row and tensor split of placed models: memory in shares, speed, links, and what is not modelled."""

from dataclasses import replace

import pytest

from hardware.gpu_details import GpuDetails, GpuLinks, GpuPeer
from hardware.interconnect import Interconnect
from hardware.spec import Machine
from planner import api
from planner.api.models import described_models, open_model
from planner.api.split_calibration import calibrate_splits
from planner.engines.llama_cpp import LlamaCppFlags
from planner.engines.llama_cpp.given_split import GivenSplit
from planner.estimate.energy import energy
from planner.estimate.peer_links import peer_link_bytes_per_s
from planner.estimate.placement import Placement, place
from planner.estimate.speed import decode_speed, prefill_speed
from planner.estimate.tensor_memory import shares_of
from tests.planner.estimate.machines import card, machine
from tests.planner.estimate.models import model

FLAGS = LlamaCppFlags(n_context_tokens=4096)
LARGE = model("llama-70b")
BOX = api.machine_for("2x RTX 3090, 64GiB DDR5-5600")
FACTS, _ = api.speed_facts(BOX)


def placed(mode: str, **fixed: object) -> Placement:
    return place(LARGE, BOX, FLAGS, GivenSplit(mode=mode, **fixed))  # type: ignore[arg-type]


def test_every_gpu_holds_its_share_of_weights_and_cache() -> None:
    layer, tensor = placed("layer"), placed("tensor", n_gpu_layers=81, tensor_split=(3.0, 1.0))
    for name in ("weights", "KV cache"):
        whole = sum(load.term_bytes(name) for load in layer.loads if load.device.is_gpu)
        assert tensor.loads[0].term_bytes(name) == pytest.approx(0.75 * whole, rel=1e-6)
        assert tensor.loads[1].term_bytes(name) == pytest.approx(0.25 * whole, rel=1e-6)
    assert shares_of([24, 8], None) == (0.75, 0.25)
    assert shares_of([0, 0], None) == (0.0, 0.0)


def test_a_tensor_split_decodes_faster_than_layers_one_after_another_and_says_for_what_it_waits() -> None:
    rates = {}
    for mode in ("layer", "tensor"):
        estimate = decode_speed(LARGE, placed(mode), BOX, FACTS)
        assert estimate.tokens_per_s is not None
        rates[mode] = estimate.tokens_per_s
        waits = [term for term in estimate.terms if term.name.startswith("wait for other GPUs")]
        assert bool(waits) == (mode == "tensor")
    assert 1.2 * rates["layer"].expected < rates["tensor"].expected < 2 * rates["layer"].expected
    # Few were measured, so it is less sure.
    assert rates["tensor"].high / rates["tensor"].low > rates["layer"].high / rates["layer"].low
    assert prefill_speed(LARGE, placed("row"), BOX, FACTS, 512).tokens_per_s is not None


def test_a_part_in_ram_is_not_modelled_and_says_so() -> None:
    split = placed("row", n_gpu_layers=40)
    assert "-sm layer" in (decode_speed(LARGE, split, BOX, FACTS).missing or "")


def test_both_gpus_draw_while_they_work_at_once() -> None:
    decode, prefill = (
        decode_speed(LARGE, placed("tensor"), BOX, FACTS),
        prefill_speed(LARGE, placed("tensor"), BOX, FACTS, 512),
    )
    found = energy(LARGE, placed("tensor"), BOX, FACTS.power, decode, prefill, 512)
    assert found.decode_j is not None
    assert decode.tokens_per_s is not None
    assert found.decode_j.expected < 2 * 350 / decode.tokens_per_s.expected


def test_which_machines_have_links_between_gpus() -> None:
    assert peer_link_bytes_per_s(BOX) is None  # a bridge is sold apart
    assert peer_link_bytes_per_s(api.machine_for("4x H100 SXM")) == 450e9
    assert peer_link_bytes_per_s(api.machine_for("RTX 3090")) is None
    bridged = GpuDetails(
        peers=(GpuPeer(index=1, link="NVLink"),),
        links=(GpuLinks(kind="NVLink", n_links=4, n_active=4, bytes_per_s_each=14e9),),
    )
    apart = GpuDetails(peers=(GpuPeer(index=1, link="PCIe"),))

    def two(details: GpuDetails | None) -> Machine:
        return machine(*(replace(card(i), details=details) for i in range(2)))

    assert peer_link_bytes_per_s(two(bridged)) == pytest.approx(56e9)
    assert peer_link_bytes_per_s(two(apart)) is None
    stated = replace(two(None), interconnect=Interconnect(gpu_link="NVSwitch", gpu_link_bytes_per_s=300e9))
    assert peer_link_bytes_per_s(stated) == 300e9


def test_published_splits_are_within_a_third() -> None:
    bounds, found = calibrate_splits()
    assert len(found) == 12
    assert {spread.speed_class for spread in bounds} == {"split_decode", "split_prefill"}
    assert all(abs(one.log_ratio) < 0.3 for one in found), [(one.name, one.log_ratio) for one in found]


def test_the_command_line_asks_for_it() -> None:
    opened = described_models(open_model("llama-3.1-8b-instruct"), ("Q4_K_M",))[0]
    split = place(opened, BOX, FLAGS, GivenSplit(mode="tensor"))
    assert split.split.mode == "tensor"
    assert split.kind == "on 2 GPUs"
