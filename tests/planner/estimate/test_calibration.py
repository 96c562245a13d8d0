"""Efficiencies: which row is chosen, what a bad file says, what the fit recovers, what is packaged."""

import csv
import itertools
import json
import math
import random
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import MissingFactError
from planner.estimate.calibration import (
    Efficiency,
    ModelClass,
    choose_efficiency,
    decode_s_per_token,
    efficiencies_from_rows,
    matrix_flop_per_s,
    prefill_s,
)
from planner.estimate.calibration_fit import conformal_quantile, fit_efficiencies, main, scores
from planner.estimate.calibration_line import Line, fit_line
from planner.estimate.calibration_truth import SHAPES, Point, truth_from_rows
from planner.estimate.measurement import Phase
from profiles.errors import ProfileError
from profiles.loader import accelerator_rows, calibration_rows, model_entry

ROW = Efficiency(
    phase="decode",
    model_class="dense",
    backend="cuda",
    family="Ada",
    fraction=0.8,
    overhead_s=0.001,
    low_ratio=0.9,
    high_ratio=1.1,
    n_measurements=10,
    n_devices=2,
    fitted_on="rtx-4090, l40s",
    date="2026-11-22",
)
OF_BACKEND = replace(ROW, family="*", fraction=0.7)
OF_ANY = replace(ROW, backend="*", family="*", fraction=0.6)


def as_cells(row: Efficiency) -> dict[str, str | None]:
    cells: dict[str, str | None] = {field.name: str(getattr(row, field.name)) for field in fields(row)}
    return {"id": "decode-dense-cuda-ada", **cells}


# --- choosing


@pytest.mark.parametrize(
    ("backend", "family", "fraction"),
    [
        ("cuda", "Ada", 0.8),
        ("cuda", "Turing", 0.7),  # a family without a row has its backend's
        ("vulkan", "Ada", 0.6),  # the same family on another backend says nothing: any
    ],
)
def test_the_most_specific_row_is_chosen_wherever_it_stands(
    backend: str, family: str, fraction: float
) -> None:
    for rows in ([ROW, OF_BACKEND, OF_ANY], [OF_ANY, OF_BACKEND, ROW]):
        chosen = choose_efficiency(rows, phase="decode", model_class="dense", backend=backend, family=family)
        assert chosen.fraction == fraction


def test_another_phase_or_class_is_never_taken_for_the_asked_one() -> None:
    with pytest.raises(MissingFactError, match="prefill of dense models on Ada with cuda; run a benchmark"):
        choose_efficiency([ROW, OF_ANY], phase="prefill", model_class="dense", backend="cuda", family="Ada")
    with pytest.raises(MissingFactError, match="decode of MoE models"):
        choose_efficiency([ROW, OF_ANY], phase="decode", model_class="moe", backend="cuda", family="Ada")


# --- reading


def test_cells_become_the_record_that_wrote_them() -> None:
    assert efficiencies_from_rows([as_cells(ROW)]) == (ROW,)


@pytest.mark.parametrize(
    ("field", "cell", "message"),
    [
        ("fraction", "1.3", "'fraction': found 1.3, expected above 0, at most 1.2"),
        ("fraction", "nan", "'fraction': found nan"),
        ("fraction", "much", "'fraction': found 'much', expected a number"),
        ("fraction", None, "'fraction': found nothing"),
        ("overhead_s", "-0.001", "'overhead_s': found -0.001"),
        ("overhead_s", "inf", "'overhead_s': found inf"),
        ("low_ratio", "1.0", "'low_ratio': found 1.0, expected above 0 and below 1"),
        ("high_ratio", "0.99", "'high_ratio': found 0.99, expected above 1"),
        ("n_devices", "2.5", "'n_devices': found '2.5', expected a whole number"),
        ("n_measurements", "0", "'n_measurements': found 0"),
        ("phase", "encode", "'phase': found 'encode', expected prefill or decode"),
        ("model_class", "MoE", "'model_class': found 'MoE', expected dense or moe"),
        ("backend", "CUDA", "'backend': found 'CUDA', expected one of cuda, rocm"),
        ("backend", "*", "'family': found 'Ada' for any backend"),
        ("date", "yesterday", "'date': found 'yesterday'"),
    ],
)
def test_a_bad_cell_is_named_with_its_row(field: str, cell: str | None, message: str) -> None:
    with pytest.raises(ProfileError) as error:
        efficiencies_from_rows([as_cells(ROW) | {field: cell}])
    assert "calibration row 'decode-dense-cuda-ada'" in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


