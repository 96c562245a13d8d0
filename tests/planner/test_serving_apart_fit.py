"""`planner fit --apart`: prompts on GPUs of their own as an answer."""

import pytest
from click.testing import CliRunner

from planner import api
from planner.cli.fit import command
from planner.engines.sglang.settings import SglangSettings
from planner.engines.sharding import Parallel
from planner.engines.vllm.settings import VllmSettings
from planner.errors import MissingFactError
from planner.estimate.served.answer import ServingLoad
from planner.estimate.served.apart_answer import ApartAnswer
from planner.estimate.serving_speed.apart import Workers
from planner.report.apart_document import apart_document

NAME = "llama-3.1-70b-instruct"
LOAD = ServingLoad(n_prompt_tokens=8192, n_output_tokens=512)


def answer(on: str = "2x DGX H100", prefill: int = 2, decode: int = 1) -> ApartAnswer:
    return api.fit_apart(
        NAME, VllmSettings(max_model_len=16384), on=on, load=LOAD,
        prefill=Workers(count=prefill, ranks=Parallel(tensor=4)),
        decode=Workers(count=decode, ranks=Parallel(tensor=4)),
    )  # fmt: skip


def test_both_kinds_of_workers_start_and_are_timed_together() -> None:
    found = answer()
    assert found.starts
    assert (found.prefill.n_gpus, found.decode.n_gpus, found.n_gpus) == (8, 4, 12)
    first, last = found.speeds[0], found.speeds[-1]
    # A single prompt waits for none: the terms are the whole of its time but for the first burst's share.
    assert sum(term.value for term in first.terms) == pytest.approx(first.ttft_s.expected, rel=0.05)
    assert last.ttft_s.expected > first.ttft_s.expected
    # 128 in flight are answered 512 tokens each in the time to the first and 511 more.
    request_s = last.ttft_s.expected + 511 * last.tpot_s.expected
    assert last.tokens_per_s(512) == pytest.approx(last.n_requests * 512 / request_s)


def test_the_cache_of_a_prompt_crosses_the_network_between_machines() -> None:
    far = {term.name: term.value for term in answer().speeds[0].terms}["moving its cache"]
    near = {term.name: term.value for term in answer("DGX H100", 1, 1).speeds[0].terms}["moving its cache"]
    # 8,192 tokens of 320 KiB, a quarter on each rank: 671 MB over 50 GB/s, or over a link of 450 GB/s.
    assert far == pytest.approx(8192 * 327680 / 4 / 50e9, rel=1e-3)
    assert near == pytest.approx(8192 * 327680 / 4 / 450e9, rel=1e-3)


def test_more_readers_wait_less() -> None:
    few, many = answer(prefill=1).speeds[-1], answer(prefill=2).speeds[-1]
    assert few.n_requests == many.n_requests
    assert many.ttft_s.expected < few.ttft_s.expected
    assert many.tpot_s.expected == few.tpot_s.expected


def test_workers_that_do_not_fit_say_so() -> None:
    with pytest.raises(MissingFactError, match="these workers take 20 GPUs, 2x DGX H100 has 16"):
        answer(prefill=4)
    found = api.fit_apart(
        NAME, SglangSettings(), on="8x RTX 4090", load=LOAD,
        prefill=Workers(count=1, ranks=Parallel(tensor=4)), decode=Workers(count=1, ranks=Parallel(tensor=4)),
    )  # fmt: skip
    assert not found.starts
    assert not found.speeds
    assert "does not start the workers that read prompts (TP4)" in apart_document(found).answer[0]


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(command, [NAME, "--engine", "sglang", "--on", "2x DGX H100", *words])
    return result.exit_code, result.output


def test_the_command_names_both_roles() -> None:
    code, text = run("--apart", "1xTP4 + 1xtp8dp2ep")
    assert code == 0, text
    assert "--disaggregation-mode prefill" in text
    assert "--dp-size 2" in text
    assert "--ep-size 8" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--apart", "tp4"), "is not two kinds of workers"),
        (("--apart", "4+tp4"), "is no kind of workers"),
        (("--apart", "tp4dp3+tp4"), "3 attention replicas do not divide"),
        (("--apart", "0xtp4+tp4"), "is no worker at all"),
        (("--apart", "tp4+tp4", "--tp", "4"), "--tp is for --apart to say"),
        (("--apart", "tp4+tp4", "--prefix-tokens", "8"), "--prefix-tokens is not for --apart"),
        (("--apart", "tp4+tp4", "--context", "8k,16k"), "answers for one --context"),
    ],
)
def test_what_is_written_wrong_is_said(words: tuple[str, ...], message: str) -> None:
    code, text = run(*words)
    assert code == 2
    assert message in " ".join(text.split())
