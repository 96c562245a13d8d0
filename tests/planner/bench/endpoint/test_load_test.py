"""Load tests against a stand-in whose capacity is known, and against all the ways in which a server fails."""

from dataclasses import replace
from typing import Any

import pytest

from planner.bench.endpoint.load_test import run_load_test
from planner.bench.endpoint.server import base_url_of
from planner.bench.endpoint.stream import Limits
from planner.errors import AccessError, BenchError, NotFoundError, UnreachableError
from planner.load.load_test import LoadQuestion, LoadTest
from planner.load.request_record import RequestPlan
from planner.workload.lengths import parse_lengths
from tests.planner.bench.endpoint.stand_in import Behaviour, serving

QUICK = LoadQuestion(base_url="", prompt=parse_lengths("50"), output=parse_lengths("10"), budget_s=2.0)
LIMITS = Limits(first_s=5.0, between_s=0.5, whole_s=10.0)


def run(how: Behaviour, *, key: str | None = None, **asked: Any) -> LoadTest:
    with serving(how) as url:
        return run_load_test(replace(QUICK, base_url=url, **asked), api_key=key, limits=LIMITS)


def test_our_counts_are_the_servers_own() -> None:
    test = run(Behaviour(), concurrencies=(2,), budget_s=1.0)
    assert test.account is not None
    # The two prompts that learn how words are counted went before the first reading.
    assert test.own_output_tokens == test.account.n_output_tokens
    assert test.own_prompt_tokens == test.account.n_prompt_tokens
    assert test.levels[0].mean_prompt_tokens == 50
    assert test.levels[0].mean_output_tokens == 10
    # One cached token of fifty, as the stand-in says.
    assert test.levels[0].cached_fraction == pytest.approx(1 / 50)


def test_littles_law_holds_in_a_closed_loop() -> None:
    (level,) = run(Behaviour(), concurrencies=(3,), budget_s=1.5).levels
    assert level.n_failed == 0
    # Three are always under way: that is what a closed loop means, and the count comes from the records alone.
    assert level.mean_under_way == pytest.approx(3, rel=0.05)


def test_a_sweep_rises_until_more_at_once_brings_no_more() -> None:
    # 0.25 s a request: long against what a busy machine adds to it.
    test = run(Behaviour(n_places=2, prefill_s=0.05, token_s=0.02), budget_s=16.0)
    assert [level.concurrency for level in test.levels][:4] == [1, 2, 4, 8]
    assert test.knee is not None
    assert test.knee.is_reached
    # Two places: throughput doubles from one request to two, and no further.
    one, two, four = test.levels[:3]
    assert two.requests_per_s > 1.6 * one.requests_per_s
    assert four.requests_per_s < 1.2 * two.requests_per_s
    assert test.knee.concurrency == pytest.approx(2, rel=0.2)
    # What waits, waits before its first token.
    assert four.ttft is not None and two.ttft is not None
    assert four.ttft.of(50) > 2 * two.ttft.of(50)


def test_an_open_loop_counts_waiting_from_when_a_request_was_due() -> None:
    # One place, 0.1 s each, four due at the same moment: the last begins after 0.3 s.
    trace = tuple(RequestPlan(n_prompt_tokens=20, n_output_tokens=8, arrival_s=0.0) for _ in range(4))
    (level,) = run(Behaviour(n_places=1, prefill_s=0.02, token_s=0.01), trace=trace).levels
    assert level.ttft is not None
    assert level.n_good == 4
    assert level.ttft.at[-1] > 0.28
    assert level.ttft.of(50) < level.ttft.at[-1]


def test_the_same_seed_sends_the_same_lengths_in_other_words() -> None:
    # The same words again would come from the server's prefix cache, and the second test would look ten times faster.
    first, second = Behaviour(), Behaviour()
    for how in (first, second):
        run(how, concurrencies=(1,), budget_s=0.5, most_requests=3, prompt=parse_lengths("20-90"))
    prompts = [
        [body["prompt"] for body in how.seen[2:]] for how in (first, second)
    ]  # two learn what words are
    assert len(prompts[0]) == 3
    assert [len(text.split()) for text in prompts[0]] == [len(text.split()) for text in prompts[1]]
    assert not set(prompts[0]) & set(prompts[1])


