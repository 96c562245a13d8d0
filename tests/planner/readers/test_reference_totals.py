"""Parameter totals of the reference implementation, for every architecture that Hugging Face transformers has.

`reference_totals.json` was recorded once from transformers 5.23: each configuration class with its defaults and
few layers, then with single fields changed or left out; the model built on the "meta" device; elements of all
parameters and stored buffers summed. "windowed" is how many layers its `layer_types` give a window. Left out of
the sums, because published files do not hold them: decay tables of MiniMax, constants of Apertus' activation,
hash constants of Qwen4-Exp, the router correction of Nemotron-H, Solar Open and LFM2-MoE, and the rows that
LongCat's reference code keeps for experts that compute nothing. A model without a head of its own in the
reference has the untied head added. So these tests need neither torch nor transformers.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from planner.model.network import Network
from planner.readers.config.architectures.reference_fields import ReferenceFields
from planner.readers.config.architectures.registry import BUILDERS
from planner.readers.config.fields import ConfigFields
from planner.readers.config.network import network_from_config

ROWS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("reference_totals.json").read_text())


def windowed_layers(network: Network) -> int:
    return sum(len(g.layers) for g in network.groups if g.mixer is not None and g.mixer.window_tokens)


def check(config: dict[str, Any], row: dict[str, Any]) -> None:
    network = network_from_config(config)
    assert network.parameters.text == row["total"]
    if "windowed" in row:
        assert windowed_layers(network) == row["windowed"]


@pytest.mark.parametrize("model_type", ROWS)
def test_total_is_the_reference_implementations(model_type: str) -> None:
    check(ROWS[model_type]["config"], ROWS[model_type])


@pytest.mark.parametrize("model_type", ROWS)
def test_changed_and_absent_fields_change_the_total_as_in_the_reference(model_type: str) -> None:
    row = ROWS[model_type]
    for variant in row["variants"]:
        config = {k: v for k, v in row["config"].items() if k not in variant.get("without", ())}
        check(config | variant.get("with", {}), variant)


def test_the_recording_covers_the_known_types() -> None:
    # A recording of nothing would pass every test above.
    assert len(ROWS) > 130
    assert set(ROWS) <= set(BUILDERS)
    assert sum(len(row["variants"]) for row in ROWS.values()) > 1000


# Models whose code comes with their weights, so that transformers has no reference. The totals are the hub's, and
# each is met to the element by the sum in its comment.
REMOTE_CODE: list[tuple[str, int, dict[str, Any]]] = [
    (
        "THUDM/chatglm3-6b",
        # Table and head 2·65,024·4,096; a layer: qkv 4,096·(4,096 + 2·256) with biases, output 4,096², gated MLP
        # 3·4,096·13,696, two norms; last norm.
        2 * 65_024 * 4096 + 28 * (4097 * 4608 + 4096**2 + 3 * 4096 * 13_696 + 2 * 4096) + 4096,
        {
            "model_type": "chatglm", "hidden_size": 4096, "ffn_hidden_size": 13696, "num_layers": 28,
            "num_attention_heads": 32, "kv_channels": 128, "multi_query_attention": True,
            "multi_query_group_num": 2, "padded_vocab_size": 65024, "add_qkv_bias": True,
            "add_bias_linear": False, "rmsnorm": True, "post_layer_norm": True, "seq_length": 8192,
        },
    ),
    (
        "Qwen/Qwen-7B",
        # intermediate_size counts gate and up together, so the MLP is 22,016 / 2 wide.
        2 * 151_936 * 4096 + 32 * (4097 * 3 * 4096 + 4096**2 + 3 * 4096 * 11_008 + 2 * 4096) + 4096,
        {
            "model_type": "qwen", "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32,
            "num_attention_heads": 32, "kv_channels": 128, "vocab_size": 151936, "no_bias": True,
            "tie_word_embeddings": False, "seq_length": 8192,
        },
    ),
    (
        "baichuan-inc/Baichuan2-7B-Base",
        2 * 125_696 * 4096 + 32 * (4 * 4096**2 + 3 * 4096 * 11_008 + 2 * 4096) + 4096,
        {
            "model_type": "baichuan", "hidden_size": 4096, "intermediate_size": 11008,
            "num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 125696,
            "tie_word_embeddings": False,
        },
    ),
    (
        "deepseek-ai/deepseek-moe-16b-base",
        # One dense layer of 10,944; 27 with 64 + 2 experts of 1,408 and a router of 64.
        2 * 102_400 * 2048 + 2048 + 28 * (4 * 2048**2 + 2 * 2048) + 3 * 2048 * 10_944
        + 27 * (66 * 3 * 2048 * 1408 + 64 * 2048),
        {
            "model_type": "deepseek", "hidden_size": 2048, "intermediate_size": 10944,
            "moe_intermediate_size": 1408, "n_routed_experts": 64, "n_shared_experts": 2,
            "num_experts_per_tok": 6, "first_k_dense_replace": 1, "moe_layer_freq": 1,
            "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 16,
            "vocab_size": 102400, "tie_word_embeddings": False,
        },
    ),
    (
        "databricks/dbrx-base",
        2 * 100_352 * 6144 + 6144
        + 40 * (6144 * (6144 + 2 * 1024) + 6144**2 + 16 * 6144 + 16 * 3 * 6144 * 10_752 + 2 * 6144),
        {
            "model_type": "dbrx", "d_model": 6144, "n_heads": 48, "n_layers": 40, "vocab_size": 100352,
            "max_seq_len": 32768, "tie_word_embeddings": False,
            "attn_config": {"clip_qkv": 8, "kv_n_heads": 8},
            "ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4},
        },
    ),
    (
        "mosaicml/mpt-7b",
        50_432 * 4096 + 4096 + 32 * (4 * 4096**2 + 2 * 4096 * 16_384 + 2 * 4096),
        {
            "model_type": "mpt", "d_model": 4096, "n_heads": 32, "n_layers": 32, "expansion_ratio": 4,
            "max_seq_len": 2048, "vocab_size": 50432, "no_bias": True, "learned_pos_emb": True,
            "attn_config": {"alibi": True, "alibi_bias_max": 8, "attn_type": "multihead_attention"},
        },
    ),
    (
        "GSAI-ML/LLaDA-8B-Base",
        2 * 126_464 * 4096 + 4096 + 32 * (4 * 4096**2 + 3 * 4096 * 12_288 + 2 * 4096),
        {
            "model_type": "llada", "d_model": 4096, "n_heads": 32, "n_kv_heads": 32, "n_layers": 32,
            "mlp_hidden_size": 12288, "vocab_size": 126464, "embedding_size": 126464,
            "include_bias": False, "include_qkv_bias": False, "weight_tying": False, "block_type": "llama",
        },
    ),
]  # fmt: skip
HUB_TOTALS = {
    "THUDM/chatglm3-6b": 6_243_584_000,
    "Qwen/Qwen-7B": 7_721_324_544,
    "baichuan-inc/Baichuan2-7B-Base": 7_505_973_248,
    "deepseek-ai/deepseek-moe-16b-base": 16_375_728_128,
    "databricks/dbrx-base": 131_596_523_520,
    "mosaicml/mpt-7b": 6_649_286_656,
    "GSAI-ML/LLaDA-8B-Base": 8_015_581_184,
}


@pytest.mark.parametrize(("model", "derived", "config"), REMOTE_CODE, ids=lambda value: str(value)[:40])
def test_models_with_code_of_their_own_are_counted(model: str, derived: int, config: dict[str, Any]) -> None:
    assert derived == HUB_TOTALS[model]
    assert network_from_config(config).parameters.total == derived


def test_openelm_layers_differ() -> None:
    # 1,079,891,456 is what Apple states for OpenELM-1.1B (arXiv:2404.14619, table of models).
    heads = [16] * 3 + [20] * 7 + [24] * 8 + [28] * 6 + [32] * 4
    multipliers = [0.5, 0.63, 0.76, 0.89, 1.02, 1.15, 1.28, 1.41, 1.54, 1.67, 1.8, 1.93, 2.06, 2.19, 2.31, 2.44,
                   2.57, 2.7, 2.83, 2.96, 3.09, 3.22, 3.35, 3.48, 3.61, 3.74, 3.87, 4.0]  # fmt: skip
    network = network_from_config(
        {
            "model_type": "openelm", "model_dim": 2048, "head_dim": 64, "num_transformer_layers": 28,
            "vocab_size": 32000, "ffn_dim_divisor": 256, "ffn_with_glu": True,
            "normalize_qk_projections": True, "share_input_output_layers": True,
            "num_query_heads": heads, "num_kv_heads": [h // 4 for h in heads], "ffn_multipliers": multipliers,
        }
    )  # fmt: skip
    assert network.parameters.total == 1_079_891_456


def test_grok_2_has_a_dense_mlp_beside_its_experts() -> None:
    # Attention 2·8,192² + 2·8,192·1,024; 8 experts of 3·8,192·16,384 and their router; the dense MLP
    # 3·8,192·32,768; four norms; 64 layers, table and head of 131,072, last norm: "270B".
    layer = 2 * 8192**2 + 2 * 8192 * 1024 + 8 * 3 * 8192 * 16_384 + 8 * 8192 + 3 * 8192 * 32_768 + 4 * 8192
    config = {
        "model_type": "git", "architectures": ["Grok1ForCausalLM"], "hidden_size": 8192,
        "intermediate_size": 32768, "moe_intermediate_size": 16384, "num_experts_per_tok": 2,
        "num_local_experts": 8, "residual_moe": True, "num_attention_heads": 64, "num_key_value_heads": 8,
        "num_hidden_layers": 64, "head_dim": 128, "vocab_size": 131072, "sliding_window_size": -1,
        "global_attn_every_n": 1,
    }  # fmt: skip
    assert network_from_config(config).parameters.total == 64 * layer + 2 * 131_072 * 8192 + 8192


def test_longcat_counts_the_experts_a_token_uses_on_average() -> None:
    # 12 of 512 + 256 picked, evenly: 12 · 512 / 768 = 8 real experts of 3·6,144·2,048 a layer (formulas:
    # 27.95 billion active with embeddings).
    row = ROWS["longcat_flash"]["config"] | {"num_layers": 28}
    network = network_from_config(row)
    experts = [w for _, w in network.weights() if w.active_experts is not None]
    assert {w.active_experts for w in experts} == {8.0}
    assert network.parameters.active == pytest.approx(27.95e9, rel=0.002)


def test_zamba2_calls_share_their_weights_but_not_their_caches() -> None:
    # 9 calls in 54 layers, each with keys and values of 32 heads of 160.
    network = network_from_config(ROWS["zamba2"]["config"])
    calls = [g for g in network.groups if g.mixer is not None and g.mixer.k_elements_per_token]
    assert sum(len(g.layers) for g in calls) == 9
    assert {g.mixer.k_elements_per_token for g in calls if g.mixer} == {32 * 160}
    assert sum(w.role == "shared_attn_q" for w in network.outer) == 1


def test_a_null_is_not_a_default() -> None:
    # Mistral's configuration class has a window of 4,096; Nemo's file says null, which means none.
    config = ROWS["mistral"]["config"]
    without = {name: value for name, value in config.items() if name != "sliding_window"}
    assert windowed_layers(network_from_config(without)) == config["num_hidden_layers"]
    assert windowed_layers(network_from_config(without | {"sliding_window": None})) == 0


def test_defaults_of_sizes_count_only_inside_a_section() -> None:
    fields = ConfigFields({"a": 1}, "llama")
    read = ReferenceFields(fields, {"b": 2})
    assert (read.count("a"), read.count("b"), read.has("b")) == (1, 2, False)
    assert fields.unread() == ()
