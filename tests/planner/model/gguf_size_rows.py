"""What each row of the published GGUF sizes is: which model, and why a size is not the preset's.

The sizes themselves are evidence beside the checkout (gguf_sizes.csv: what llama-bench and loaders printed).
Rows are told by model label, quantization and printed GiB. A recipe is arithmetic: the preset with some
tensors in another type gives the printed size; a reason without one rests on the file name in its source.
"""

from dataclasses import dataclass

Config = dict[str, object]


@dataclass(frozen=True)
class Model:
    """A model of the catalogue or a fixture, with changes to its config."""

    name: str = ""
    changes: tuple[tuple[str, object], ...] = ()
    config: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True)
class Custom:
    """Why a row is not the preset: a reason, and where it can be computed, roles in other types."""

    reason: str
    types: tuple[tuple[str, str], ...] = ()
    model: Model | None = None  # where the file holds more tensors than the model has


def _llama_3_8b() -> Model:
    return Model("llama-3.1-8b-instruct")


TRILM = Model(
    config=(
        ("model_type", "llama"), ("hidden_size", 3072), ("num_hidden_layers", 30), ("num_attention_heads", 24),
        ("intermediate_size", 9216), ("vocab_size", 50_688), ("tie_word_embeddings", False),
    )
)  # fmt: skip
MOONDREAM_TEXT = Model(  # Phi-1.5
    config=(
        ("model_type", "phi"), ("hidden_size", 2048), ("num_hidden_layers", 24), ("num_attention_heads", 32),
        ("intermediate_size", 8192), ("vocab_size", 51_200), ("tie_word_embeddings", False),
    )
)  # fmt: skip
UNTIED_3B = Model("llama-3.2-3b-instruct", changes=(("tie_word_embeddings", False),))

