"""Benchmarks of Ollama against a stand-in made from its source; the real binary was not to be had (docs/bench.md)."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from planner.bench.ollama.client import OllamaClient
from planner.bench.ollama.run import OllamaRequest, bench_ollama
from planner.bench.ollama.timing import generated_sample_s, prompt_sample_s, timing_of
from planner.bench.protocol import BenchSubject
from planner.errors import BenchError, NotFoundError, UnreachableError
from planner.estimate.measurement import BenchRun
from tests.planner.bench.ollama.stand_in import NS, Behaviour, ollama

SUBJECT = BenchSubject(
    model_name="SmolLM2", model_fingerprint="", quantization="Q4_1", machine_fingerprint="m", machine_name="M"
)
REQUEST = OllamaRequest(model="smollm2:135m", budget_s=30)


def run(how: Behaviour, request: OllamaRequest = REQUEST, **parts: Any) -> BenchRun:
    # Every look at the clock is a second later: the budget ends without anybody waiting for it.
    ticks = itertools.count()
    with ollama(how) as url:
        client = OllamaClient(url)
        try:
            return bench_ollama(client, request, SUBJECT, clock=lambda: float(next(ticks)), **parts)
        finally:
            client.close()


def test_rates_are_ollamas_own() -> None:
    measured = run(Behaviour())
    prefill, decode = measured.measurement("prefill"), measured.measurement("decode")
    assert prefill is not None and decode is not None
    assert prefill.mean_tokens_per_s == pytest.approx(1000, rel=1e-3)
    assert decode.mean_tokens_per_s == pytest.approx(50, rel=1e-3)
    assert len(decode.samples_s) >= 3
    assert (prefill.name, decode.name) == ("pp512", "tg128")
    assert measured.engine_build == "Ollama 0.33.0"
    assert measured.backend == "CPU"
    assert any("190.7 MiB, 0% of it in GPU memory, 4,096 tokens" in note for note in measured.notes)


def test_no_two_prompts_are_alike_and_all_are_raw() -> None:
    how = Behaviour()
    run(how)
    asked = [body for path, body in how.asked if path == "/api/generate" and body["prompt"]]
    assert len({body["prompt"] for body in asked}) == len(asked)
    assert all(body["raw"] and body["stream"] for body in asked)
    assert all(
        body["options"]["num_ctx"] == asked[0]["options"]["num_ctx"] for body in asked
    )  # or it loads anew


def test_a_depth_is_a_third_test() -> None:
    measured = run(Behaviour(), replace(REQUEST, depth=2048))
    deep = measured.measurement("decode", 2048)
    assert deep is not None
    assert deep.name == "tg128 @ d2048"


def test_the_first_token_came_with_the_prompt() -> None:
    # 101 tokens in 2 s: 100 steps of 20 ms. 128 such steps take 2.56 s.
    timing = timing_of({"done": True, "eval_count": 101, "eval_duration": 2 * NS})
    assert generated_sample_s(timing, 128) == pytest.approx(2.56)


def test_a_cached_prompt_is_no_measurement() -> None:
    # Absent when 0: the whole prompt came from the cache.
    assert prompt_sample_s(timing_of({"done": True, "eval_count": 1}), 512) is None
    half = timing_of({"prompt_eval_count": 256, "prompt_eval_duration": NS})
    assert prompt_sample_s(half, 512) is None
    nearly = timing_of({"prompt_eval_count": 500, "prompt_eval_duration": NS})
    assert prompt_sample_s(nearly, 512) == pytest.approx(512 / 500)


def test_a_server_that_caches_every_prompt_is_told() -> None:
    with pytest.raises(BenchError, match="nothing can be measured"):
        run(Behaviour(caches=True))


def test_a_model_that_ends_at_once_is_told() -> None:
    with pytest.raises(BenchError, match="ends its answers after a few tokens"):
        run(Behaviour(stops_after=2))


def test_a_missing_model_is_pulled_only_when_told() -> None:
    how = Behaviour()
    with pytest.raises(NotFoundError, match="add --pull"):
        run(how, OllamaRequest(model="qwen3:8b"))
    assert not any(path == "/api/pull" for path, _ in how.asked)
    said: list[str] = []
    run(
        how,
        OllamaRequest(model="qwen3:8b", pull=True, budget_s=30),
        progress=lambda _, text: said.append(text),
    )
    assert "Ollama pulls: 50% of a layer" in said
    with pytest.raises(BenchError, match="file does not exist"):
        run(Behaviour(), OllamaRequest(model="nothing:1b", pull=True))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("error_part", "CUDA error"),
        ("half", "half-way"),
        ("broken_off", "broke off in the middle"),
        ("not_json", "broke off in the middle"),
        ("endless", "without end"),
        ("crash_status", "signal: killed"),
    ],
)
def test_a_fault_is_one_line(fault: str, said: str) -> None:
    with pytest.raises(BenchError, match=said) as caught:
        run(Behaviour(fault=fault))
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_server_that_hangs_is_left() -> None:
    with ollama(Behaviour(fault="hang", fault_after=0)) as url:
        client = OllamaClient(url)
        with pytest.raises(BenchError, match=r"was silent for 0\.2 s at /api/generate and was left"):
            list(
                client.stream(
                    "/api/generate",
                    {"model": "smollm2:135m", "prompt": "a", "options": {"num_predict": 1}},
                    quiet_s=0.2,
                    limit_s=1,
                )
            )
        client.close()


def test_a_model_that_cannot_load_says_why() -> None:
    why = "model requires more system memory (40.0 GiB) than is available (23.5 GiB)"
    with pytest.raises(BenchError, match="requires more system memory"):
        run(Behaviour(load_error=why))


def test_a_model_that_runs_elsewhere_says_nothing_of_this_machine() -> None:
    with pytest.raises(BenchError, match=r"runs on 'https://ollama\.com', not here"):
        run(Behaviour(remote="https://ollama.com"))


def test_an_old_version_without_ps_is_told() -> None:
    with pytest.raises(BenchError, match="does not know /api/ps"):
        run(Behaviour(has_ps=False))


def test_no_server_is_told_at_once() -> None:
    client = OllamaClient("http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match="ollama serve"):
        bench_ollama(client, REQUEST, SUBJECT)
    client.close()


def test_ctrl_c_keeps_what_was_measured() -> None:
    n = 0

    def stop(_: float, text: str) -> None:
        nonlocal n
        n += text.startswith("decode")
        if n == 2:
            raise KeyboardInterrupt

    measured = run(Behaviour(), progress=stop)
    decode = measured.measurement("decode")
    assert decode is not None and len(decode.samples_s) == 2
    assert "stopped early with Ctrl-C" in measured.notes


def test_impossible_counters_are_refused() -> None:
    with pytest.raises(BenchError, match="impossible eval_count"):
        timing_of({"eval_count": -1})
    with pytest.raises(BenchError, match="impossible eval_duration"):
        timing_of({"eval_duration": "long"})
