"""Rows of published benchmarks: which model, devices and layout each means, and why some mean none."""

from collections.abc import Mapping

import pytest

from hardware.units import GIB
from planner.errors import MalformedError
from planner.readers.speed_rows.bench_row import BenchRow, rows_from
from planner.readers.speed_rows.models import UnplacedError, catalogue_networks, find_model
from planner.readers.speed_rows.place import PlacedRow, place_row
from planner.readers.speed_rows.storage import preset_of
from planner.speed.operators import HOST

LLAMA = {
    "device": "RTX 4090", "hardware": "NVIDIA GeForce RTX 4090", "n_devices": "1", "backend": "CUDA",
    "engine": "llama.cpp", "model": "llama 8B Q4_K - Medium", "arch": "llama", "quant": "Q4_K - Medium",
    "file_size_gib": "4.58", "params_b": "8.03", "ngl": "99", "test": "tg128", "n_prompt": "0", "n_gen": "128",
    "tok_s": "150.0",
}  # fmt: skip
QWEN = LLAMA | {
    "model": "Qwen3.6-35B-A3B", "arch": "", "quant": "UD-Q4_K_XL", "file_size_gib": "20.81", "params_b": "34.7",
    "device": "NVIDIA GeForce RTX 4070 Laptop 8GB + 64GB RAM",
    "hardware": "NVIDIA GeForce RTX 4070 Laptop 8GB + 64GB RAM",
}  # fmt: skip


def row(base: Mapping[str, str] = LLAMA, /, **changes: str) -> BenchRow:
    (found,) = rows_from([{**base, **changes}], "bench.csv")
    return found


def place(base: Mapping[str, str] = LLAMA, /, **changes: str) -> PlacedRow:
    return place_row(row(base, **changes))


def test_a_row_becomes_a_case() -> None:
    placed = place()
    assert placed.speed_class == "dense_decode"
    assert catalogue_networks()[placed.model].parameters.text == pytest.approx(8.03e9, rel=1e-3)
    assert [gpu.key for gpu in placed.case.layout.gpus] == ["rtx-4090"]
    assert placed.measured_s == pytest.approx(1 / 150)
    read = sum(time.ideal_s * 1008e9 for time in placed.case.operators if time.operator == "read")
    # All of the file but the embedding table of 128,256 · 4,096 at Q4_K's 4.5 bits, stretched to 4.58 GiB.
    assert read == pytest.approx(4.58 * GIB - 128_256 * 4096 * 4.5 / 8, rel=0.01)


def test_a_prompt_is_counted_whole() -> None:
    placed = place(test="pp512", n_prompt="512", n_gen="0", tok_s="5120")
    assert placed.speed_class == "dense_prefill"
    assert placed.measured_s == pytest.approx(0.1)
    assert placed.n_tokens == 512


def test_a_prompt_of_one_token_is_a_step_and_in_its_cell() -> None:
    one = place(test="pp1", n_prompt="1", n_gen="0", tok_s="150")
    assert (one.speed_class, one.case.phase, one.cell) == ("dense_prefill", "decode", place().cell)
    assert {time.operator for time in one.case.operators} == {
        time.operator for time in place().case.operators
    }


def test_a_micro_batch_is_no_larger_than_the_batch() -> None:
    def launches(notes: str) -> float:
        placed = place(test="pp1024", n_prompt="1024", n_gen="0", n_ubatch="512", notes=notes)
        return float(sum(t.ideal_s for t in placed.case.operators if t.operator == "batch_launch"))

    assert launches("env={'b': '-b 256'}") == pytest.approx(2 * launches("env={'b': ''}"))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"model": "qwen3moe 30B.A3B Q8_0", "arch": "qwen3moe", "params_b": "30.53"}, "qwen3-30b-a3b"),
        ({"model": "gpt-oss 20B MXFP4 MoE", "arch": "gpt-oss", "params_b": "20.91"}, "gpt-oss-20b"),
        # A fine-tune of the same size is the same network.
        ({"model": "llama 70B Q4_0 [x]", "arch": "llama", "params_b": "70.554"}, "llama-3-70b-instruct"),
        ({"model": "THUDM_GLM-Z1-32B-0414-IQ4_XS.gguf", "arch": "", "params_b": "32.57"}, "glm-z1-32b-0414"),
        ({"model": "LLaMA 3 8B", "arch": "", "params_b": "8.03"}, "llama-3-8b-instruct"),
    ],
)
def test_models_are_found_by_size_or_by_name(changes: dict[str, str], name: str) -> None:
    networks = catalogue_networks()
    assert networks[find_model(row(**changes))].parameters.text == networks[name].parameters.text


