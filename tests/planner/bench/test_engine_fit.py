"""llama.cpp's own --fit: what its program prints, how its library is asked, and every way in which neither answers."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hardware.units import GIB
from planner.bench import engine_fit as module
from planner.bench.engine_fit import HOW_TO_ADD, engine_fit, fit_library, parse_fit_arguments
from planner.bench.plan_question import PlanQuestion, PretendedGpu

DECISION: dict[str, Any] = {
    "event": "fit", "fits": True, "n_context_tokens": 8192, "n_gpu_layers": 37, "tensor_split": [16.0, 33.0],
    "overrides": ["blk\\.2\\.ffn_down.*=CPU"], "took_s": 7.45,
}  # fmt: skip


@pytest.fixture
def question(tmp_path: Path) -> PlanQuestion:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    gpu = PretendedGpu(description="RTX 4090", total_bytes=24 * GIB)
    return PlanQuestion(model_path=path, n_context_tokens=8192, gpus=(gpu, gpu))


def child(code: str) -> list[str]:
    """A command that reads the request into `asked` and runs this."""
    program = "import json, os, sys, time\nasked = json.loads(sys.stdin.readline())\n"
    program += "def answer(event): print(json.dumps(event), flush=True)\n"
    return [sys.executable, "-c", program + code]


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fit_library", lambda: None)
    monkeypatch.setattr(module, "fit_program", lambda: None)


def test_the_librarys_decision(question: PlanQuestion) -> None:
    code = f"assert asked['margin_bytes'] == 2**30\nanswer({DECISION!r})\nanswer({{'event': 'done'}})"
    found = engine_fit(question, here=False, command=child(code))
    assert found.problem is None
    assert (found.fits, found.n_context_tokens, found.n_gpu_layers) == (True, 8192, 37)
    assert (found.tensor_split, found.n_overrides) == ((16.0, 33.0), 1)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("os.abort()", "SIGABRT"),
        ("time.sleep(60)", "longer than 1 s"),
        ("answer({'event': 'error', 'message': 'laid out otherwise'})", "laid out otherwise"),
        ("answer({'event': 'done'})", "without a decision"),
    ],
)
def test_a_library_that_fails_is_one_line(code: str, told: str, question: PlanQuestion) -> None:
    found = engine_fit(question, here=False, command=child(code), limit_s=1.0)
    assert found.problem is not None
    assert told in found.problem
    assert (found.fits, found.n_gpu_layers) == (False, None)


@pytest.mark.usefixtures("nothing_installed")
def test_without_either_it_says_what_to_install(question: PlanQuestion) -> None:
    assert engine_fit(question, here=True).problem == HOW_TO_ADD
    assert "pip install" in HOW_TO_ADD


def test_the_program_is_asked_about_this_machine_only(
    question: PlanQuestion, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "llama-fit-params"
    program.write_text(
        f'#!{sys.executable}\nprint("noise")\nprint(\'-c 8192 -ngl 45 -ts 15,47 -ot "a.*=CPU,b=CUDA1"\')\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(module, "fit_library", lambda: None)
    monkeypatch.setattr(module, "fit_program", lambda: str(program))
    found = engine_fit(question, here=True)
    assert (found.n_context_tokens, found.n_gpu_layers, found.tensor_split) == (8192, 45, (15.0, 47.0))
    assert found.overrides == ("a.*=CPU", "b=CUDA1")
    assert engine_fit(question, here=False).problem == HOW_TO_ADD


def test_a_program_that_finds_nothing_is_no_decision() -> None:
    assert parse_fit_arguments("failed to fit\n", source="p").problem is not None
    plain = parse_fit_arguments("-c 4096 -ngl -1\n", source="p")
    assert (plain.n_gpu_layers, plain.tensor_split, plain.overrides) == (-1, (), ())


@pytest.mark.engine
@pytest.mark.skipif(fit_library() is None, reason="xllamacpp is not installed")
def test_the_real_library_decides(smollm2_path: Path, question: PlanQuestion) -> None:
    # 145 MB of weights and cache fit in 24 GiB; in 1 GiB nothing does, since 1 GiB is to be left free.
    asked = replace(question, model_path=smollm2_path, n_context_tokens=2048, gpus=question.gpus[:1])
    roomy = engine_fit(asked, here=False)
    assert roomy.problem is None
    assert roomy.fits
    small = replace(question.gpus[0], total_bytes=GIB + 200 * 2**20)
    tight = engine_fit(replace(asked, gpus=(small,)), here=False)
    assert tight.problem is None
    assert tight.n_gpu_layers is not None
    assert 0 <= tight.n_gpu_layers < 30
    assert json.loads(asked.to_json())["gpus"][0]["backend"] == "CUDA"