# --- the formulas


def test_decode_of_8b_q4_on_a_4090_by_hand() -> None:
    # 4.6 GB read per token at 80 % of 1,008 GB/s: 4.6e9 / 806.4e9 = 5.704 ms; + 1 ms = 6.704 ms, 149 tok/s.
    seconds = decode_s_per_token(4.6e9, 1008e9, 0.8, 0.001)
    assert seconds == pytest.approx(6.704e-3, rel=1e-3)


def test_prefill_of_8b_by_hand() -> None:
    # 512 tokens · 2 · 7e9 parameters = 7.168 TFLOP at half of 100 TFLOP/s = 143.4 ms; + 10 ms = 153.4 ms.
    assert prefill_s(2 * 7e9 * 512, 100e12, 0.5, 0.010) == pytest.approx(0.15336, rel=1e-4)


positive = st.floats(min_value=1e6, max_value=1e15)


@given(positive, positive, st.floats(1.0, 10.0), st.floats(0.01, 1.2), st.floats(0, 1))
def test_faster_memory_is_never_slower_and_more_bytes_never_faster(
    work: float, rate: float, factor: float, fraction: float, overhead_s: float
) -> None:
    seconds = decode_s_per_token(work, rate, fraction, overhead_s)
    assert decode_s_per_token(work, rate * factor, fraction, overhead_s) <= seconds
    assert decode_s_per_token(work * factor, rate, fraction, overhead_s) >= seconds
    assert seconds >= overhead_s


def test_the_matrix_rate_is_the_better_stated_one() -> None:
    # RTX 3090: 71 TFLOP/s FP16 with FP32 accumulation, 284 TOP/s INT8, so 142 with FP16 accumulation.
    assert matrix_flop_per_s({"fp16": 71e12, "int8": 284e12}) == 142e12
    assert matrix_flop_per_s({"fp16": 13.6e12}) == 13.6e12
    assert matrix_flop_per_s({"fp8": 1e15}) is None


# --- reading measurements

MEASURED: Mapping[str, str] = {
    "device": "RTX 4090",
    "hardware": "NVIDIA GeForce RTX 4090",
    "n_devices": "1",
    "backend": "CUDA",
    "engine": "llama.cpp",
    "model": "llama 7B Q4_0",
    "quant": "Q4_0",
    "file_size_gib": "3.56",
    "params_b": "6.74",
    "active_params_b": "6.74",
    "is_moe": "0",
    "ngl": "99",
    "offload": "",
    "n_depth": "0",
    "n_prompt": "0",
    "n_gen": "128",
    "tok_s": "200",
}


def points_of(*changes: Mapping[str, str]) -> tuple[Point, ...]:
    rows = [{**MEASURED, **change} for change in changes]
    return truth_from_rows(rows, "truth.csv").points


def test_a_token_reads_the_file_less_the_embedding_table_and_its_cache() -> None:
    (point,) = points_of({})
    # 3.56 GiB = 3.8225e9 bytes; 32,000 · 4,096 of 6.74e9 parameters are the table: · (1 − 0.019447) = 3.7482e9.
    # Cache at mean depth 64: 2 · 32 layers · 32 heads · 128 · 2 bytes · 64 = 33.55e6. 4090: 1,008 GB/s.
    assert point.ideal_s == pytest.approx((3.7482e9 + 33.55e6) / 1008e9, rel=1e-4)
    assert point.measured_s == pytest.approx(0.005)
    assert (point.device, point.family, point.backend) == ("rtx-4090", "Ada", "cuda")


