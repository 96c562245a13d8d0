"""Pretended GPUs: layouts that do not match are refused, and the real engine's plans on them."""

import ctypes
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hardware.units import GIB, MIB
from planner.bench.llama_cpp import engine_is_installed
from planner.bench.llama_cpp_memory import EngineError
from planner.bench.plan_question import PlanQuestion, PretendedGpu, cpu_moe_overrides
from planner.bench.pretended import ggml, structs
from planner.bench.pretended.ggml import Ggml
from planner.bench.pretended.rules import RULES
from planner.bench.pretended.structs import RawDevice, RawRegistry
from planner.bench.referee import Referee
from planner.estimate.engine_plan import EngineFailure, EnginePlan
from planner.model.presets import preset_storage
from planner.readers.open_model import open_model
from tests.conformance.headers import PUBLISHED, write_published
from tests.planner.bench.test_planning_file import written

GPU = PretendedGpu(description="RTX 4090", total_bytes=24 * GIB)
engine = pytest.mark.skipif(not engine_is_installed(), reason="llama-cpp-python is not installed")


class Library(SimpleNamespace):
    """A stand-in for libllama: every function that is declared answers with what it was given, or with 0."""

    def __init__(self, **answers: Any) -> None:
        super().__init__()
        for name, *_ in ggml._SIGNATURES:
            setattr(self, name, Function(answers.get(name, 0)))


class Function:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __call__(self, *_: Any) -> Any:
        return self.answer


def test_a_tensor_of_another_size_is_refused() -> None:
    with pytest.raises(EngineError, match=r"ggml_tensor's size is 268 .* 336 was expected; install"):
        Ggml(Library(ggml_tensor_overhead=300))


def test_a_library_without_a_function_is_refused() -> None:
    library = Library()
    del library.ggml_backend_buffer_init
    with pytest.raises(EngineError, match="has no ggml_backend_buffer_init; install"):
        Ggml(library)


def test_another_backend_api_is_refused() -> None:
    registry, device = RawRegistry(api_version=9), RawDevice()
    ggml = Ggml.__new__(Ggml)
    ggml.raw = Library(
        ggml_backend_dev_by_type=ctypes.addressof(device),
        ggml_backend_dev_backend_reg=ctypes.addressof(registry),
    )
    with pytest.raises(EngineError, match=r"backend API version is 9 .* 2 or 3 was expected"):
        ggml._check_backend()


def test_the_layouts_are_those_of_the_headers() -> None:
    # sizeof(ggml_tensor) in ggml.h: 16 + 4·8 + 4·8 + 4 + 64 + 4 + 10·8 + 8 + 8 + 8 + 64 + 8 + 8
    assert ctypes.sizeof(structs.RawTensor) == 336
    assert ctypes.sizeof(structs.RawBackend) == (1 + 16 + 2) * 8
    assert ctypes.sizeof(structs.RawDevice) == (15 + 2) * 8


@pytest.fixture(scope="module")
def referee() -> Any:
    with Referee() as found:
        yield found


@pytest.fixture(scope="module")
def llama_70b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = open_model("llama-3.1-70b-instruct").network
    return written(tmp_path_factory.mktemp("plan") / "70b.gguf", network, preset_storage(network, "Q4_K_M"))


def mib(n_bytes: int) -> float:
    return round(n_bytes / MIB, 2)


@pytest.mark.engine
@engine
def test_70b_on_one_gpu(referee: Referee, llama_70b: Path) -> None:
    # Another build (b11549) said of the same shapes: 39,939 MiB of weights, 10,240 of cache, 346.52 to compute.
    plan = referee.plan(
        PlanQuestion(
            model_path=llama_70b, n_context_tokens=32_768, gpus=(replace(GPU, total_bytes=48 * GIB),)
        )
    )
    (gpu,) = plan.on_gpu(0)
    assert gpu.kv_bytes == 80 * 32_768 * 2 * 8 * 128 * 2 == 10_240 * MIB
    assert mib(gpu.weights_bytes) == pytest.approx(39_939.48, rel=0.002)  # a recipe of its own for attn_v
    # Logits of 512 tokens: (vocabulary + 2 · hidden size) · 512 · 4 bytes, in this build without more.
    assert gpu.compute_bytes == pytest.approx((128_256 + 2 * 8192) * 512 * 4, rel=0.06)
    assert {buffer.name for buffer in plan.in_ram} == {"CPU", "CUDA_Host"}
    assert mib(sum(buffer.weights_bytes for buffer in plan.in_ram)) == 563.62  # the token table in Q4_K
    assert (plan.n_copies, plan.flash_attention) == (1, True)


@pytest.mark.engine
@engine
def test_70b_on_two_gpus(referee: Referee, llama_70b: Path) -> None:
    # b11549 said: 5,248 and 4,992 MiB of cache, 552.05 and 522.55 to compute with four copies of the inputs.
    plan = referee.plan(PlanQuestion(model_path=llama_70b, n_context_tokens=32_768, gpus=(GPU, GPU)))
    first, second = plan.on_gpu(0)[0], plan.on_gpu(1)[0]
    assert (mib(first.kv_bytes), mib(second.kv_bytes)) == (
        5248,
        4992,
    )  # 41 and 39 layers, the head with the second
    assert mib(second.compute_bytes) == 522.55
    assert plan.n_copies == 4


