"""Types dealt out to tensors from how many there are of each, and from the file's size."""

from collections import Counter
from dataclasses import replace

import pytest

from planner.model.presets import preset_storage
from planner.model.type_mix import counts_of, mixed_storage, preset_mix, scaled
from planner.readers.open_model import open_model

QWEN = open_model("qwen3-30b-a3b").network
PRESET = preset_storage(QWEN, "Q8_0")
GIB = 2**30


def test_a_preset_with_its_own_counts_is_taken_as_it_is() -> None:
    assert preset_mix(PRESET, counts_of(PRESET), PRESET.total_bytes) is PRESET
    assert preset_mix(PRESET, counts_of(PRESET) | {"Q8_0": 1}, None) is None
    assert preset_mix(PRESET, counts_of(PRESET), PRESET.total_bytes * 1.01) is None


def test_interleaved_rows_are_the_same_preset() -> None:
    # The fork's offline repack leaves the token table alone: 1 tensor in Q8_0, all others in Q8_0_R8.
    counts = counts_of(PRESET)
    found = preset_mix(PRESET, {"F32": counts["F32"], "Q8_0": 1, "Q8_0_R8": counts["Q8_0"] - 1}, None)
    assert found is not None
    assert {w.type_name for w in found.weights if w.role == "token_embd"} == {"Q8_0"}
    assert found.total_bytes == PRESET.total_bytes


def test_counts_and_size_tell_which_role_has_which_type() -> None:
    """48 layers: 96 tensors are gate and up of the experts or others in pairs; the size settles which."""
    wanted = {"ffn_gate_exps": "Q4_K", "ffn_up_exps": "Q4_K", "ffn_down_exps": "Q6_K"}
    types = {w.role: wanted.get(w.role, w.type_name) for w in PRESET.weights}
    made = mixed_storage(PRESET, Counter(types[w.role] for w in PRESET.weights), None)
    size = 0
    for weight in PRESET.weights:
        bits = {"F32": 32.0, "Q8_0": 8.5, "Q4_K": 4.5, "Q6_K": 6.5625}[types[weight.role]]
        size += round(weight.n_elements * bits / 8)
    found = mixed_storage(PRESET, Counter(types[w.role] for w in PRESET.weights), size)
    assert found is not None
    assert made is not None
    assert {w.role: w.type_name for w in found.weights} == types
    assert found.total_bytes == size


@pytest.mark.parametrize("order", [("Q6_K", "Q8_0"), ("Q8_0", "Q6_K")])
def test_of_matrices_of_one_size_down_is_the_finer(order: tuple[str, str]) -> None:
    """Gate, up and down of the experts have as many elements, so counts and size leave all three open.

    48 of the large matrices in Q8_0, 96 in Q6_K: llama-quantize keeps ffn_down finer, and makes gate and up alike
    (ik_llama.cpp, discussion 357: "iq6_k 564, q8_0 96", and -rtr repacked one tensor a layer, all in ffn).
    """
    size = sum(
        w.n_elements * 6.5625 / 8 if w.role in ("ffn_gate_exps", "ffn_up_exps") else w.n_bytes
        for w in PRESET.weights
    )
    counts = counts_of(PRESET)
    wanted = {"F32": counts["F32"], "Q6_K": 96, "Q8_0": counts["Q8_0"] - 96}
    found = mixed_storage(PRESET, {name: wanted[name] for name in ("F32", *order)}, size)
    assert found is not None
    types = {w.role: w.type_name for w in found.weights}
    assert [types[f"ffn_{x}_exps"] for x in ("gate", "up", "down")] == ["Q6_K", "Q6_K", "Q8_0"]


def test_a_mix_within_a_role_keeps_counts_and_size() -> None:
    # 7 of 48 down matrices finer than the rest: no role has one type, so the coarsest go to the largest.
    counts = dict(counts_of(PRESET))
    counts |= {"Q8_0": counts["Q8_0"] - 144, "Q4_K": 137, "Q6_K": 7}
    file_bytes = 18.0 * GIB
    found = mixed_storage(PRESET, counts, file_bytes)
    assert found is not None
    assert {name: n for name, n in counts_of(found).items() if n} == counts
    assert found.total_bytes == pytest.approx(file_bytes, rel=1e-6)
    assert all(w.is_expert for w in found.weights if w.type_name in ("Q4_K", "Q6_K"))


def test_the_counts_of_another_network_are_refused() -> None:
    assert mixed_storage(PRESET, counts_of(PRESET) | {"Q8_0": 5}, None) is None


def test_scaling_leaves_what_lies_outside_the_layers() -> None:
    found = scaled(PRESET, PRESET.total_bytes * 0.9)
    assert found.total_bytes == pytest.approx(PRESET.total_bytes * 0.9, rel=1e-6)
    outer = [w for w in PRESET.weights if w.layer is None]
    assert [w for w in found.weights if w.layer is None] == outer
    assert scaled(replace(PRESET, weights=tuple(outer)), 5.0).weights == tuple(outer)