def test_of_experts_a_token_reads_the_active_ones() -> None:
    (point,) = points_of(
        {
            "params_b": "20.91",
            "active_params_b": "3.6",
            "is_moe": "1",
            "file_size_gib": "11.27",
            "quant": "MXFP4",
        }
    )
    # Experts: 24 · 32 · 3 · 2,880² = 19.110e9 at 4.25 bits = 10.152e9 bytes, of which 4 of 32 are read: 1.2690e9.
    # The rest of 12.101e9 bytes is 1.9489e9 for 1.7996e9 parameters; the table, 201,088 · 2,880 = 0.57913e9
    # of them, is not read: 1.9489e9 · 0.67819 = 1.3217e9. Cache: 24 layers, 64 tokens · 2 · 8 · 64 · 2 bytes.
    cache = 24 * 64 * 2 * 8 * 64 * 2
    assert point.ideal_s == pytest.approx((1.2690e9 + 1.3217e9 + cache) / 1008e9, rel=1e-3)


def test_a_prompt_costs_two_flop_per_parameter_and_token_and_the_head_once() -> None:
    (point,) = points_of({"n_prompt": "512", "n_gen": "0", "tok_s": "10000"})
    layers = 6.74e9 - 2 * 32000 * 4096
    attention = 2 * 32 * 32 * 128 * 512**2  # 2 · L · h · d · n²
    # The 4090's matrix rate: 660.6 TOP/s INT8 / 2, above its 165.2 TFLOP/s of FP16 with FP32 accumulation.
    expected = (2 * (layers * 512 + 32000 * 4096) + attention) / 330.3e12
    assert point.ideal_s == pytest.approx(expected, rel=1e-6)


def test_repeats_are_reduced_to_their_median() -> None:
    (point,) = points_of({"tok_s": "100"}, {"tok_s": "200"}, {"tok_s": "160"})
    assert point.measured_s == pytest.approx(1 / 160)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"engine": "ik_llama.cpp"}, "another engine"),
        ({"n_devices": "2"}, "more than one device"),
        ({"backend": "CPU"}, "no GPU backend"),
        ({"backend": ""}, "no GPU backend"),
        ({"ngl": "31"}, "outside the GPU"),
        ({"offload": "-ot exps=CPU"}, "outside the GPU"),
        ({"file_size_gib": "39.59", "params_b": "70.55"}, "larger than the device"),  # 24 GiB card
        ({"n_depth": "4096"}, "filled cache"),
        ({"n_prompt": "64", "n_gen": "0"}, "shorter than 512"),
        ({"n_gen": "1"}, "fewer than 16"),
        ({"n_prompt": "512"}, "mixed"),
        (
            {"hardware": "RTX 4090 Ti", "device": "RTX 4090 Ti"},
            "no profile",
        ),  # another card: no substring match
        ({"hardware": "A100", "device": "A100"}, "no profile"),  # a name of several cards
        ({"params_b": "123.4", "n_gen": "4096", "file_size_gib": "20"}, "KV cache of unknown size"),
    ],
)
def test_a_row_that_cannot_be_compared_is_left_out_for_a_reason(change: dict[str, str], reason: str) -> None:
    truth = truth_from_rows([{**MEASURED, **change}], "truth.csv")
    assert truth.points == ()
    assert reason in truth.skipped[0][0]


@pytest.mark.parametrize(
    ("hardware", "device", "backend", "expected"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100 80GB SXM", "CUDA", "a100-sxm-80"),
        ("Apple M1max 64GB", "Apple M1 Max 32c", "Metal", "apple-m1-max"),
        ("M1 Max 32‑Core GPU 64GB", "Apple M1 Max 32c", "Metal", "apple-m1-max"),
        ("Apple M4 Pro (273 GB/s)", "Apple M4 Pro", "Metal", "apple-m4-pro"),  # bandwidth settles decode
        ("AMD Ryzen AI Max+ 395 (Radeon 8060S, Strix Halo)", "Strix Halo (Ryzen AI Max+ 395)",
         "Vulkan/llama.cpp-vulkan", "strix-halo-395"),
        ("Apple M2", "Apple M2", "Vulkan", None),  # sold with 8 or 10 cores, not said here
        ("M1 7‑Core GPU 8GB", "Apple M1", "Metal", "apple-m1-7"),
        ("Apple M4 Pro (300 GB/s)", "Apple M4 Pro", "Metal", None),  # a bandwidth that it does not have
    ],
)  # fmt: skip
def test_a_device_is_found_by_its_exact_name(
    hardware: str, device: str, backend: str, expected: str | None
) -> None:
    found = points_of({"hardware": hardware, "device": device, "backend": backend})
    assert [point.device for point in found] == ([expected] if expected else [])


