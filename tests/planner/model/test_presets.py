"""Every preset against llama.cpp's own quantizer, and what the rules promise."""

import json
from collections import Counter
from pathlib import Path

import pytest

from planner.errors import MissingFactError
from planner.model.ggml_types import type_by_name
from planner.model.preset_rules import (
    BASE_TYPES,
    NEEDS_MATRIX,
    QuantizerFacts,
    Rules,
    TensorShape,
    more_bits,
    quantizer_types,
)
from planner.model.presets import ALIASES, preset_storage, quantizer_facts
from planner.model.storage import Storage
from planner.model.weight import Use
from planner.readers.config.network import network_from_config
from tests.planner.model.gguf_size_rows import Model
from tests.planner.model.test_gguf_sizes import network_of

# Types per preset as `llama_quant_compute_types` of llama.cpp (as vendored in llama-cpp-python 0.3.36) gives
# them for tables of these models' shapes; F32 left out, "refused" where it throws, "+matrix" where an
# importance matrix changes the result.
QUANTIZER = json.loads(Path(__file__).with_name("quantizer_types.json").read_text())
PRESETS = sorted(BASE_TYPES)


def type_counts(storage: Storage) -> str:
    counts = Counter(w.type_name for w in storage.weights if w.type_name not in ("F32", "I32"))
    return " ".join(f"{name}:{n}" for name, n in sorted(counts.items()))


@pytest.mark.parametrize("model", sorted(QUANTIZER))
def test_every_preset_is_mixed_as_the_quantizer_mixes_it(model: str) -> None:
    network = network_of(Model(model))
    expected = QUANTIZER[model]
    assert {name.removesuffix("+matrix") for name in expected} == set(BASE_TYPES)
    # Tensors that the quantizer leaves alone stay in 16 bits in a converted file; its oracle was given F32.
    kept = Counter(w.role for w in preset_storage(network, "Q8_0").weights if w.type_name == "BF16").total()
    for preset in PRESETS:
        for matrix in (False, True):
            if preset in NEEDS_MATRIX and not matrix:
                continue  # the quantizer stops there
            told = expected.get(f"{preset}+matrix", expected[preset]) if matrix else expected[preset]
            if told == "refused":
                with pytest.raises(MissingFactError, match="cannot make"):
                    preset_storage(network, preset, importance_matrix=matrix)
                continue
            counts = Counter({name: int(n) for name, _, n in (item.partition(":") for item in told.split())})
            if kept and preset != "F32":
                counts["BF16"] += kept
            shown = " ".join(f"{name}:{n}" for name, n in sorted(counts.items()))
            assert type_counts(preset_storage(network, preset, importance_matrix=matrix)) == shown, (
                preset,
                matrix,
            )


def test_sizes_are_blocks_times_block_bytes() -> None:
    # Llama-3.1-8B, Q8_0: 8,030,261,248 parameters, of which (2·32 + 1)·4096 norm elements in F32;
    # the rest in blocks of 32 weights and 34 bytes.
    storage = preset_storage(network_of(Model("llama-3.1-8b-instruct")), "Q8_0")
    norms = 65 * 4096
    assert storage.total_bytes == (8_030_261_248 - norms) // 32 * 34 + norms * 4


def test_published_bits_per_weight_of_llama_3_1_8b() -> None:
    # llama.cpp tools/quantize/README.md, measured with tensors and metadata of the file.
    published = {"IQ1_S": 2.0042, "IQ2_M": 2.9294, "IQ3_XXS": 3.2548, "Q2_K": 3.1593, "Q3_K_M": 3.9960,
                 "Q4_K_S": 4.6672, "Q4_K_M": 4.8944, "Q5_K_M": 5.7036, "Q6_K": 6.5633, "Q8_0": 8.5008}  # fmt: skip
    network = network_of(Model("llama-3.1-8b-instruct"))
    for preset, bits in published.items():
        assert preset_storage(network, preset).bits_per_weight == pytest.approx(bits, abs=0.0003), preset


def test_the_quantizers_aliases_are_taken() -> None:
    network = network_of(Model("qwen3-30b-a3b"))
    assert ALIASES == {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}  # QUANT_OPTIONS of quantize.cpp
    assert preset_storage(network, "Q4_K").total_bytes == preset_storage(network, "Q4_K_M").total_bytes


def test_fused_queries_follow_the_rules_of_their_time() -> None:
    # Phi-3: one attn_qkv a layer. Before March 2026 Q4_K_M gave it Q5_K throughout; since then it counts as a
    # value matrix and half of the layers get Q6_K.
    network = network_of(Model("microsoft__Phi-3-medium-128k-instruct"))

    def fused(rules: Rules) -> set[str]:
        weights = preset_storage(network, "Q4_K_M", rules=rules).weights
        return {weight.type_name for weight in weights if weight.role == "attn_qkv"}

    assert fused(Rules.BEFORE_2026) == {"Q5_K"}
    assert fused(Rules.CURRENT) == {"Q4_K", "Q6_K"}