def test_a_shared_prefix_begins_every_prompt_and_the_rest_differs() -> None:
    how = Behaviour()
    run(
        how,
        concurrencies=(1,),
        budget_s=0.5,
        most_requests=3,
        prompt=parse_lengths("60"),
        n_shared_prefix_tokens=30,
    )
    prompts = [body["prompt"].split() for body in how.seen[2:]]
    assert len({tuple(words[:29]) for words in prompts}) == 1
    assert len({tuple(words) for words in prompts}) == 3


def test_a_chat_server_that_decides_lengths_itself_is_found_out() -> None:
    how = Behaviour(has_completions=False, takes_ignore_eos=False)
    test = run(how, concurrencies=(1,), budget_s=0.5)
    assert test.call == "chat"
    assert "ignore_eos" not in how.seen[-1]
    assert any("may be shorter than asked" in note for note in test.notes)
    assert test.levels[0].mean_prompt_tokens == 50  # the template's own tokens are allowed for


@pytest.mark.parametrize("has_completions", [True, False])
def test_tokens_that_are_no_characters_are_answers_too(has_completions: bool) -> None:
    # vLLM sends an empty text for a token that is a part of a character; random weights write nothing else.
    how = Behaviour(has_words=False, has_completions=has_completions, prefill_s=0.05)
    (level,) = run(how, concurrencies=(1,), budget_s=0.6).levels
    assert level.n_failed == 0 and level.n_good > 1
    assert level.mean_output_tokens == 10
    # 50 ms before the first token: the role that opens a chat is none.
    assert level.ttft is not None and level.ttft.of(50) > 0.05


def test_a_server_without_counts_is_said_to_be_one() -> None:
    test = run(Behaviour(counts_tokens=False, shows_metrics=False), concurrencies=(1,), budget_s=0.5)
    assert test.account is None
    assert any("does not count tokens" in note for note in test.notes)
    assert test.levels[0].mean_output_tokens == 10  # the pieces


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("500", 'HTTP 500: \'{"error": {"message": "CUDA error'),
        ("break", "the answer broke off"),
        ("garbage", "an event that is not JSON"),
        ("error_event", "out of\\x1b[31m memory"),
        ("silence", "fell silent before the end"),
        ("endless", "an answer without end"),
        ("empty", "an answer without text"),
    ],
)
def test_a_fault_is_a_failed_request_and_not_the_end(fault: str, said: str) -> None:
    # Two good answers for the server to be known, two for the level, then all fail.
    test = run(Behaviour(fault=fault, fault_after=4), concurrencies=(1,), budget_s=1.0, most_requests=4)
    level = test.levels[0]
    assert (level.n_good, level.n_failed) == (2, 2)
    assert said in level.errors[0][0]
    assert "\x1b" not in level.errors[0][0]


def test_a_server_where_nothing_succeeds_is_an_error() -> None:
    with pytest.raises(BenchError, match=r"no request to .* succeeded: the answer broke off"):
        run(Behaviour(fault="break", fault_after=2), concurrencies=(2,), budget_s=0.5)


def test_a_server_that_never_streams_is_an_error() -> None:
    with pytest.raises(BenchError, match="answers neither /v1/completions nor /v1/chat/completions"):
        run(Behaviour(fault="500"))


def test_a_key_is_asked_for_and_used() -> None:
    with pytest.raises(AccessError, match="--api-key-env"):
        run(Behaviour(key="secret"))
    test = run(Behaviour(key="secret"), key="secret", concurrencies=(1,), budget_s=0.4)
    assert test.levels[0].n_good


def test_one_of_several_models_has_to_be_named() -> None:
    with pytest.raises(NotFoundError, match="serves 2 models"):
        run(Behaviour(models=("a", "b")))
    assert run(Behaviour(models=("a", "b")), model="b", concurrencies=(1,), budget_s=0.4).model == "b"


def test_no_server_is_an_error_at_once() -> None:
    with pytest.raises(UnreachableError, match="no server answers"):
        run_load_test(replace(QUICK, base_url="http://127.0.0.1:9"))


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost:8000", "http://localhost:8000"),
        ("http://host/v1/", "http://host"),
        ("https://host/openai/v1", "https://host/openai"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_an_address_may_end_in_v1(text: str, url: str) -> None:
    assert base_url_of(text) == url


@pytest.mark.parametrize(
    "text", ["ftp://host", "http://", "http://user:secret@host", "http://host:port", "http://h?q=1"]
)
def test_other_addresses_are_refused_without_repeating_secrets(text: str) -> None:
    with pytest.raises(BenchError) as caught:
        base_url_of(text)
    assert "secret" not in str(caught.value)