@pytest.mark.parametrize(
    ("label", "preset", "fork"),
    [
        ("Q4_K - Medium", "Q4_K_M", None),
        ("UD-Q6_K_XL", "Q6_K", None),
        ("IQ4_XS-3.93bpw", "IQ4_XS", None),
        ("IQ4_K_R4 - 4.5 bpw", None, "ik4"),
        ("IQ3_KT", None, "ik3t"),
        ("APEX-I-Quality", None, None),
    ],
)
def test_labels_name_presets(label: str, preset: str | None, fork: str | None) -> None:
    network = catalogue_networks()["llama-3-8b-instruct"]
    assert preset_of(label, network) == (preset, fork)


def test_overflowing_layers_keep_their_experts_in_ram() -> None:
    # 41 of 41 layers on the GPU, 40 of them overflowing, as the engine's own fitting prints it.
    placed = place(QWEN, ngl="41", offload="40")
    layout = placed.case.layout
    assert placed.speed_class == "offload_decode"
    assert set(layout.layers) == {0}
    assert set(layout.experts) == {HOST}
    # 15 layers on the GPU, 14 overflowing: the first 26 of 40 lie in RAM whole.
    fewer = place(QWEN, ngl="15", offload="14").case.layout
    assert fewer.layers.count(HOST) == 26
    assert fewer.experts.count(HOST) == 40


def test_overrides_send_experts_to_ram() -> None:
    command = r"-ot blk\.1[2-9]\.ffn.*=CPU \ -ot blk\.[2-3][0-9]\.ffn.*=CPU"
    layout = place(QWEN, ngl="99", offload=r"-ot blk\.1[2-9]\.ffn.*=CPU", notes=command).case.layout
    assert [i for i, home in enumerate(layout.experts) if home == HOST] == list(range(12, 40))
    assert HOST not in layout.layers
    # Only a GPU's patterns are left of this one: what they do not name is in RAM.
    cut = place(QWEN, ngl="99", offload=r'-ot "blk\.(0|1|2)\.ffn.*=CUDA0"').case.layout
    assert [i for i, home in enumerate(cut.experts) if home != HOST] == [0, 1, 2]


def test_layers_spread_over_several_gpus() -> None:
    layout = place(n_devices="4").case.layout
    assert [layout.layers.count(i) for i in range(4)] == [8, 8, 8, 8]
    assert layout.n_crossings == 3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"device": "AMD Radeon Graphics", "hardware": "AMD Radeon Graphics"}, "no profile has exactly"),
        ({"model": "nobody 5B", "arch": "", "params_b": "5"}, "no model of that name"),
        ({"params_b": "9.99"}, "no llama of 9.99 B"),
        ({"n_prompt": "512"}, "prompt and generation"),
        ({"file_size_gib": "40", "ngl": "", "params_b": "70.55"}, "larger than the device"),
    ],
)
def test_a_row_without_a_place_says_why(changes: dict[str, str], reason: str) -> None:
    with pytest.raises(UnplacedError, match=reason):
        place(**changes)


def test_a_broken_number_names_its_line() -> None:
    with pytest.raises(MalformedError, match="line 2"):
        row(tok_s="fast")


def test_a_name_of_like_cards_is_placed_and_of_unlike_ones_not() -> None:
    # Both RTX 4060 Ti have the same bandwidth; an A100 may have 40 GB at 1,555 or 80 GB at 2,039 GB/s.
    assert place(device="RTX 4060 Ti", hardware="RTX 4060 Ti").case.layout.gpus[0].family == "Ada/gddr"
    with pytest.raises(UnplacedError):
        place(device="A100", hardware="A100")


def test_a_build_of_the_fork_is_told_by_where_it_was_posted() -> None:
    """Tables of the fork print the number of what it is compared with: b5688 of llama.cpp, beside pull request 533."""
    posted = place(
        engine="ik_llama.cpp",
        build="860a9e4ee (5688)",
        source="https://github.com/ikawrakow/ik_llama.cpp/pull/533",
    )
    assert posted.case.setting.build is not None
    assert 3750 <= posted.case.setting.build <= 3780
    assert place(engine="ik_llama.cpp", build="860a9e4ee (5688)").case.setting.build is None
    assert place(build="860a9e4ee (5688)").case.setting.build == 5688
