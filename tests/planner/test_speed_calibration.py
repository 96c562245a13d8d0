"""A table of benchmarks fitted, written, scored: through the functions that the commands call."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from planner import api
from planner.cli.main import planner
from planner.errors import MalformedError

# Sizes that llama-bench prints, and speeds as if reading reached 70 % of the bandwidth and multiplying 40 % of the peak.
DEVICES = {"RTX 3090": (936e9, 142e12), "RTX 4090": (1008e9, 330e12), "RTX 4070 Ti SUPER": (672e9, 176e12),
           "RTX 5090": (1792e9, 419e12)}  # fmt: skip
FILES = (("llama 8B Q4_K - Medium", "Q4_K - Medium", 4.58, 8.03), ("llama 8B Q8_0", "Q8_0", 7.95, 8.03),
         ("llama 7B Q4_0", "Q4_0", 3.56, 6.74))  # fmt: skip
COLUMNS = (
    "device", "n_devices", "backend", "engine", "model", "arch", "quant", "file_size_gib", "params_b", "ngl", "fa",
    "n_depth", "test", "n_prompt", "n_gen", "tok_s", "origin",
)  # fmt: skip


def rows() -> list[dict[str, object]]:
    found = []
    for device, (bandwidth, peak) in DEVICES.items():
        for model, quant, gib, billions in FILES:
            base = {
                "device": device, "n_devices": 1, "backend": "CUDA", "engine": "llama.cpp", "model": model,
                "arch": "llama", "quant": quant, "file_size_gib": gib, "params_b": billions, "ngl": 99, "fa": 1,
                "n_depth": 0, "origin": "made up",
            }  # fmt: skip
            decode = 0.7 * bandwidth / (gib * 2**30)
            prefill = 0.4 * peak / (2 * billions * 1e9)
            found.append(base | {"test": "tg128", "n_prompt": 0, "n_gen": 128, "tok_s": decode})
            found.append(base | {"test": "pp512", "n_prompt": 512, "n_gen": 0, "tok_s": prefill})
    return found


def table(folder: Path, lines: list[dict[str, object]]) -> Path:
    path = folder / "bench.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(lines)
    return path


def test_a_fit_explains_its_table_and_says_what_it_is_worth(tmp_path: Path) -> None:
    found = api.calibrate_speed([table(tmp_path, rows())], date="2026-01-01")
    assert (found.n_rows, found.n_placed) == (24, 24)
    for by in ("cell", "device", "model"):
        scores = {score.speed_class: score for score in found.scores[by]}
        assert set(scores) == {"dense_decode", "dense_prefill"}
        # Four cards of three generations behave alike here: left out, each is predicted by the others.
        assert scores["dense_decode"].median_error_fraction < 0.15
    written = api.write_speed_calibration(found, tmp_path / "calibrations")
    assert [path.name for path in written] == [
        "llama_cpp_speed.csv", "llama_cpp_speed_intervals.csv", "llama_cpp_speed_scores.csv",
        "llama_cpp_speed_noise.csv",
    ]  # fmt: skip


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="too few"):
        api.calibrate_speed([table(tmp_path, rows()[:4])], date="2026-01-01")


def test_held_out_rows_are_predicted_with_intervals(tmp_path: Path) -> None:
    found = api.validate_speed(table(tmp_path, rows()), hold_out="device")
    assert found.placed_fraction == 1
    for prediction in found.predictions:
        assert prediction.low is not None and prediction.expected is not None and prediction.high is not None
        assert prediction.low < prediction.expected < prediction.high


def test_the_command_writes_every_row_with_its_prediction_or_reason(tmp_path: Path) -> None:
    lines = rows()[:6]
    lines[2] = lines[2] | {"device": "Nobody's card"}
    out = tmp_path / "rows.csv"
    result = CliRunner().invoke(
        planner, ["validate", "speed", str(table(tmp_path, lines)), "--rows", str(out), "--format", "json"]
    )
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["n_rows"] == 6
    assert {row["class"] for row in answer["rows"]} == {"dense_decode", "dense_prefill"}
    with out.open(encoding="utf-8") as stream:
        written = list(csv.DictReader(stream))
    assert [line["row"] for line in written] == [str(i) for i in range(6)]
    assert written[2]["expected"] == ""
    assert "no profile has exactly" in written[2]["reason"]
    assert all(
        float(line["low"]) < float(line["expected"]) < float(line["high"])
        for line in written
        if line["expected"]
    )


def test_the_command_fits_a_table(tmp_path: Path) -> None:
    arguments = [
        "calibrate",
        str(table(tmp_path, rows())),
        "--out",
        str(tmp_path / "out"),
        "--format",
        "json",
    ]
    result = CliRunner().invoke(planner, [*arguments, "--date", "2026-01-01"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["n_placed"] == 24
    assert (tmp_path / "out" / "llama_cpp_speed.csv").is_file()
