"""Prompts on GPUs of their own: rows that say so, and the physics of their times."""

from dataclasses import replace

import numpy as np
import pytest

from planner.api.serving_rows import row_reader
from planner.engines.sharding import Parallel
from planner.errors import MissingFactError
from planner.estimate.serving_speed.apart import Apart, apart_times
from planner.estimate.serving_speed.apart_rows import read_apart
from planner.estimate.serving_speed.deployment import batch
from planner.estimate.serving_speed.latency import latency
from tests.planner.estimate.serving_speed.questions import START, deployment

READER = row_reader()
# A row of the sample in the aiconfigurator-core wheel: one worker of four GPUs reads, four of eight decode.
ROW = {
    "mode": "disagg", "backend": "trtllm", "model_path": "deepseek-ai/DeepSeek-V3", "system": "gb200",
    "precision": "fp4", "isl": "1024", "osl": "1024", "silicon_data_source": "db-dump; silicon_concurrency=64",
    "prefill_num_workers": "1", "prefill_tp_size": "1", "prefill_pp_size": "1", "prefill_attention_dp_size": "4",
    "prefill_moe_ep_size": "4", "decode_num_workers": "4", "decode_tp_size": "8", "decode_pp_size": "1",
    "decode_attention_dp_size": "1", "decode_moe_ep_size": "1", "silicon_ttft_ms": "301", "silicon_tpot_ms": "10",
}  # fmt: skip


def apart(n_requests: float, n_prefill: int = 1) -> Apart:
    one = deployment(
        "llama-3.1-70b-instruct", ranks=Parallel(tensor=4), n_prompt_tokens=4096, n_output_tokens=512
    )
    return Apart(
        prefill=replace(one, n_requests=n_requests / n_prefill), decode=replace(one, n_requests=n_requests),
        n_prefill=n_prefill, n_decode=1, n_requests=n_requests,
    )  # fmt: skip


def test_a_row_is_its_two_kinds_of_workers() -> None:
    found = read_apart(READER, ROW)
    assert found.apart.prefill.load.ranks == Parallel(tensor=4, attention_replicas=4, expert=4)
    assert found.apart.decode.load.ranks == Parallel(tensor=8)
    assert (found.apart.prefill.n_requests, found.apart.decode.n_requests) == (64, 16)
    assert (found.tpot_s, found.ttft_s) == (0.01, 0.301)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"prefill_num_workers": ""}, "how many workers read prompts is not said"),
        ({"decode_num_workers": ""}, "how many workers decode is not said"),
        ({"silicon_data_source": ""}, "how many requests were in flight is not said"),
        ({"backend": "tgi"}, "no step model for the engine 'tgi'"),
        ({"decode_pp_size": "2"}, "pipeline stages are not timed yet"),
        ({"decode_moe_ep_size": "3"}, "8 GPUs and 3 expert ranks do not divide"),
    ],
)
def test_what_cannot_be_told_has_its_reason(changes: dict[str, str], reason: str) -> None:
    with pytest.raises(MissingFactError, match=reason):
        read_apart(READER, ROW | changes)


def test_no_prompt_is_read_between_two_tokens() -> None:
    one = apart(64)
    together = latency(batch([one.decode]), START)
    found = apart_times([one], START)
    assert found.tpot_s[0] == together.decode_step_s[0] < together.tpot_s[0]


def test_more_readers_shorten_the_queue_and_more_requests_lengthen_it() -> None:
    readers = apart_times([apart(256, n) for n in (1, 2, 4, 8)], START)
    assert np.all(np.diff(readers.ttft_s) < 0)
    requests = apart_times([apart(n) for n in (1, 4, 16, 64, 256)], START)
    assert np.all(np.diff(requests.ttft_s) > 0)
    # One reader for 256: nearly all of them stand before it, whatever the decoding does meanwhile.
    p = latency(batch([apart(256).prefill]), START).prompt_step_s[0]
    assert readers.ttft_s[0] > 256 * p - 512 * readers.tpot_s[0]
