"""A person's own -ot and -ngl held against the machine: nothing may fall out of the sum unseen."""

import pytest

from hardware.spec import Machine
from planner import api
from planner.engines.llama_cpp import LlamaCppFlags, TensorOverride
from planner.engines.llama_cpp.given_split import GivenSplit
from planner.errors import MalformedError, MissingFactError
from planner.estimate.fit import server_command
from planner.estimate.given_devices import on_this_machine
from planner.estimate.memory import devices
from planner.estimate.placement import place
from planner.estimate.speed import decode_read_bytes
from tests.planner.estimate.machines import card, machine
from tests.planner.estimate.models import model

FLAGS = LlamaCppFlags(n_context_tokens=8192)


def _sent(pattern: str, device: str) -> GivenSplit:
    return GivenSplit(overrides=(TensorOverride(pattern=pattern, device=device),))


def _here(given: GivenSplit, where: Machine) -> GivenSplit:
    return on_this_machine(given, where, FLAGS, 16)


@pytest.mark.parametrize("name", ["CUDA1", "cuda1", "GPU 1"])
def test_a_device_is_known_by_the_engines_name_and_by_ours(name: str) -> None:
    two = machine(card(0), card(1))
    assert _here(_sent("exps", name), two).overrides[0].device == "GPU 1"


def test_the_command_line_has_the_engines_name_again() -> None:
    # llama-server knows no "GPU 1".
    two = machine(card(0), card(1))
    found = place(model("llama"), two, FLAGS, _here(_sent("ffn_up", "GPU 1"), two))
    assert "ffn_up=CUDA1" in server_command(model("llama"), found)


@pytest.mark.parametrize("name", ["CUDA2", "FOO", "GPU 7"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(MalformedError, match="the devices here are CPU, CUDA0, CUDA1"):
        _here(_sent("exps", name), machine(card(0), card(1)))


def test_more_shares_than_gpus_are_refused() -> None:
    # llama.cpp would silently leave out the last one, and with it a third of what was meant.
    with pytest.raises(MalformedError, match=r"-ts gives 3 shares and .* has 2 GPUs; give one"):
        _here(GivenSplit(tensor_split=(1, 1, 1)), machine(card(0), card(1)))


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(MalformedError, match="cannot be read"):
        _here(_sent("(exps", "CPU"), machine(card()))


@pytest.mark.parametrize(
    "given", [_sent("exps", "CPU"), GivenSplit(n_cpu_moe=3), GivenSplit(n_gpu_layers=16)]
)
def test_what_goes_to_ram_of_unknown_size_is_an_error_not_a_fit(given: GivenSplit) -> None:
    only_a_card = api.machine_for("RTX 4090")
    with pytest.raises(MissingFactError, match="say it, for example"):
        _here(given, only_a_card)
    assert _here(GivenSplit(n_gpu_layers=17), only_a_card).n_gpu_layers == 17  # 16 layers and the head


def test_experts_sent_to_ram_by_pattern_are_read_there_as_with_n_cpu_moe() -> None:
    # The same placement said in two ways reads the same bytes on every device.
    mixture, one = model("qwen3-30b-a3b"), machine(card())
    n = mixture.network.n_layers
    by_pattern = place(mixture, one, FLAGS, on_this_machine(_sent("exps", "CPU"), one, FLAGS, n))
    by_count = place(mixture, one, FLAGS, GivenSplit(n_cpu_moe=n))
    assert by_pattern.kind == "on the GPU and in RAM"
    assert decode_read_bytes(mixture, by_pattern, 0) == pytest.approx(
        decode_read_bytes(mixture, by_count, 0), rel=1e-12
    )
    assert len(devices(one)[0]) == 1
