"""llama-bench's own output in every form and of several ages: the same results give the same rows."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from planner.errors import MalformedError, MissingFactError
from planner.readers.measurement_table import MeasurementTable
from planner.readers.measurements.given import Given
from planner.readers.measurements.llama_bench_fields import label_parts
from planner.readers.speed_rows.bench_row import rows_from
from planner.readers.speed_rows.models import UnplacedError
from planner.readers.speed_rows.place import place_row
from tests.planner.readers.measurements.sampled import SAMPLES, parsed, sample

RESULT: Mapping[str, Any] = json.loads((SAMPLES / "llama_bench.json").read_text(encoding="utf-8"))[1]
OLD_FLAGS = {"cuda": False, "vulkan": False, "kompute": False, "metal": False, "sycl": False, "gpu_blas": False,
             "blas": False}  # fmt: skip


def one(**changes: Any) -> Mapping[str, str]:
    (row,) = parsed(json.dumps([{**RESULT, **changes}])).rows
    return row


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in RESULT.items() if name not in names}


def test_json_says_everything_that_a_row_needs() -> None:
    prompt, generation = sample("llama_bench.json").rows
    assert prompt["device"] == "NVIDIA GeForce RTX 4080"
    assert (prompt["arch"], prompt["quant"]) == ("qwen2", "Q4_K - Medium")
    assert float(prompt["file_size_gib"]) == pytest.approx(4677120000 / 2**30)
    assert float(prompt["params_b"]) == pytest.approx(7.615616512)
    assert (prompt["test"], prompt["tok_s"], prompt["build"]) == ("pp512", "7100.002165", "8cf427ff (5163)")
    assert (generation["test"], generation["n_gen"]) == ("tg128", "128")
    # -1 leaves layers and attention to the engine, which takes all that fit; which kernel it took is not said.
    assert (prompt["ngl"], prompt["fa"]) == ("all", "")


def test_every_form_of_the_same_run_gives_the_same_rows() -> None:
    def facts(table: MeasurementTable) -> list[dict[str, str]]:
        return [{k: v for k, v in row.items() if k not in ("origin", "tok_s")} for row in table.rows]

    assert facts(sample("llama_bench.jsonl")) == facts(sample("llama_bench.json"))
    # The CSV is of another run of the same command.
    assert facts(sample("llama_bench.csv")) == facts(sample("llama_bench.json"))
    assert [row["tok_s"] for row in sample("llama_bench.csv").rows] == ["7285.676949", "119.915244"]


def test_lines_of_the_engine_around_the_results_are_passed_over() -> None:
    # vulkan builds print their devices even where JSON was asked for (ggml-org/llama.cpp#15554)
    noise = "ggml_vulkan: Found 1 Vulkan devices:\nggml_vulkan: 0 = AMD Radeon RX 580 Series (RADV POLARIS10) (radv) | uma: 0\n"
    for name in ("llama_bench.json", "llama_bench.jsonl", "llama_bench.csv"):
        text = (SAMPLES / name).read_text(encoding="utf-8")
        assert parsed(
            f"{noise}{text}\n[1]    13557 segmentation fault\n" if "csv" not in name else noise + text
        ).rows


def test_placed_rows_are_cases_of_the_speed_model() -> None:
    classes = [place_row(row).speed_class for row in rows_from(sample("llama_bench.json").rows, "sample")]
    assert classes == ["dense_prefill", "dense_decode"]


def test_markdown_takes_device_and_build_from_the_lines_around_it() -> None:
    (row,) = sample("llama_bench_cuda.md").rows
    assert row["device"] == "NVIDIA RTX PRO 6000 Blackwell Workstation Edition"
    assert (row["build"], row["fa"], row["ngl"]) == ("233d773d0 (6413)", "1", "99")
    assert float(row["tok_s"]) == 15225.27
    assert float(row["file_size_gib"]) == pytest.approx(3.56)


def test_markdown_alone_asks_for_the_device() -> None:
    with pytest.raises(MissingFactError, match="which device ran it; add --device"):
        sample("llama_bench_2023.md")
    prompt, generation = sample("llama_bench_2023.md", Given(device="RTX 3090 Ti")).rows
    assert (prompt["arch"], prompt["quant"], prompt["n_prompt"]) == ("llama", "Q4_0", "512")
    assert (generation["ngl"], generation["n_gen"]) == ("20", "128")


@pytest.mark.parametrize(
    ("line", "device"),
    [
        ("  Device 0: AMD Radeon RX 7900 XTX, gfx1100 (0x1100), VMM: no, Wave Size: 32", "AMD Radeon RX 7900 XTX"),
        ("ggml_vulkan: 0 = AMD Radeon RX 580 Series (RADV POLARIS10) (radv) | uma: 0 | fp16: 0", "AMD Radeon RX 580 Series"),
        ("ggml_vulkan: 0 = NVIDIA GeForce RTX 3070 | uma: 0 | fp16: 1", "NVIDIA GeForce RTX 3070"),
        ("ggml_metal_device_init: GPU name:   Apple M2 Max", "Apple M2 Max"),
    ],
)  # fmt: skip
def test_each_backend_names_its_device_in_its_own_way(line: str, device: str) -> None:
    table = (SAMPLES / "llama_bench_2023.md").read_text(encoding="utf-8")
    assert {row["device"] for row in parsed(f"{line}\n{table}").rows} == {device}


def test_tables_of_two_runs_in_one_paste_keep_their_own_devices() -> None:
    first = (SAMPLES / "llama_bench_cuda.md").read_text(encoding="utf-8")
    second = first.replace("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "NVIDIA GeForce RTX 5090")
    rows = parsed(first + second.replace("(6413)", "(6500)")).rows
    assert [row["device"] for row in rows] == [
        "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
        "NVIDIA GeForce RTX 5090",
    ]
    assert [row["build"] for row in rows] == ["233d773d0 (6413)", "233d773d0 (6500)"]


def test_older_builds_have_a_flag_for_each_backend() -> None:
    old = {**without("backends", "n_depth", "type_k", "type_v"), **OLD_FLAGS, "cuda": True, "f16_kv": False}
    (row,) = parsed(json.dumps([old])).rows
    assert (row["backend"], row["type_k"], row["n_depth"]) == ("CUDA", "f32", "0")
    (row,) = parsed(json.dumps([{**old, "cuda": False, "gpu_info": ""}])).rows
    assert (row["backend"], row["device"]) == ("CPU", "AMD Ryzen 7 7800X3D 8-Core Processor")


def test_the_backend_is_what_multiplies() -> None:
    assert one(backends="MTL,BLAS")["backend"] == "MTL"
    assert one(backends="BLAS,CUDA")["backend"] == "CUDA"
    assert one(backends="BLAS", gpu_info="")["backend"] == "CPU"


def test_several_devices_are_counted() -> None:
    two = "NVIDIA GeForce RTX 3090, NVIDIA GeForce RTX 3090"
    assert (one(gpu_info=two)["device"], one(gpu_info=two)["n_devices"]) == ("NVIDIA GeForce RTX 3090", "2")
    assert one(gpu_info=two.replace(", ", "/"))["n_devices"] == "2"  # until 2024
    assert one(gpu_info=two, devices="CUDA1")["n_devices"] == "1"
    assert one(gpu_info=two, split_mode="none")["n_devices"] == "1"
    mixed = one(gpu_info="NVIDIA GeForce RTX 5090, NVIDIA GeForce RTX 4090")
    assert mixed["device"] == "1x NVIDIA GeForce RTX 5090 + 1x NVIDIA GeForce RTX 4090"


def test_experts_in_main_memory_are_options_of_the_row() -> None:
    row = one(n_cpu_moe=2)
    assert row["offload"] == r"-ot blk\.(0|1)\.ffn_(up|down|gate)_exps=CPU"
    assert len(one(n_cpu_moe=10**12)["offload"]) < 10_000  # as many as any network has
    assert one(tensor_buft_overrides="exps=CPU;none")["offload"] == "-ot exps=CPU"
    mixture = {
        "model_type": "qwen3moe 30B.A3B Q4_K - Medium", "model_size": 17_700_000_000, "model_n_params": 30_532_122_624,
    }  # fmt: skip
    (placed,) = (place_row(r) for r in rows_from([one(**mixture, n_cpu_moe=10)], "sample"))
    assert placed.speed_class == "offload_decode"
    assert sum(home < 0 for home in placed.case.layout.experts) == 10


def test_the_fork_says_what_it_is_and_its_tests_have_a_prompt_before_them() -> None:
    row = one(fused_moe=True, mla_attn=3, test="tg128@pp512", n_prompt=512, n_gen=128)
    assert row["engine"] == "ik_llama.cpp"
    assert (row["n_prompt"], row["n_gen"], row["n_depth"]) == ("0", "128", "512")


def test_prompt_and_generation_in_one_figure_are_left_out_with_the_reason() -> None:
    (row,) = rows_from([one(n_prompt=512, n_gen=128)], "sample")
    assert row.test == "pp512+tg128"
    with pytest.raises(UnplacedError, match="prompt and generation in one figure"):
        place_row(row)


@pytest.mark.parametrize(
    ("label", "parts"),
    [
        ("qwen3moe 30B.A3B Q4_K - Medium", ("qwen3moe", "Q4_K - Medium")),
        ("LLaMA 7B mostly Q4_0", ("llama", "Q4_0")),
        ("llama 8B all F32", ("llama", "F32")),
        ("gpt-oss 20B MXFP4 MoE", ("gpt-oss", "MXFP4 MoE")),
        ("llama", ("llama", "")),
        ("", ("", "")),
    ],
)  # fmt: skip
def test_labels(label: str, parts: tuple[str, str]) -> None:
    assert label_parts(label) == parts


@pytest.mark.parametrize("rate", [0, -3.5, "nan", float("inf"), None, True, "fast"])
def test_a_rate_that_is_none_is_refused_with_its_place(rate: object) -> None:
    with pytest.raises(
        MalformedError, match=r"'pasted.txt', result 0: avg_ts is .*expected a positive number"
    ):
        one(avg_ts=rate)


def test_a_file_that_was_cut_off_is_refused() -> None:
    text = (SAMPLES / "llama_bench.json").read_text(encoding="utf-8")
    with pytest.raises(MalformedError, match=r"not whole JSON: .* line .*was the benchmark stopped"):
        parsed(text[: len(text) * 2 // 3])


def test_a_person_may_say_what_the_file_leaves_out() -> None:
    given = Given(
        device="2x RTX 4090", model="qwen2.5-7b-instruct", quantization="Q4_K_M", engine="ik_llama.cpp"
    )
    (row, _) = sample("llama_bench.json", given).rows
    assert (row["device"], row["n_devices"]) == ("RTX 4090", "2")
    # A model that is given goes by its name, not by architecture and size.
    assert (row["model"], row["arch"], row["engine"]) == ("qwen2.5-7b-instruct", "", "ik_llama.cpp")


def test_batched_results_are_generation_for_all_sequences() -> None:
    given = Given(device="RTX 4080", backend="CUDA", model="qwen2.5-7b-instruct", quantization="Q4_K_M")
    rows = rows_from(sample("llama_batched_bench.md", given).rows, "sample")
    assert [row.test for row in rows] == ["pp512 × 1", "tg128 @ d512 × 1", "pp512 × 4", "tg128 @ d512 × 4"]
    placed = place_row(rows[3])
    # 390.84 tokens per second of 4 sequences: a step makes four, so it takes 4 / 390.84 s.
    assert placed.measured_s == pytest.approx(4 / 390.84)
    assert place_row(rows[1]).measured_s == pytest.approx(1 / 120.75)
    with pytest.raises(UnplacedError, match="several sequences at once"):
        place_row(rows[2])
    lines = rows_from(sample("llama_batched_bench.jsonl", given).rows, "sample")
    assert [row.test for row in lines] == [row.test for row in rows]


def test_batched_results_ask_for_what_they_never_say() -> None:
    with pytest.raises(MissingFactError, match="which backend ran it; add --backend"):
        sample("llama_batched_bench.jsonl")
    with pytest.raises(MissingFactError, match="which model ran; add --model"):
        sample("llama_batched_bench.jsonl", Given(backend="CUDA"))
