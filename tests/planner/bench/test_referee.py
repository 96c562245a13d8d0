"""The engine as referee: how its process is treated when it misbehaves, and what the real one answers."""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from hardware.units import GIB, MIB
from planner.bench.llama_cpp import engine_is_installed, engine_memory
from planner.bench.plan_question import PlanQuestion, PretendedGpu, cpu_moe_overrides
from planner.bench.protocol import MemoryRequest
from planner.bench.referee import Referee, header_copy
from planner.errors import BenchError
from planner.estimate.engine_plan import EngineFailure, EnginePlan, PlannedBuffer

PLAN = EnginePlan(
    buffers=(
        PlannedBuffer(name="CUDA0", gpu=0, weights_bytes=10, kv_bytes=20, state_bytes=3, compute_bytes=4),
        PlannedBuffer(name="CPU", gpu=None, weights_bytes=1, kv_bytes=0, state_bytes=0, compute_bytes=2),
    ),
    output_bytes=5, n_context_tokens=256, flash_attention=True, n_copies=1, n_splits=(2, 2), n_nodes=(9, 9),
    model_bytes=11, n_parameters=12, n_layers=2, planning_s=0.1, engine_build="B",
)  # fmt: skip
GPU = PretendedGpu(description="RTX 4090", total_bytes=24 * GIB)


def child(code: str) -> list[str]:
    """A command that runs this for each question, with `answer(event)` at hand and the question in `line`."""
    program = (
        "import json, os, sys, time\n"
        "def answer(event): print(json.dumps(event), flush=True)\n"
        "for line in sys.stdin:\n" + "\n".join(f"    {each}" for each in code.splitlines())
    )
    return [sys.executable, "-c", program]


@pytest.fixture
def question(tmp_path: Path) -> PlanQuestion:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    return PlanQuestion(model_path=path, n_context_tokens=4096, gpus=(GPU,))


def test_a_question_survives_its_journey(question: PlanQuestion) -> None:
    asked = replace(question, tensor_split=(1.0,), tensor_overrides=cpu_moe_overrides(2), v_type="q8_0")
    assert PlanQuestion.from_data(json.loads(asked.to_json())) == asked


def test_a_plan_survives_its_journey(question: PlanQuestion) -> None:
    event = {"event": "plan", **asdict(PLAN)}
    with Referee(command=child(f"answer({event!r})")) as referee:
        assert referee.ask(question) == PLAN
    assert PLAN.total("kv") == 20
    assert [buffer.name for buffer in PLAN.in_ram] == ["CPU"]
    assert PLAN.on_gpu(0)[0].total_bytes == 37


def test_many_questions_go_to_one_process(question: PlanQuestion) -> None:
    answer = "answer({'event': 'refused', 'message': str(os.getpid())})"
    with Referee(command=child(answer)) as referee:
        pids = {str(referee.ask(question)) for _ in range(3)}
    assert len(pids) == 1


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("sys.stderr.write('GGML_ASSERT(x) failed\\n'); os.abort()", "GGML_ASSERT(x) failed"),
        ("sys.exit(3)", "status 3"),
        ("os.kill(os.getpid(), 9)", "killed (signal 9)"),
        ("time.sleep(60)", "took longer than 1 s"),
        ("print('rubbish'); print('[1]'); print('{\"event\": 7}'); sys.exit(0)", "without a word"),
        ("answer({'event': 'refused', 'message': 'unknown architecture'})", "unknown architecture"),
    ],
)
def test_a_failing_engine_is_a_result(code: str, told: str, question: PlanQuestion) -> None:
    with Referee(command=child(code), limit_s=1.0) as referee:
        found = referee.ask(question)
        assert isinstance(found, EngineFailure)
        assert told in found.problem
        with pytest.raises(BenchError, match=r"^model"):
            referee.plan(question)


def test_the_next_question_after_a_crash_gets_a_new_process(question: PlanQuestion, tmp_path: Path) -> None:
    event = {"event": "plan", **asdict(PLAN)}
    flag = tmp_path / "crashed"
    code = f"if os.path.exists({str(flag)!r}): answer({event!r})\nelse: open({str(flag)!r}, 'w'); os.abort()"
    with Referee(command=child(code)) as referee:
        assert isinstance(referee.ask(question), EngineFailure)
        assert referee.ask(question) == PLAN


def test_impossible_questions_are_refused_before_they_are_asked(question: PlanQuestion) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"n_context_tokens": 0}, "at least 1"),
        ({"k_type": "q3_K"}, "unknown"),
        ({"split_mode": "row"}, "row"),
        ({"tensor_split": (1.0, 2.0)}, "2 shares were given for 1 GPUs"),
    ]
    for changes, told in wrong:
        with pytest.raises(BenchError, match=told):
            replace(question, **changes)
    with pytest.raises(BenchError, match="no rules for GPUs"):
        replace(GPU, backend="Abacus")


def test_a_header_copy_has_the_files_size_and_takes_no_room(tmp_path: Path) -> None:
    path = header_copy(b"GGUF", 40 * GIB, tmp_path / "big.gguf")
    assert path.stat().st_size == 40 * GIB
    assert path.stat().st_blocks * 512 < MIB


engine = pytest.mark.skipif(not engine_is_installed(), reason="llama-cpp-python is not installed")


@pytest.mark.engine
@engine
def test_a_plan_is_what_a_real_load_allocates(smollm2_path: Path) -> None:
    with Referee() as referee:
        plan = referee.plan(PlanQuestion(model_path=smollm2_path, n_context_tokens=4096))
    loaded = engine_memory(MemoryRequest(model_path=smollm2_path, n_context_tokens=4096, allocate=True))
    assert plan.total("kv") == loaded.memory.kv_bytes == 30 * 4096 * 2 * 3 * 64 * 2  # layers · K and V
    assert plan.total("compute") == loaded.memory.compute_bytes
    assert plan.output_bytes == 49_152 * 4
    # A mapped load counts the range of the file that holds tensors: up to 32 bytes of padding for each.
    assert plan.total("weights") == pytest.approx(loaded.memory.weights_bytes, abs=32 * 300)


@pytest.mark.engine
@engine
def test_a_header_alone_gives_the_same_plan(smollm2_path: Path, tmp_path: Path) -> None:
    size = smollm2_path.stat().st_size
    with smollm2_path.open("rb") as file:
        header = file.read(4 * MIB)  # this model's header takes 1.7 MB, most of it vocabulary
    copy = header_copy(header, size, tmp_path / "copy.gguf")
    with Referee() as referee:
        asked = PlanQuestion(model_path=smollm2_path, n_context_tokens=2048, gpus=(GPU,))
        whole, hollow = (referee.plan(replace(asked, model_path=path)) for path in (smollm2_path, copy))
    assert replace(whole, planning_s=0) == replace(hollow, planning_s=0)
