"""Rows of a server's throughput: which load they mean, and what its times make of it."""

import pytest

from planner.api.serving_rates import rate_predictions
from planner.api.serving_rows import row_reader
from planner.errors import MissingFactError
from planner.estimate.serving_speed.rate_rows import answered_per_s, read_rate

READER = row_reader()
ROW = {
    "hardware": "NVIDIA H100 SXM", "n_gpu": "4", "engine": "vLLM", "model": "meta-llama/Llama-3.1-8B-Instruct",
    "quant": "bf16", "tp": "", "pp": "", "ep": "", "isl": "1000", "osl": "101",
    "concurrency_or_request_rate": "batch=16", "total_tok_s": "9000", "output_tok_s": "", "scenario": "static",
    "notes": "",
}  # fmt: skip


def test_a_static_batch_reads_its_prompts_and_then_decodes() -> None:
    found = read_rate(READER, ROW)
    assert (found.load, found.counts_prompts, found.tokens_per_s) == ("batch", True, 9000)
    assert found.deployment.load.ranks.tensor == 4
    # 16 prompts of 10 ms and 100 steps of 8 ms after their first token: 0.96 s for 16 · 1,101 tokens.
    assert answered_per_s(found, 1.0, 0.02, 0.008, 0.01) == pytest.approx(16 * 1101 / 0.96)


def test_a_closed_loop_answers_one_after_the_other() -> None:
    row = ROW | {"concurrency_or_request_rate": "conc=16", "output_tok_s": "500"}
    found = read_rate(READER, row)
    assert (found.load, found.counts_prompts, found.tokens_per_s) == ("loop", False, 500)
    # A request takes 0.5 s to its first token and 100 tokens of 20 ms: 101 tokens in 2.5 s, 16 times.
    assert answered_per_s(found, 0.5, 0.02, 0.008, 0.01) == pytest.approx(16 * 101 / 2.5)
    decoding = read_rate(READER, row | {"notes": "decode-phase aggregate"})
    assert answered_per_s(decoding, 0.5, 0.02, 0.008, 0.01) == pytest.approx(16 * 101 / 2.0)


def test_copies_share_the_requests() -> None:
    found = read_rate(READER, ROW | {"tp": "2"})
    assert (found.n_copies, found.deployment.n_requests, found.deployment.load.ranks.tensor) == (2, 8, 2)
    told = read_rate(READER, ROW | {"tp": "1", "notes": "power_limit_w=220 instances=1 kv=auto"})
    assert (told.n_copies, told.deployment.n_requests) == (1, 16)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"engine": "llama.cpp"}, "no step model for the engine 'llama.cpp'"),
        ({"scenario": "SPEC-DECODE:{}"}, "tokens were drafted"),
        ({"concurrency_or_request_rate": "rate=4 rps"}, "'rate=4 rps' is neither a static batch nor"),
        ({"isl": ""}, "isl is '', no number of tokens"),
        ({"osl": "inf"}, "osl is 'inf', no number of tokens"),
        ({"total_tok_s": "nan"}, "neither output_tok_s nor total_tok_s is a rate"),
        ({"quant": "odd"}, "how weights are stored as 'odd' is not known"),
        ({"hardware": "X900"}, "no profile is known for the system 'X900'"),
        ({"model": "nobody/nothing"}, "'nobody/nothing' is not in the catalogue"),
        ({"pp": "2"}, "pipeline stages are not timed yet"),
        ({"n_gpu": "many"}, "n_gpu is 'many', no number"),
    ],
)
def test_what_cannot_be_told_has_its_reason(changes: dict[str, str], reason: str) -> None:
    with pytest.raises(MissingFactError, match=reason):
        read_rate(READER, ROW | changes)


def test_every_row_is_predicted_or_has_its_reason() -> None:
    first, second = rate_predictions([ROW, ROW | {"isl": ""}])
    assert first.speed_class == "served"
    assert first.low is not None
    assert first.high is not None
    assert first.low < (first.expected or 0) < first.high
    assert second.expected is None
    assert second.reason == "isl is '', no number of tokens"
