"""Prompts on GPUs of their own: rows that say so, and the physics of their times."""

from dataclasses import replace

import numpy as np
import pytest

from planner.api.serving_rows import row_reader
from planner.engines.sharding import Parallel
from planner.errors import MissingFactError
from planner.estimate.serving_speed.apart import Apart, apart_times
from planner.estimate.serving_speed.apart_rows import read_apart
from planner.estimate.serving_speed.apart_runs import apart_runs_from_rows
from planner.estimate.serving_speed.deployment import batch
from planner.estimate.serving_speed.latency import latency
from planner.estimate.serving_speed.latency_rows import RowReader
from planner.estimate.serving_speed.schedule import Schedule
from profiles.errors import ProfileError
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
        (
            {"prefill_num_workers": ""},
            "how many workers read prompts is not said .prefill_num_workers is empty",
        ),
        ({"prefill_num_workers": "", "decode_num_workers": ""}, "how many workers read prompts is not said"),
        ({"decode_num_workers": ""}, "how many workers decode is not said"),
        ({"silicon_data_source": ""}, "how many requests were in flight is not said"),
        ({"backend": "tgi"}, "no step model for the engine 'tgi'"),
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


# A result of InferenceX: its public configuration has one reading and four decoding workers for 24 requests.
LOOKED_UP = ROW | {
    "model_path": "deepseek-ai/DeepSeek-R1", "precision": "fp8", "system": "b200_sxm", "prefill_num_workers": "",
    "decode_num_workers": "", "prefill_tp_size": "8", "prefill_attention_dp_size": "1", "prefill_moe_ep_size": "8",
    "decode_tp_size": "8", "decode_attention_dp_size": "1",
    "silicon_data_source": "source_file=2026-03-25.csv; silicon_concurrency=24; measured=2026-02-12T17:33:21Z",
}  # fmt: skip
LINE: dict[str, str | None] = {
    "id": "1", "system": "b200_sxm", "model": "DeepSeek-R1", "precision": "fp8", "engine": "trtllm", "n_prompt": "1024",
    "n_output": "1024", "image": "x:1", "prefill_workers": "1", "prefill_gpus": "8", "prefill_experts": "8",
    "prefill_replicated": "yes", "decode_workers": "4", "decode_gpus": "8", "decode_experts": "8",
    "decode_replicated": "no", "draft_tokens": "3", "requests": "8;24", "since": "2026-02-10", "until": None,
}  # fmt: skip


def with_lines(*lines: dict[str, str | None]) -> RowReader:
    return replace(READER, apart_runs=apart_runs_from_rows(lines))


def test_workers_that_a_row_leaves_out_stand_in_its_public_configuration() -> None:
    found = read_apart(with_lines(LINE), LOOKED_UP).apart
    assert (found.n_prefill, found.n_decode) == (1, 4)
    assert found.prefill.load.ranks == Parallel(tensor=8, expert=8, attention_replicas=8)
    assert found.decode.load.ranks == Parallel(tensor=8, expert=8)
    assert found.decode.schedule.draft_tokens == 3


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([LINE | {"requests": "8"}], "no line of the runs' public configuration matches"),
        ([LINE | {"since": "2026-02-20"}], "no line of the runs' public configuration matches"),
        ([LINE | {"until": "2026-02-11"}], "no line of the runs' public configuration matches"),
        ([LINE, LINE | {"decode_workers": "5"}], "lines of the runs' public configuration that match differ"),
        ([LINE, LINE | {"draft_tokens": "0"}], "with drafted tokens and without"),
        ([LINE | {"draft_tokens": None}], "tokens were drafted, how many"),
    ],
)
def test_a_run_that_is_not_one_line_stays_untold(lines: list[dict[str, str | None]], reason: str) -> None:
    with pytest.raises(MissingFactError, match=reason):
        read_apart(with_lines(*lines), LOOKED_UP)


def test_the_packaged_lines_are_read_and_a_broken_one_is_named() -> None:
    assert len(READER.apart_runs) > 400
    with pytest.raises(ProfileError, match=r"serving_apart_runs\.csv, row '1'"):
        apart_runs_from_rows([LINE | {"decode_replicated": "perhaps"}])


def test_drafted_tokens_that_are_taken_shorten_the_time_per_token() -> None:
    one = apart(8)
    drafting = replace(one, decode=replace(one.decode, schedule=Schedule(draft_tokens=1)))
    plain, drafted = apart_times([one], START).tpot_s[0], apart_times([drafting], START).tpot_s[0]
    step = latency(batch([drafting.decode]), START)
    assert drafted == pytest.approx(step.decode_step_s[0] / step.tokens_per_step[0])
    assert drafted < plain < step.decode_step_s[0]