def test_an_apple_chip_of_unknown_cores_says_nothing_about_prefill() -> None:
    prompt = {"n_prompt": "512", "n_gen": "0", "backend": "Metal"}
    assert points_of(prompt | {"hardware": "Apple M1 Pro (200 GB/s)", "device": "Apple M1 Pro"}) == ()
    assert points_of(prompt | {"hardware": "Apple M2 Max (400 GB/s)", "device": "Apple M2 Max 38c"}) != ()


def test_a_number_that_is_none_is_named_with_its_line() -> None:
    with pytest.raises(ProfileError, match=r"truth\.csv, line 2: could not convert string to float: 'fast'"):
        truth_from_rows([{**MEASURED, "tok_s": "fast"}], "truth.csv")


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_shape_is_the_catalogues(shape: Any) -> None:
    config = model_entry(shape.name)["config"]
    config |= config.get("text_config", {})
    assert shape.vocab_size == config["vocab_size"]
    assert shape.hidden_size == config["hidden_size"]
    assert shape.n_layers == config["num_hidden_layers"]
    assert shape.n_heads == config["num_attention_heads"]
    assert shape.n_kv_heads == config["num_key_value_heads"]
    assert shape.head_dim == config.get("head_dim", shape.hidden_size // shape.n_heads)
    assert shape.n_experts == config.get("num_experts", config.get("num_local_experts", 0))
    if shape.n_experts:
        assert shape.n_active_experts == config["num_experts_per_tok"]
        assert shape.expert_width == config.get("moe_intermediate_size", config["intermediate_size"])
    if shape.window_tokens:
        assert shape.window_tokens == config["sliding_window"]
    # llama-bench counts what the file stores: 0.6B's tied head is stored twice.
    stored = model_entry(shape.name)["parameters"]["text"]
    if shape.name == "qwen3-0.6b":
        stored += shape.vocab_size * shape.hidden_size
    assert shape.params_b * 1e9 == pytest.approx(stored, rel=1e-3)


# --- fitting


def synthetic(
    *,
    fraction: float,
    overhead_s: float,
    family: str,
    devices: int,
    noise: float,
    seed: int,
    backend: str = "cuda",
) -> list[Point]:
    """Decode points of devices that differ in bandwidth only, with log-normal noise."""
    random_ = random.Random(seed)
    points = []
    for device in range(devices):
        bytes_per_s = 3e11 * (device + 1)
        for model, read_bytes in (("1B", 1e9), ("8B", 5e9), ("24B", 14e9), ("70B", 42e9)):
            ideal_s = read_bytes / bytes_per_s
            measured_s = (ideal_s / fraction + overhead_s) * math.exp(random_.gauss(0, noise))
            points.append(
                Point(
                    phase="decode", model_class="dense", backend=backend, family=family,
                    device=f"{family}-{device}", model=model, quantization="Q4_K_M", test="tg128",
                    ideal_s=ideal_s, measured_s=measured_s, scale=bytes_per_s,
                )
            )  # fmt: skip
    return points


@pytest.mark.parametrize(("fraction", "overhead_s"), [(0.5, 0.002), (0.8, 0.001), (0.95, 0.005)])
def test_a_line_without_noise_is_recovered(fraction: float, overhead_s: float) -> None:
    points = synthetic(fraction=fraction, overhead_s=overhead_s, family="Ada", devices=2, noise=0, seed=0)
    line = fit_line(points)
    assert line.fraction == pytest.approx(fraction, rel=0.005)
    assert line.overhead_s == pytest.approx(overhead_s, rel=0.02)


def test_no_overhead_is_recovered_as_none() -> None:
    line = fit_line(synthetic(fraction=0.7, overhead_s=0, family="Ada", devices=2, noise=0, seed=0))
    assert line.fraction == pytest.approx(0.7, rel=0.005)
    assert line.overhead_s < 1e-5  # 0.3 % of the fastest test, 3.3 ms


def test_one_wild_measurement_does_not_move_the_line() -> None:
    points = synthetic(fraction=0.8, overhead_s=0.001, family="Ada", devices=3, noise=0.02, seed=1)
    wild = [*points[:-1], replace(points[-1], measured_s=points[-1].measured_s * 10)]
    assert fit_line(wild).fraction == pytest.approx(fit_line(points).fraction, rel=0.05)


def test_a_family_is_drawn_to_its_parent_the_more_the_less_is_known() -> None:
    parent = Line(fraction=0.8, overhead_s=0.001)
    many = synthetic(fraction=0.5, overhead_s=0.001, family="Ada", devices=6, noise=0, seed=2)
    few = [point for point in many if point.device == "Ada-0" and point.model == "8B"]
    assert fit_line(many, parent).fraction == pytest.approx(0.5, rel=0.03)
    assert 0.53 < fit_line(few, parent).fraction < 0.8


@pytest.fixture(scope="module")
def two_families() -> list[Point]:
    return [
        *synthetic(fraction=0.8, overhead_s=0.001, family="Ada", devices=6, noise=0.08, seed=3),
        *synthetic(fraction=0.5, overhead_s=0.003, family="Ampere", devices=6, noise=0.08, seed=4),
        *synthetic(
            fraction=0.6, overhead_s=0.003, family="RDNA4", devices=1, noise=0.08, seed=5, backend="rocm"
        ),
    ]


def test_families_are_told_apart_under_noise(two_families: list[Point]) -> None:
    rows = fit_efficiencies(two_families, today="2026-11-22")

    def of(backend: str, family: str) -> Efficiency:
        return choose_efficiency(rows, phase="decode", model_class="dense", backend=backend, family=family)

    # 24 tests with 8 % noise: the mean is known to 8 % / √24 = 1.6 %; 5 % is three times that.
    assert of("cuda", "Ada").fraction == pytest.approx(0.8, rel=0.05)
    assert of("cuda", "Ampere").fraction == pytest.approx(0.5, rel=0.05)
    assert of("cuda", "Hopper").family == "*"
    assert (of("cuda", "Ada").n_devices, of("cuda", "Ada").n_measurements) == (6, 24)
    assert of("rocm", "RDNA4").fitted_on == "RDNA4-0"
    assert of("cuda", "Ada").fitted_on == "6 devices"

    def width(row: Efficiency) -> float:
        return math.log(row.high_ratio / row.low_ratio)

    # 8 % log-normal noise spans exp(±1.28 · 0.08) between the 10th and 90th percentile: a width of 0.205.
    assert 0.15 < width(of("cuda", "Ada")) < 0.5
    assert width(of("rocm", "RDNA4")) > width(of("cuda", "Ada"))  # one device
    assert width(of("cuda", "*")) > width(of("cuda", "Ada"))  # a family never seen


def test_the_score_counts_what_was_left_out(two_families: list[Point]) -> None:
    cuda = [point for point in two_families if point.backend == "cuda"]
    (score,) = scores(cuda, "device")
    assert (score.n_devices, score.n_groups) == (12, 48)
    # The median of |N(0, 8 %)| is 0.674 · 8 % = 5.4 %; the lines add little.
    assert 0.03 < score.median_error < 0.08
    assert 0.70 < score.coverage < 0.95


def test_a_lone_device_gets_the_assumed_factor_and_a_wider_one_for_few_groups() -> None:
    points = synthetic(fraction=0.8, overhead_s=0.001, family="Ada", devices=1, noise=0, seed=0)[:1]
    for row in fit_efficiencies(points, today="2026-11-22"):
        # A factor of two, widened by √(1 + 1/1) in the logarithm: 2 ** 1.414 = 2.665.
        assert row.high_ratio == pytest.approx(2.665, rel=0.01)
        assert row.low_ratio == pytest.approx(1 / 2.665, rel=0.01)


def test_conformal_quantile_by_hand() -> None:
    nine = [(float(n), 1.0) for n in range(1, 10)]
    # 9 values and 1 unseen: 0.8 of 10 is reached by the 8th; 0.95 of 10 is not reached at all.
    assert conformal_quantile(nine, 0.8, 1.0) == 8.0
    assert conformal_quantile(nine, 0.95, 1.0) == 9.0
    # With weight 6 on the first value, 6 of 14 + 1 lie at 1: half of 15 is reached at 3 (6 + 1 + 1 = 8).
    assert conformal_quantile([(1.0, 6.0), *nine[1:]], 0.5, 1.0) == 3.0


def test_the_command_writes_what_the_planner_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [
        {"hardware": hardware, "device": hardware, "tok_s": tok_s}
        for hardware, tok_s in (("RTX 4090", "180"), ("RTX 4080 SUPER", "140"), ("RTX 4090 Ti", "170"))
    ]
    truth = tmp_path / "truth.csv"
    with truth.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(MEASURED))
        writer.writeheader()
        writer.writerows({**MEASURED, **change} for change in changes)
    out = tmp_path / "out.csv"
    main([str(truth), "--out", str(out), "--date", "2026-01-31"])
    with out.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == [
        "decode-dense-any-any", "decode-dense-cuda-any", "decode-dense-cuda-ada",
    ]  # fmt: skip
    assert all(row["source"] for row in rows)
    assert [row.date for row in efficiencies_from_rows(rows)] == ["2026-01-31"] * 3
    printed = capsys.readouterr().out
    assert "| the device has no profile | 1 |" in printed
    assert "RTX 4090 Ti (1)" in printed


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(
        ProfileError, match=r"found no column active_params_b, backend, .*expected llama-bench"
    ):
        main([str(truth), "--out", str(tmp_path / "out.csv")])