# Column hf_config to the catalogue; fine-tunes share their base model's sizes.
BY_CONFIG = {
    "meta-llama/Meta-Llama-3.1-8B": _llama_3_8b(),
    "meta-llama/Meta-Llama-3-8B": _llama_3_8b(),
    "meta-llama/Meta-Llama-3.1-70B": Model("llama-3.1-70b-instruct"),
    "meta-llama/Meta-Llama-3.1-405B": Model("llama-3.1-405b-instruct"),
    "meta-llama/Llama-3.2-1B": Model("llama-3.2-1b-instruct"),
    "meta-llama/Llama-3.2-3B": Model("llama-3.2-3b-instruct"),
    "meta-llama/Llama-2-7b-hf": Model("llama-2-7b-chat-hf"),
    "meta-llama/Llama-2-70b-chat-hf": Model("llama-2-70b-chat-hf"),
    "mistralai/Mistral-7B-v0.1": Model("mistral-7b-v0.1"),
    "mistralai/Mistral-7B-Instruct-v0.3": Model("mistral-7b-instruct-v0.3"),
    "Qwen/Qwen2.5-0.5B-Instruct": Model("qwen2.5-0.5b-instruct"),
    "Qwen/Qwen2.5-3B": Model("qwen2.5-3b"),
    "Qwen/Qwen2.5-7B": Model("qwen2.5-7b"),
    "Qwen/Qwen2.5-32B": Model("qwen2.5-32b-instruct"),
    "Qwen/Qwen3-4B-Base": Model("qwen3-4b"),
    "Qwen/Qwen3-32B": Model("qwen3-32b"),
    "Qwen/Qwen3-30B-A3B": Model("qwen3-30b-a3b"),
    "Qwen/Qwen3-235B-A22B": Model("qwen3-235b-a22b"),
    "google/gemma-3-4b-it": Model("gemma-3-4b-it"),
    "google/gemma-3-12b-it": Model("gemma-3-12b-it"),
    "google/gemma-3-27b-it": Model("gemma-3-27b-it"),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": Model("deepseek-r1-distill-qwen-1.5b"),
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": Model("tinyllama-1.1b-chat-v1.0"),
}
# Column model, where hf_config is empty.
BY_LABEL = {
    "deepseek2 671B [180.52B]": Model(
        "deepseek-v3", changes=(("n_routed_experts", 64),)
    ),  # a 64-expert slice
    "deepseek2 671B [672.05B]": Model("deepseek-v3"),
    "llama4 17Bx16E (Scout) [107.77B]": Model("llama-4-scout-17b-16e-instruct"),
    "qwen35 27B [27.32B]": Model("qwen3.5-27b"),
    "qwen35 2B [1.88B]": Model("qwen3.5-2b"),
    "qwen35moe 35B.A3B [34.66B]": Model("qwen3.5-35b-a3b"),
    "qwen35moe 35B.A3B [35.51B]": Model("qwen3.5-35b-a3b"),
    "Qwen3.5-35B-A3B": Model("qwen3.5-35b-a3b"),
    "Qwen3.6-35B-A3B": Model("qwen3.5-35b-a3b"),
    "gpt-oss 20B [20.91B]": Model("gpt-oss-20b"),
    "gpt-oss ?B [20.91B]": Model("gpt-oss-20b"),
    "deepseek2 30B.A3B [29.94B]": Model("glm-4.7-flash"),
    "nemotron 120B.A12B [120.67B]": Model("nemotron-3-super-120b-a12b"),
    "nemotron_h_moe 120B.A12B [120.67B]": Model("nemotron-3-super-120b-a12b"),
    "nemotron_h_moe 31B.A3.5B [31.58B]": Model("nemotron-3-nano-30b-a3b"),
    "qwen3 0.6B [751.63M]": Model("qwen3-0.6b"),
    "gemma3 27B [28.42B]": Model("gemma-3-27b-it"),
    "llama ?B [3.61B]": UNTIED_3B,
    "llama 3B [3.61B]": UNTIED_3B,
    "llama ?B [3.99B]": TRILM,
    "gemma4 26B.A4B [25.23B]": Model("gemma-4-26b-a4b"),
    "Gemma-4-26B-A4B-It": Model("gemma-4-26b-a4b"),
    "Gemma-4-E4B-It": Model("gemma-4-e4b-it"),
    "mistral3 14B [13.51B]": Model("ministral-3-14b-instruct-2512"),
    "qwen3next 80B.A3B [79.67B]": Model("qwen3-next-80b-a3b-instruct"),
    "Qwen3-Next-80B-A3B-Instruct": Model("qwen3-next-80b-a3b-instruct"),
    "glm4moe 355B.A32B [356.79B]": Model("glm-4.5"),
    "Qwen3-4B-abliterated": Model("qwen3-4b"),
    "Qwen3 235B A22B": Model("qwen3-235b-a22b"),
    "Qwen3-235B-A22B-128K": Model("qwen3-235b-a22b"),
    "GLM Z1 32B 0414": Model("zai-org__GLM-4-32B-0414"),
    "Llama-2-70B (2023 table)": Model("llama-2-70b-chat-hf"),
    "Meta-Llama-3-8B-Instruct": _llama_3_8b(),
    "Llama 3.1 8B": _llama_3_8b(),
    "Llama 3.1 70B": Model("llama-3.1-70b-instruct"),
    "Llama 3.1 405B": Model("llama-3.1-405b-instruct"),
    "Phi 4 14B": Model("phi-4"),
    "Llama 3.2 Vision 11B": Model("llama-3.2-11b-vision-instruct"),
    "Mistral 7B": Model("mistral-7b-v0.1"),
    "Moondream 2 1.4B": MOONDREAM_TEXT,
}
# How labels of llama-bench and of the sources write presets.
QUANTS = {
    "Q4_K": "Q4_K_M",
    "Q4_0 (ollama default 2024)": "Q4_0",
    "Q4_0 (ollama default)": "Q4_0",
    "Q4_K_M (ollama default)": "Q4_K_M",
    "ollama default incl. F16 vision projector": "Q4_K_M",
    "BF16 (main)": "BF16",
    "BF16 (PR)": "BF16",
    "BF16_R16": "BF16",  # the same bits in another order
}
# Types of the ik_llama.cpp fork and models that are no language models: not sized, by name.
FORK_TYPES = frozenset(
    "IQ2_BN IQ2_BN_R4 IQ4_KS IQ2_KS IQ2_KT Q8_K_R8 IQ1_S_R4 IQ4_K_R4 Q4_K_R4 Q2_K_R4 IQ2_K_R4".split()  # noqa: SIM905
)
NOT_LANGUAGE_MODELS = {"bert 335M [566.7M]": "a text encoder (XLM-RoBERTa large), which does not generate"}