def test_nvfp4_is_refused_with_what_makes_such_files() -> None:
    with pytest.raises(MissingFactError, match="converter writes them"):
        preset_storage(network_of(Model("llama-3.1-8b-instruct")), "NVFP4")


def test_unknown_presets_are_refused_by_name() -> None:
    with pytest.raises(MissingFactError, match="'Q9_K'"):
        preset_storage(network_of(Model("llama-3.1-8b-instruct")), "Q9_K")


def test_one_bit_rows_without_a_substitute_are_refused() -> None:
    # Qwen2.5-0.5B: rows of 896 = 7 · 128 fit Q1_0, but 4,864 does too; gpt-oss: 2,880 does not divide by 128.
    with pytest.raises(MissingFactError, match="2,880"):
        preset_storage(network_of(Model("gpt-oss-20b")), "Q1_0")


def test_extra_prediction_layers_are_left_out_unless_asked_for() -> None:
    network = network_of(Model("zai-org__GLM-4.5-Air"))
    plain = preset_storage(network, "Q4_K_M")
    extra = preset_storage(network, "Q4_K_M", extra_layers=True)
    added = [w for w in extra.weights if w.layer is not None and w.layer >= network.n_layers]
    assert sum(w.n_elements for w in added) == network.parameters.mtp
    assert {w.use for w in added} == {Use.UNUSED}
    assert plain.n_elements == network.parameters.text
    # One layer more moves the first eighth and the last eighth of the layers that get more bits.
    assert quantizer_facts(network, extra_layers=True).n_layers == network.n_layers + 1


def test_more_bits_go_to_the_ends_and_every_third_layer() -> None:
    # 32 layers: 0-3 and 28-31, and between them those where (i − 4) mod 3 is 2: 6, 9, …, 27.
    assert [i for i in range(32) if more_bits(i, 32)] == [*range(4), *range(6, 28, 3), *range(28, 32)]


def test_dense_hybrids_count_matrices_not_layers() -> None:
    # Without experts the quantizer counts the ffn_down it has seen. Of 16 layers only the odd ones have one:
    # the first eighth (16 // 8 = 2) is then the first two matrices, in layers 1 and 3.
    tensors = [TensorShape(layer=i, role="ffn_down", shape=(1024, 256)) for i in range(1, 16, 2)]
    facts = QuantizerFacts(
        architecture="nemotron_h", n_layers=16, grouped_queries=4, n_experts=0, is_70b=False
    )
    types = quantizer_types(tensors, "Q4_K_S", facts)
    assert types == ("Q5_K", "Q5_K", *("Q4_K",) * 6)
    with_experts = QuantizerFacts(
        architecture="nemotron_h", n_layers=16, grouped_queries=4, n_experts=16, is_70b=False
    )
    assert quantizer_types(tensors, "Q4_K_S", with_experts) == ("Q5_K", *("Q4_K",) * 7)


def test_hybrids_that_list_kv_heads_by_layer_start_without_any() -> None:
    # Nemotron-H's layer 0 is Mamba-2, whose entry of head_count_kv is 0: the quantizer sees no grouped queries.
    assert quantizer_facts(network_of(Model("nvidia__NVIDIA-Nemotron-Nano-9B-v2"))).grouped_queries == 0
    # Qwen3.5's metadata give one number for all layers.
    qwen = network_of(Model("Qwen__Qwen3.5-27B"))
    assert quantizer_facts(qwen).grouped_queries > 0


def test_a_preset_is_never_larger_than_its_wider_neighbour() -> None:
    network = network_of(Model("llama-3.1-8b-instruct"))
    ladder = ["IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L",
              "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K", "Q8_0", "F16", "F32"]  # fmt: skip
    sizes = [preset_storage(network, preset).total_bytes for preset in ladder]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_type_a_preset_names_exists(preset: str) -> None:
    assert type_by_name(BASE_TYPES[preset]).name == BASE_TYPES[preset]


def test_float_presets_keep_norms_in_32_bits() -> None:
    network = network_from_config(
        {"model_type": "llama", "hidden_size": 256, "num_hidden_layers": 1, "num_attention_heads": 4,
         "intermediate_size": 512, "vocab_size": 1000, "tie_word_embeddings": True}
    )  # fmt: skip
    kinds = {w.type_name for w in preset_storage(network, "BF16").weights}
    assert kinds == {"F32", "BF16"}