# --- what is packaged


@pytest.fixture(scope="module")
def packaged() -> tuple[Efficiency, ...]:
    return efficiencies_from_rows(calibration_rows("llama_cpp"))


def test_every_packaged_row_belongs_to_a_known_family(packaged: tuple[Efficiency, ...]) -> None:
    families = {row["architecture"] for row in accelerator_rows()} | {"*"}
    assert {row.family for row in packaged} <= families
    assert all(row["source"] for row in calibration_rows("llama_cpp"))
    keys = [(row.phase, row.model_class, row.backend, row.family) for row in packaged]
    assert len(keys) == len(set(keys))


def test_any_gpu_gets_an_answer(packaged: tuple[Efficiency, ...]) -> None:
    for phase, model_class in itertools.product(get_args(Phase), get_args(ModelClass)):
        for backend in ("cuda", "rocm", "vulkan", "metal", "sycl"):
            chosen = choose_efficiency(
                packaged, phase=phase, model_class=model_class, backend=backend, family="of tomorrow"
            )
            assert chosen.family == "*"


def test_a_row_of_many_devices_is_surer_than_one_of_a_single_test(packaged: tuple[Efficiency, ...]) -> None:
    def width(row: Efficiency) -> float:
        return math.log(row.high_ratio / row.low_ratio)

    decode = [row for row in packaged if row.phase == "decode" and row.family != "*"]
    many = [width(row) for row in decode if row.n_devices >= 3]
    single = [width(row) for row in decode if row.n_measurements == 1]
    assert sum(many) / len(many) < sum(single) / len(single)


def test_records_survive_json(packaged: tuple[Efficiency, ...]) -> None:
    cells = [json.loads(json.dumps(as_cells(row))) for row in packaged]
    assert efficiencies_from_rows(cells) == packaged
