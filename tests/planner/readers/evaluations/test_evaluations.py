"""Evaluation results of three kinds of file, and files that are none of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from planner.compare.solved import EvaluationResult
from planner.errors import PlannerError
from planner.readers.evaluations.file import MAX_BYTES, read_evaluation

# As lm-evaluation-harness 0.4.9 writes it (lm_eval/loggers/evaluation_tracker.py), much left out.
LM_EVAL: dict[str, Any] = {
    "results": {
        "gsm8k": {
            "alias": "gsm8k",
            "exact_match,flexible-extract": 0.40,
            "exact_match_stderr,flexible-extract": 0.05,
            "exact_match,strict-match": 0.33,
            "exact_match_stderr,strict-match": 0.047,
        },
        "mmlu": {"alias": "mmlu", "acc,none": 0.5, "acc_stderr,none": 0.01},
        "mmlu_law": {"alias": " - law", "acc,none": 0.25, "acc_stderr,none": "N/A"},
        "wikitext": {"alias": "wikitext", "word_perplexity,none": 12.3},
    },
    "group_subtasks": {"gsm8k": [], "mmlu": ["mmlu_law"], "wikitext": []},
    "n-samples": {
        "gsm8k": {"original": 1319, "effective": 100},
        "mmlu": {"original": 40, "effective": 40},
        "mmlu_law": {"original": 40, "effective": 40},
        "wikitext": {"original": 62, "effective": 62},
    },
    "config": {"model": "vllm", "model_args": "pretrained=Qwen/Qwen3-8B,dtype=auto", "limit": 100.0},
    "model_name": "Qwen/Qwen3-8B",
}
# As Inspect writes it (inspect_ai/log/_log.py), much left out: two samples, two epochs of each.
INSPECT: dict[str, Any] = {
    "version": 2,
    "status": "success",
    "eval": {
        "task": "arithmetic",
        "model": "openai/gpt-4o-mini",
        "config": {"epochs": 2},
        "dataset": {"samples": 2},
    },
    "results": {
        "total_samples": 4,
        "completed_samples": 4,
        "scores": [
            {"name": "match", "scorer": "match", "metrics": {"accuracy": {"name": "accuracy", "value": 0.75}}}
        ],
    },
    "stats": {
        "model_usage": {
            "openai/gpt-4o-mini": {
                "input_tokens": 400,
                "output_tokens": 80,
                "total_tokens": 480,
                "input_tokens_cache_read": 0,
            }
        }
    },
    "samples": [
        {"id": 1, "epoch": 1, "scores": {"match": {"value": "C", "answer": "4"}}},
        {"id": 1, "epoch": 2, "scores": {"match": {"value": "C", "answer": "4"}}},
        {"id": 2, "epoch": 1, "scores": {"match": {"value": "I", "answer": "7"}}},
        {"id": 2, "epoch": 2, "scores": {"match": {"value": "C", "answer": "8"}}},
    ],
}


def read(folder: Path, document: object, name: str = "file.json") -> tuple[EvaluationResult, ...]:
    path = folder / name
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return read_evaluation(path)


def test_lm_eval(tmp_path: Path) -> None:
    # A group repeats its tasks, and a perplexity solves nothing.
    gsm8k, law = read(tmp_path, LM_EVAL)
    assert (gsm8k.model, gsm8k.evaluation, gsm8k.metric) == (
        "Qwen/Qwen3-8B",
        "gsm8k",
        "exact_match,strict-match",
    )
    assert (gsm8k.n_tasks, gsm8k.n_solved) == pytest.approx((100, 33))
    assert (law.evaluation, law.n_solved) == ("mmlu_law", 10)
    assert gsm8k.prompt_tokens is None


def test_lm_eval_of_a_model_named_only_in_its_arguments(tmp_path: Path) -> None:
    assert read(tmp_path, {**LM_EVAL, "model_name": None})[0].model == "Qwen/Qwen3-8B"
    as_object = {
        **LM_EVAL,
        "model_name": None,
        "config": {"model_args": {"pretrained": "a/b", "dtype": "auto"}},
    }
    assert read(tmp_path, as_object)[0].model == "a/b"


def test_inspect_by_sample(tmp_path: Path) -> None:
    (found,) = read(tmp_path, INSPECT)
    # Task 1 is solved, task 2 half of the time; four attempts of 100 and 20 tokens.
    assert (found.n_tasks, found.n_solved, found.n_attempts) == (2, 1.5, 4)
    assert (found.prompt_tokens, found.output_tokens) == (100, 20)
    assert (found.model, found.evaluation, found.metric) == ("openai/gpt-4o-mini", "arithmetic", "match")


def test_inspect_without_samples(tmp_path: Path) -> None:
    (found,) = read(tmp_path, {**INSPECT, "samples": None})
    assert (found.n_tasks, found.n_solved, found.n_attempts) == (2, 1.5, 4)


def test_inspect_of_a_provider_that_counts_cached_tokens_beside_the_others(tmp_path: Path) -> None:
    usage = {"input_tokens": 100, "output_tokens": 80, "total_tokens": 480, "input_tokens_cache_read": 300}
    log = {**INSPECT, "stats": {"model_usage": {"openai/gpt-4o-mini": usage}}}
    assert read(tmp_path, log)[0].prompt_tokens == 100  # 400 of four attempts


def test_own_rows_of_tasks(tmp_path: Path) -> None:
    text = "model,solved,attempts,usd,minutes\na,1,1,0.02,\na,0,3,0.06,12\nb,1,1,0.5,\n"
    a, b = read(tmp_path, text, "own.csv")
    assert (a.n_tasks, a.n_solved, a.n_attempts, a.people_minutes) == (2, 1, 4, 12)
    assert a.usd_per_attempt == pytest.approx(0.02)
    assert (b.model, b.n_solved) == ("b", 1)
    assert read(tmp_path, [{"model": "a", "solved": True}, {"model": "a", "solved": 0}])[0].n_solved == 1


def test_a_row_with_more_cells_than_the_header_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(PlannerError, match="row 2: more cells"):
        read(tmp_path, "model,solved\na,1\na,0,7\n", "own.csv")


def test_own_rows_of_models(tmp_path: Path) -> None:
    (found,) = read(
        tmp_path, [{"model": "a", "n_tasks": 50, "n_solved": 41, "prompt_tokens": 900, "output_tokens": 200}]
    )
    assert (found.n_tasks, found.n_solved, found.prompt_tokens) == (50, 41, 900)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("{", "not readable as JSON"),
        ("[" * 100_000, "not readable as JSON"),
        ([], "has no rows"),
        ([1, 2], "more than objects"),
        ({"a": 1}, "is neither"),
        ([{"model": "a", "solved": 2}], "expected a number from 0 to 1"),
        ([{"model": "a", "solved": "yes"}], "expected a number from 0 to 1"),
        ([{"solved": 1}], "no model"),
        ([{"model": "a", "solvd": 1}], "no column 'solvd'"),
        ([{"model": "a", "n_tasks": 5, "n_solved": 6}], "expected a number from 0 to 5"),
        ([{"model": "a", "n_tasks": 5, "n_solved": 3}] * 2, "2 rows"),
        ({**INSPECT, "status": "error"}, "status 'error'"),
        ({**INSPECT, "samples": [{"id": 1}]}, "has no score"),
        (
            {**INSPECT, "samples": [{"id": 1, "scores": {"m": {"value": "maybe"}}}]},
            "expected a number from 0 to 1",
        ),
        ({**INSPECT, "samples": None, "results": {}}, "neither samples nor scores"),
        ({**LM_EVAL, "n-samples": {"gsm8k": {"effective": -1}}}, "expected a number"),
        ({**LM_EVAL, "results": {"gsm8k": {"exact_match,none": 7}}}, "expected a number from 0 to 1"),
        ({**LM_EVAL, "results": {"gsm8k": {"bleu,none": 7}}}, "no task with a share"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, document: object, says: str) -> None:
    with pytest.raises(PlannerError) as refused:
        read(tmp_path, document)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_binary_log_says_how_to_convert_it(tmp_path: Path) -> None:
    path = tmp_path / "log.eval"
    path.write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(PlannerError, match="inspect log convert --to json"):
        read_evaluation(path)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(PlannerError, match="at most"):
        read_evaluation(path)
