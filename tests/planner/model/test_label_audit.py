"""A file's label against its own tensors: honest files, custom mixes and wrong names."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from planner.model.ggml_types import type_by_name
from planner.model.label_audit import Verdict, audit_label, label_in_file_name
from planner.model.network import Network
from planner.model.presets import Rules, preset_storage
from planner.model.storage import Storage, StoredWeight
from tests.planner.model.gguf_size_rows import Model
from tests.planner.model.test_gguf_sizes import network_of

LLAMA = network_of(Model("llama-3.1-8b-instruct"))
FUSED = network_of(Model("microsoft__Phi-3-medium-128k-instruct"))


def retyped(weight: StoredWeight, name: str) -> StoredWeight:
    kind = type_by_name(name)
    return replace(
        weight, type_name=name, n_bytes=weight.n_elements // kind.block_elements * kind.block_bytes
    )


def file_with(
    network: Network, label: str, types: Mapping[str, str], *, preset: str | None = None
) -> Storage:
    """A file of a preset's mix, with all matrices of some roles in other types, under a label."""
    mixed = preset_storage(network, preset or label)
    weights = tuple(
        retyped(w, types[w.role]) if w.role in types and len(w.shape) > 1 else w for w in mixed.weights
    )
    return Storage(label=label, weights=weights, predicted=False)


@pytest.mark.parametrize("preset", ["Q4_K_M", "Q8_0", "IQ2_M", "F16", "Q2_K"])
def test_the_quantizers_own_files_are_what_they_say(preset: str) -> None:
    audit = audit_label(file_with(LLAMA, preset, {}), LLAMA)
    assert (audit.verdict, audit.variant, audit.n_differing, audit.size_ratio) == (
        Verdict.AS_WRITTEN,
        None,
        0,
        1.0,
    )
    assert audit.summary == f"{preset} as llama.cpp's quantizer writes it"


def test_an_importance_matrix_shows_in_the_mix() -> None:
    # With a matrix, IQ4_XS keeps the first eighth of ffn_down in its own type; without, they are Q5_K.
    with_matrix = preset_storage(LLAMA, "IQ4_XS", importance_matrix=True)
    audit = audit_label(replace_label(with_matrix), LLAMA, metadata={"quantize.imatrix.entries_count": 224})
    assert audit.verdict is Verdict.AS_WRITTEN
    assert audit.variant == "with an importance matrix"
    assert audit.has_matrix


def replace_label(storage: Storage) -> Storage:
    return Storage(label=storage.label, weights=storage.weights, predicted=False)


def test_older_rules_for_fused_queries_are_known() -> None:
    old = preset_storage(FUSED, "Q4_K_M", rules=Rules.BEFORE_2026)
    audit = audit_label(replace_label(old), FUSED)
    assert audit.verdict is Verdict.AS_WRITTEN
    assert audit.variant == "with the rules of before March 2026"


def test_tables_in_other_types_are_an_option_of_the_quantizer() -> None:
    # Sold as Q5_K_L: llama-quantize --token-embedding-type q8_0 --output-tensor-type q8_0.
    audit = audit_label(file_with(LLAMA, "Q5_K_M", {"token_embd": "Q8_0", "output": "Q8_0"}), LLAMA)
    assert audit.verdict is Verdict.AS_WRITTEN
    assert audit.variant == "with token_embd in Q8_0 and output in Q8_0"


def test_pure_files_are_told_so() -> None:
    pure = Storage(
        label="Q4_K_M",
        weights=tuple(
            retyped(w, "Q4_K") if len(w.shape) > 1 else w for w in preset_storage(LLAMA, "Q4_K_M").weights
        ),
        predicted=False,
    )
    audit = audit_label(pure, LLAMA)
    assert (audit.verdict, audit.variant) == (Verdict.AS_WRITTEN, "with --pure")


def test_a_custom_mix_names_what_differs_and_how_much_larger_it_is() -> None:
    audit = audit_label(
        file_with(LLAMA, "Q4_K_M", {"attn_v": "Q8_0"}), LLAMA, metadata={"general.quantized_by": "Somebody"}
    )
    assert audit.verdict is Verdict.CUSTOM
    # 32 value matrices of 4096 × 1024: 16 were Q6_K, 16 Q4_K.
    assert {(d.role, d.expected, d.found, d.n_tensors) for d in audit.differences} == {
        ("attn_v", "Q6_K", "Q8_0", 16),
        ("attn_v", "Q4_K", "Q8_0", 16),
    }
    more_bits = 16 * 4096 * 1024 * ((8.5 - 6.5625) + (8.5 - 4.5))
    preset = preset_storage(LLAMA, "Q4_K_M").total_bytes
    assert audit.size_ratio == pytest.approx(1 + more_bits / 8 / preset)
    assert audit.n_differing == 32
    assert audit.summary.startswith("custom mix: 32 of ")
    assert audit.summary.endswith("larger than the preset; made by 'Somebody'")


def test_a_wrong_name_is_told_so_with_what_fits_better() -> None:
    audit = audit_label(file_with(LLAMA, "Q4_K_M", {}, preset="Q3_K_M"), LLAMA)
    assert audit.verdict is Verdict.MISLABELLED
    assert audit.nearest_preset == "Q3_K_M"
    assert audit.summary.startswith("named Q4_K_M, holds mostly Q3_K, ")
    assert "smaller" in audit.summary


def test_a_file_name_that_says_something_else_is_shown() -> None:
    storage = file_with(LLAMA, "Q4_K_M", {"ffn_up": "Q6_K", "ffn_gate": "Q5_K"})
    audit = audit_label(storage, LLAMA, file_name="Llama-3.1-8B-UD-Q4_K_XL.gguf")
    assert audit.file_name_label == "UD-Q4_K_XL"
    assert audit.made_by == "Unsloth (UD in the file name)"
    assert audit.verdict is Verdict.CUSTOM


def test_labels_that_are_no_presets_are_not_compared() -> None:
    storage = Storage(label="file type 999", weights=preset_storage(LLAMA, "Q6_K").weights, predicted=False)
    audit = audit_label(storage, LLAMA)
    assert audit.verdict is Verdict.UNKNOWN_LABEL
    assert audit.nearest_preset == "Q6_K"
    # A name in the file's name stands in for a missing file type.
    assert audit_label(storage, LLAMA, file_name="model-Q6_K.gguf").verdict is Verdict.AS_WRITTEN


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Llama-3.1-8B-Instruct-Q4_K_M.gguf", "Q4_K_M"),
        ("llama-2-7b-chat.q5_k_s.gguf", "Q5_K_S"),
        ("Qwen3-30B-A3B-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4_MOE"),
        ("model-IQ3_XXS-00001-of-00002.gguf", "IQ3_XXS"),
        ("Qwen3-4B.gguf", None),
        ("Q4_K_M/model-bf16.gguf", "BF16"),
    ],
)
def test_labels_in_file_names(name: str, label: str | None) -> None:
    assert label_in_file_name(name) == label


def test_hostile_names_stay_short() -> None:
    audit = audit_label(
        file_with(LLAMA, "Q4_K_M", {"attn_v": "Q8_0"}),
        LLAMA,
        metadata={"general.quantized_by": "x\n\x1b" * 500},
    )
    assert "\n" not in audit.summary
    assert "\x1b" not in audit.summary
    assert len(audit.summary) < 600
