"""How far times stray that load generators report of servers nobody told more about."""

from pathlib import Path

import pytest

from planner.api.reported_spreads import main, reported_spreads
from planner.api.serving_facts import serving_facts, serving_folds
from planner.estimate.serving_speed.spread import kind_of, spread_for, spreads_from_rows
from profiles.loader import calibration_rows

ROW = {
    "hardware": "NVIDIA H100 SXM", "n_gpu": "1", "engine": "vLLM", "quant": "bf16", "tp": "1", "pp": "", "ep": "",
    "isl": "1000", "osl": "101", "concurrency_or_request_rate": "conc=8", "total_tok_s": "", "output_tok_s": "500",
    "ttft_ms": "100", "tpot_ms": "9", "scenario": "llama-benchy 01-chat", "notes": "",
}  # fmt: skip
MODELS = ("Llama-3.1-8B-Instruct", "Qwen3-8B", "Qwen3-14B", "gemma-3-12b-it", "Qwen3-32B")


def rows(**changes: str) -> list[dict[str, str]]:
    return [ROW | {"model": name} | changes for name in MODELS]


def test_reported_times_have_spreads_of_their_own() -> None:
    found = reported_spreads(rows(), serving_folds())
    assert {spread.kind.settings for spread in found} == {"reported"}
    assert {spread.quantity for spread in found} == {"tpot", "ttft"}
    # Times of another unit would be a thousand times as long: the spread is around the fit, not around itself.
    tpot = next(spread for spread in found if spread.quantity == "tpot")
    slower = next(s for s in reported_spreads(rows(tpot_ms="90"), serving_folds()) if s.quantity == "tpot")
    assert slower.high_ratio == pytest.approx(10 * tpot.high_ratio)


def test_first_tokens_count_only_where_the_rounds_are_known() -> None:
    found = reported_spreads(rows(scenario="aggregate_output"), serving_folds())
    assert {spread.quantity for spread in found} == {"tpot"}


def test_rows_without_times_or_without_a_loop_say_nothing() -> None:
    for changes in ({"ttft_ms": "", "tpot_ms": "nan"}, {"concurrency_or_request_rate": "batch=8"}):
        assert reported_spreads(rows(**changes), serving_folds()) == ()


def test_the_decoding_phase_alone_is_a_time_per_token() -> None:
    # Eight requests at 800 tokens a second together: 10 ms a token for each.
    ratios = [
        next(s for s in reported_spreads(table, serving_folds()) if s.quantity == "tpot").high_ratio
        for table in (
            rows(tpot_ms="10"),
            rows(tpot_ms="", notes="decode-phase aggregate", output_tok_s="800"),
        )
    ]
    assert ratios[0] == pytest.approx(ratios[1])


def test_the_packaged_spreads_are_narrower_than_those_of_runs_of_unknown_making() -> None:
    spreads = serving_facts().spreads
    for quantity in ("tpot", "ttft"):
        told, untold = (
            spread_for(
                spreads,
                quantity,
                kind_of("vllm", has_experts=False, has_known_settings=False, is_reported=is_),
            )
            for is_ in (True, False)
        )
        assert told.kind.settings == "reported"
        assert told.high_ratio / told.low_ratio < untold.high_ratio / untold.low_ratio


def test_the_module_writes_what_is_read_again(tmp_path: Path) -> None:
    table = tmp_path / "rates.csv"
    columns = list(rows()[0])
    lines = [",".join(columns), *(",".join(row[name] for name in columns) for row in rows())]
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    main([str(table), "--date", "2026-11-28", "--out", str(tmp_path)])
    header, *written = (tmp_path / "serving_reported_spread.csv").read_text(encoding="utf-8").splitlines()
    assert written
    names = header.split(",")
    again = spreads_from_rows(
        [dict(zip(names, line.split(",", len(names) - 1), strict=True)) for line in written]
    )
    assert again[0].n_groups == len(MODELS)
    assert calibration_rows("serving_reported_spread")
