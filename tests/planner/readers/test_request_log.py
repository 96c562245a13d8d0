"""Logs and traces: the same two requests in every form that is read, and what is wrong in one line."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.api.load_testing import trace_plans
from planner.errors import MalformedError, NotFoundError, ReadError
from planner.readers.request_log import read_request_log

AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6800000,374,44\n"
    "2023-11-16 18:15:50.9950000,396,109\n2023-11-16 18:15:46.0000000,10,0\n"
)
MOONCAKE = (
    '{"timestamp": 1000, "input_length": 374, "output_length": 44, "hash_ids": [1]}\n\n'
    '{"timestamp": 5315, "input_length": 396, "output_length": 109}\n'
)
OWN = "arrival_s,n_prompt_tokens,n_output_tokens\n0,374,44\n4.315,396,109\n"
BURST = (
    "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,ChatGPT,374,44,418,API log\n9.315,GPT-4,396,109,505,API log\n"
)
TABLE = "created,prompt_tokens,completion_tokens\n1700000000,374,44\n1700000004.315,396,109\n"


def lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


OPENAI = lines(
    {"created": 1700000000, "usage": {"prompt_tokens": 374, "completion_tokens": 44}},
    {"created": 1700000004.315, "usage": {"prompt_tokens": 396, "completion_tokens": 109}},
    {"created": 1700000005, "usage": {"prompt_tokens": 5}},
)
BATCH = lines(
    {"custom_id": "a", "response": {"body": {"created": 1700000000, "usage": {"prompt_tokens": 374, "completion_tokens": 44}}}},
    {"custom_id": "b", "response": {"body": {"created": 1700000004.315, "usage": {"prompt_tokens": 396, "completion_tokens": 109}}}},
)  # fmt: skip
RESPONSES = lines(
    {"timestamp": "2023-11-14T22:13:20Z", "usage": {"input_tokens": 374, "output_tokens": 44}},
    {"timestamp": "2023-11-14T23:13:24.315+01:00", "usage": {"input_tokens": 396, "output_tokens": 109}},
)
MILLISECONDS = lines(
    {"ts": 1700000000000, "usage": {"input_tokens": 374, "output_tokens": 44}},
    {"ts": 1700000004315, "usage": {"input_tokens": 396, "output_tokens": 109}},
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("azure.csv", AZURE), ("mooncake.jsonl", MOONCAKE), ("own.csv", OWN), ("burst.csv", BURST),
        ("table.csv", TABLE), ("openai.jsonl", OPENAI), ("batch.jsonl", BATCH), ("responses.jsonl", RESPONSES),
        ("milliseconds.jsonl", MILLISECONDS),
    ],
)  # fmt: skip
def test_every_form_tells_the_same_two_requests(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    first, second = read_request_log(path).requests
    assert (first.n_prompt_tokens, first.n_output_tokens) == (374, 44)
    assert (second.n_prompt_tokens, second.n_output_tokens) == (396, 109)
    assert second.arrival_s - first.arrival_s == pytest.approx(4.315, abs=1e-3)
    plans = trace_plans(path, 10)
    assert [plan.arrival_s for plan in plans] == [0.0, pytest.approx(4.315, abs=1e-3)]


def test_what_is_left_out_and_what_is_a_date_is_told(tmp_path: Path) -> None:
    azure, own = tmp_path / "azure.csv", tmp_path / "own.csv"
    azure.write_text(AZURE, encoding="utf-8")
    own.write_text(OWN, encoding="utf-8")
    log = read_request_log(azure)
    assert (log.n_left_out, log.has_dates) == (1, True)
    assert not read_request_log(own).has_dates
    assert read_request_log(own, limit=1).requests[0].n_prompt_tokens == 374


def test_thinking_and_cached_tokens_are_read_where_they_are_told(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(
        lines(
            {
                "created": 1,
                "usage": {
                    "prompt_tokens": 100, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 64},
                    "completion_tokens_details": {"reasoning_tokens": 30},
                },
            },
            # Anthropic's cached tokens come on top of the input tokens.
            {
                "created": 2,
                "usage": {
                    "input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 80,
                    "cache_creation_input_tokens": 10,
                },
            },
        ),
        encoding="utf-8",
    )  # fmt: skip
    openai, anthropic = read_request_log(path).requests
    assert (openai.n_cached_tokens, openai.n_thinking_tokens) == (64, 30)
    assert (anthropic.n_prompt_tokens, anthropic.n_cached_tokens, anthropic.n_thinking_tokens) == (
        100,
        80,
        None,
    )


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "", "holds no request"),
        ("a.csv", "x,y\n1,2\n", "none of the known columns"),
        ("a.csv", "arrival_s,n_prompt_tokens,n_output_tokens\n0,many,3\n", "row 1"),
        ("a.csv", "arrival_s,n_prompt_tokens,n_output_tokens\nnan,3,3\n", "impossible"),
        ("a.csv", "arrival_s,n_prompt_tokens,n_output_tokens\n0,3,1e30\n", "impossible"),
        ("a.jsonl", "{", "line 1 of the log 'a.jsonl' is not JSON"),
        ("a.jsonl", "[1]", "not an object"),
        ("a.csv", "\x00", "holds no request"),
        ("a.jsonl", '{"created": 1, "usage": {"prompt_tokens": 5, "completion_tokens": 2, "reasoning_tokens": 3}}', "impossible"),
        ("a.jsonl", '{"timestamp": 1, "input_length": 5, "output_length": 2, "hash_ids": ["x"]}', "row 1"),
    ],
)  # fmt: skip
def test_broken_logs_are_told_in_a_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MalformedError, match=said):
        read_request_log(path)
    with pytest.raises(NotFoundError):
        read_request_log(tmp_path / "none.csv")


@given(st.binary(max_size=200), st.sampled_from(("x.csv", "x.jsonl")))
def test_bytes_of_any_kind_are_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str
) -> None:
    path = tmp_path_factory.mktemp("log") / name
    path.write_bytes(data)
    with pytest.raises(ReadError) as error:
        read_request_log(path)
    assert "\n" not in str(error.value)