_UD = "Unsloth Dynamic, as the file's name in the source says"
_TABLES_Q8 = (("token_embd", "Q8_0"), ("output", "Q8_0"))
# (model, quant, printed GiB) of every row that is more than 1 % off, and of a few whose mix is known.
CUSTOM = {
    ("Llama-3-8B", "Q2_K_S", "2.96"): Custom(
        "the help text of llama-quantize repeats Q2_K's figure; its README measures 2.78 GiB"
    ),
    ("Mistral-7B", "F16", "14.0"): Custom("the help text's figure is 7 B × 2 bytes; the model has 7.24 B"),
    ("Mistral-7B", "BF16", "14.0"): Custom("the help text's figure is 7 B × 2 bytes; the model has 7.24 B"),
    ("qwen3moe 235B.A22B [235.09B]", "Q3_K_M", "96.59"): Custom(f"{_UD}: UD-Q3_K_XL"),
    ("qwen3moe 30B.A3B [30.53B]", "Q4_K_M", "16.49"): Custom(f"{_UD}: UD-Q4_K_XL"),
    ("llama4 17Bx16E (Scout) [107.77B]", "Q4_K_M", "57.73"): Custom(f"{_UD}: UD-Q4_K_XL"),
    ("qwen2 ?B [32.76B]", "Q5_K_M", "22.11"): Custom("embeddings and head in Q8_0 (sold as Q5_K_L)", _TABLES_Q8),
    ("qwen35 27B [27.32B]", "Q4_K_M", "29.29"): Custom(f"{_UD}: UD-Q8_K_XL, whose file_type says Q4_K_M"),
    ("qwen35 27B [27.32B]", "Q6_K", "23.55"): Custom(f"{_UD}: UD-Q6_K_XL, with the extra prediction layer"),
    ("gemma3 4B [3.88B]", "Q4_0", "2.35"): Custom("embeddings in Q8_0 (quantization-aware checkpoint)", _TABLES_Q8),
    ("nemotron 120B.A12B [120.67B]", "Q4_K", "65.1"): Custom(
        "a mix of ggml-org's own: experts and Mamba matrices in 4.5-bit types (the rows of 2,688 in Q4_0), all else "
        "in Q8_0, gives the printed size",
        (
            ("ffn_up_exps", "Q4_K"), ("ffn_down_exps", "Q4_0"), ("ffn_up_shexp", "Q8_0"), ("ffn_down_shexp", "Q8_0"),
            ("ffn_latent_down", "Q8_0"), ("ffn_latent_up", "Q8_0"), ("attn_q", "Q8_0"), ("attn_k", "Q8_0"),
            ("attn_v", "Q8_0"), ("attn_output", "Q8_0"), *_TABLES_Q8,
        ),
    ),
    ("qwen3 0.6B [751.63M]", "Q8_0", "0.7439"): Custom(
        "the tied head is stored once more",
        model=Model("qwen3-0.6b", changes=(("tie_word_embeddings", False),)),
    ),
    ("deepseek2 671B [672.05B]", "Q8_0", "307.2"): Custom(
        "mislabelled: 3.93 bits per weight, a custom mix of the ik_llama.cpp fork whose file_type says Q8_0"
    ),
    ("llama 8B [8.03B]", "TQ2_0", "2.72"): Custom("embeddings and head in Q8_0", _TABLES_Q8),
    ("gemma3 27B [28.42B]", "Q4_K_M", "16.48"): Custom(
        "the tied head is stored once more, table and head both in Q6_K",
        (("token_embd", "Q6_K"),),
        Model("gemma-3-27b-it", changes=(("tie_word_embeddings", False),)),
    ),
    ("llama 8B [8.03B]", "Q4_0", "5.61"): Custom(
        "embeddings and head in F16", (("token_embd", "F16"), ("output", "F16"))
    ),
    ("llama ?B [3.99B]", "Q2_K_S", "1.33"): Custom("quantized by the ik_llama.cpp fork, whose rules differ"),
    ("llama 3B [3.61B]", "Q4_0", "2.08"): Custom(
        "the tied head is stored once more, table and head both in Q6_K", (("token_embd", "Q6_K"),)
    ),
    ("nemotron_h_moe 31B.A3.5B [31.58B]", "Q4_K_M", "21.26"): Custom(f"{_UD}: UD-Q4_K_XL"),
    ("nemotron_h_moe 31B.A3.5B [31.58B]", "Q8_0", "37.66"): Custom(f"{_UD}: UD-Q8_K_XL"),
    ("qwen3moe 30B.A3B [30.53B]", "Q8_0", "33.51"): Custom(f"{_UD}: UD-Q8_K_XL"),
    ("qwen3next 80B.A3B [79.67B]", "Q4_K_M", "42.01"): Custom(f"{_UD}: UD-Q4_K_XL"),
    ("gemma3 12B [11.77B]", "Q8_0", "13.4"): Custom(f"{_UD}: UD-Q8_K_XL"),
    ("glm4moe 355B.A32B [356.79B]", "Q4_K_M", "189.69"): Custom(f"{_UD}: GLM-4.6 UD-Q4_K_XL"),
    ("deepseek2 30B.A3B [29.94B]", "Q8_0", "32.7"): Custom(f"{_UD}: UD-Q8_K_XL"),
    ("nemotron_h_moe 120B.A12B [120.67B]", "Q4_K_M", "78.02"): Custom(f"{_UD}: UD-Q4_K_XL"),
    ("qwen35 27B [27.32B]", "Q8_0", "33.31"): Custom(f"{_UD}: UD-Q8_K_XL"),
    ("qwen35moe 35B.A3B [35.51B]", "Q4_K_M", "21.27"): Custom(f"{_UD}: UD-Q4_K_XL, with the extra layer"),
    ("qwen35moe 35B.A3B [34.66B]", "Q8_0", "35.8"): Custom(f"{_UD}: UD-Q8_K_XL"),
    ("gemma4 26B.A4B [25.23B]", "Q4_K_M", "15.9"): Custom(f"{_UD}: UD-Q4_K_XL"),
    ("gemma4 26B.A4B [25.23B]", "Q8_0", "25.94"): Custom(f"{_UD}: UD-Q8_K_XL"),
    ("gpt-oss 20B [20.91B]", "F16", "12.8333"): Custom(
        "converted to F16 with the experts left in MXFP4, as they are published",
        (("ffn_gate_exps", "MXFP4"), ("ffn_up_exps", "MXFP4"), ("ffn_down_exps", "MXFP4")),
    ),
    ("gpt-oss ?B [20.91B]", "F16", "12.83"): Custom(
        "converted to F16 with the experts left in MXFP4, as they are published",
        (("ffn_gate_exps", "MXFP4"), ("ffn_up_exps", "MXFP4"), ("ffn_down_exps", "MXFP4")),
    ),
    ("Gemma-4-E4B-It", "Q8_0", "7.62"): Custom(
        "the per-layer input gates and projections kept in F32", (("inp_gate", "F32"), ("proj", "F32"))
    ),
    ("Gemma-4-26B-A4B-It", "IQ4_NL", "12.48"): Custom(
        "Unsloth Dynamic UD-IQ4_NL, which holds Q8_0, IQ4_NL and IQ3_S"
    ),
    ("Qwen3-Next-80B-A3B-Instruct", "Q4_K_M", "42.9"): Custom(f"{_UD}: UD-Q4_K_XL"),
    ("Qwen3.6-35B-A3B", "Q4_K_M", "20.6"): Custom(f"{_UD}: UD-Q4_K_M"),
    ("Llama-2-70B (2023 table)", "Q2_K", "27.3018"): Custom(
        "the Q2_K of 2023 had ffn_gate and ffn_up in Q3_K", (("ffn_gate", "Q3_K"), ("ffn_up", "Q3_K"))
    ),
    ("Qwen2-0.5B-Instruct", "Q4_K_S", "0.3586"): Custom(
        "the whole file: 5.9 MB of tokenizer and metadata beside 0.379 GB of tensors"
    ),
    ("Llama 3.2 Vision 11B", "ollama default incl. F16 vision projector", "7.357"): Custom(
        "the sum of two files in Ollama's own conversion, rounded to 0.1 GB"
    ),
}  # fmt: skip