@pytest.mark.engine
@engine
def test_on_processors_weights_are_repacked_unless_told_not_to(referee: Referee, llama_70b: Path) -> None:
    asked = PlanQuestion(model_path=llama_70b, n_context_tokens=4096)
    plain = referee.plan(replace(asked, use_extra_buffers=False))
    assert [buffer.name for buffer in plain.buffers] == ["CPU"]
    assert referee.plan(asked).total("weights") == plain.total("weights")


@pytest.mark.engine
@engine
@pytest.mark.parametrize("backend", RULES)
def test_every_backend_is_planned_for(backend: str, referee: Referee, smollm2_path: Path) -> None:
    gpu = replace(GPU, backend=backend)
    plan = referee.plan(PlanQuestion(model_path=smollm2_path, n_context_tokens=4096, gpus=(gpu,)))
    (found,) = plan.on_gpu(0)
    assert found.name == f"{RULES[backend].device_prefix}0"
    assert found.kv_bytes == 30 * 4096 * 2 * 3 * 64 * 2
    # Rows of 576 elements: CUDA pads the last one of each matrix to 1,024, the others do not.
    padded = backend in ("CUDA", "ROCm")
    assert (found.weights_bytes > plan.model_bytes) == padded  # the tied head is a copy of the table in RAM
    assert found.weights_bytes == pytest.approx(plan.model_bytes, rel=0.001)


@pytest.mark.engine
@engine
def test_recurrent_state_is_told_apart_to_the_byte(referee: Referee, tmp_path: Path) -> None:
    path = write_published(tmp_path / "hybrid.gguf", PUBLISHED["qwen3-next-80b"])
    gpus = (replace(GPU, total_bytes=80 * GIB),) * 2
    asked = PlanQuestion(model_path=path, n_context_tokens=8192, gpus=gpus)
    state = 36 * (32 * 128 * 128 + 3 * 8192) * 4  # as in tests/conformance
    assert referee.plan(asked).total("state") == state
    several = referee.plan(replace(asked, n_sequences=4))
    assert several.total("state") == 4 * state
    partly = referee.plan(replace(asked, n_gpu_layers=20))
    assert partly.total("state") == state
    assert any(buffer.state_bytes for buffer in partly.in_ram)
    assert partly.total("kv") == 12 * 8192 * 2 * 2 * 256 * 2


@pytest.mark.engine
@engine
def test_flags_do_what_they_say(referee: Referee, tmp_path: Path) -> None:
    path = write_published(tmp_path / "moe.gguf", PUBLISHED["gpt-oss-20b"])
    base = PlanQuestion(
        model_path=path, n_context_tokens=8192, gpus=(replace(GPU, total_bytes=80 * GIB),) * 2
    )

    def ask(**changes: Any) -> EnginePlan:
        return referee.plan(replace(base, **changes))

    whole = ask()
    assert ask(kv_offload=False).on_gpu(0)[0].kv_bytes == 0
    assert ask(swa_full=True).total("kv") == 24 * 8192 * 2 * 8 * 64 * 2 > whole.total("kv")
    assert ask(k_type="q8_0", v_type="q8_0").total("kv") == whole.total("kv") * 34 // 64
    experts_in_ram = ask(tensor_overrides=cpu_moe_overrides(None))
    assert experts_in_ram.total("weights") == pytest.approx(whole.total("weights"), rel=0.001)
    assert sum(b.weights_bytes for b in experts_in_ram.in_ram) > 0.8 * whole.total("weights")
    assert experts_in_ram.n_copies == 1  # overrides turn pipeline parallelism off
    some = ask(tensor_overrides=cpu_moe_overrides(6))
    in_ram = [sum(b.weights_bytes for b in plan.in_ram) for plan in (whole, some, experts_in_ram)]
    assert in_ram == sorted(in_ram)
    third = ask(tensor_split=(1.0, 3.0))
    assert third.on_gpu(0)[0].kv_bytes < third.on_gpu(1)[0].kv_bytes
    alone = ask(split_mode="none", main_gpu=1)
    assert not alone.on_gpu(0)
    assert alone.on_gpu(1)[0].kv_bytes == whole.total("kv")
    pinned = ask(use_mmap=False)
    assert "CPU" not in {b.name for b in pinned.in_ram if b.weights_bytes}
    assert pinned.total("weights") == whole.total("weights")
    assert ask(flash_attention=False).total("compute") > whole.total("compute")


@pytest.mark.engine
@engine
def test_what_the_engine_refuses_is_a_result(referee: Referee, tmp_path: Path) -> None:
    path = write_published(tmp_path / "model.gguf", PUBLISHED["llama-3.1-8b"])
    asked = PlanQuestion(model_path=path, n_context_tokens=4096, gpus=(GPU,))
    for changes, told in (
        ({"v_type": "q8_0", "flash_attention": False}, "quantized V cache"),
        ({"tensor_overrides": (("ffn", "CUDA7"),)}, "no buffer type 'CUDA7'"),
        ({"gpus": (GPU, replace(GPU, backend="Vulkan"))}, "different backends"),
    ):
        answer = referee.ask(replace(asked, **changes))
        assert isinstance(answer, EngineFailure)
        assert told in answer.problem
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(path.read_bytes()[:1000])
    answer = referee.ask(replace(asked, model_path=broken))
    assert isinstance(answer, EngineFailure)
    assert referee.plan(asked).n_layers == 32  # the process lives on
