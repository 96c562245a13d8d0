"""Networks from config.json name their matrices as llama.cpp's files do, so that presets give them the right types.

The names of each architecture are those of its headers in gguf_headers/, which the engine accepted.
"""

import json
from pathlib import Path

import pytest

from planner.model.weight import Use
from planner.readers.config.network import network_from_config
from planner.readers.gguf.architectures.tensor_table import split_name

HERE = Path(__file__).parent
# model_type to architecture where the converter (convert_hf_to_gguf.py) writes another name.
_NAMES = {
    "mistral": "llama", "mixtral": "llama", "ministral": "llama", "ministral3": "mistral3", "internlm3": "llama",
    "qwen2_moe": "qwen2moe", "qwen3_moe": "qwen3moe", "qwen2_vl": "qwen2vl", "qwen3_vl": "qwen3vl",
    "qwen3_vl_moe": "qwen3vlmoe", "qwen3_next": "qwen3next", "qwen3_5": "qwen35", "qwen3_5_moe": "qwen35moe",
    "gemma3_text": "gemma3", "gemma3n_text": "gemma3n", "gemma4_text": "gemma4", "gpt_oss": "gpt-oss",
    "cohere": "command-r", "olmo3": "olmo2", "glm4_moe": "glm4moe", "glm4_moe_lite": "deepseek2",
    "glm_moe_dsa": "glm-dsa", "hunyuan_v1_dense": "hunyuan-dense", "hunyuan_v1_moe": "hunyuan-moe",
    "bailing_moe": "bailingmoe", "bailing_moe_v2": "bailingmoe2", "exaone_moe": "exaone-moe",
    "ernie4_5_moe": "ernie4_5-moe", "gpt_neox": "gptneox", "phi": "phi2", "minimax_m2": "minimax-m2",
    "minimax_text_01": "minimax-01", "minimax_m1": "minimax-01", "llama4": "llama4", "llama4_text": "llama4",
    "deepseek_v2": "deepseek2", "deepseek_v3": "deepseek2", "kimi_k2": "deepseek2", "kimi_k25": "deepseek2",
    "deepseek_v32": "deepseek32", "deepseek_v4": "deepseek4", "nemotron-nas": "deci", "kimi_linear": "kimi-linear",
    "kimi_k3": "kimi-k3", "granitemoehybrid": "granitehybrid", "granitemoeshared": "granitemoe",
    "falcon_h1": "falcon-h1", "falcon_mamba": "mamba", "lfm2_moe": "lfm2moe", "mimo_v2_flash": "mimo2",
    "nemotron_h": "nemotron_h_moe", "gpt_bigcode": "starcoder", "cohere2_moe": "cohere2moe",
}  # fmt: skip


def names_in_files(architecture: str) -> set[str]:
    """Every role that a header of the architecture has."""
    content = json.loads((HERE / "gguf_headers" / f"{architecture}.json").read_text())
    found: set[str] = set()
    for header in content["headers"].values():
        found.update(header["outer"])
        for _, roles in header["layers"]:
            found.update(roles)
    return {split_name(name)[1] for name in found}


def configs_in_the_engine() -> list[Path]:
    """The configs whose architecture the engine has too."""
    found = []
    for path in sorted((HERE / "configs").glob("*.json")):
        model_type = json.loads(path.read_text())["model_type"]
        if (HERE / "gguf_headers" / f"{_NAMES.get(model_type, model_type)}.json").exists():
            found.append(path)
    return found


@pytest.mark.parametrize("path", configs_in_the_engine(), ids=lambda path: path.stem)
def test_matrices_are_named_as_in_files(path: Path) -> None:
    network = network_from_config(json.loads(path.read_text()))
    architecture = _NAMES.get(network.architecture, network.architecture)
    if any(weight.role == "attn_kv_a_mqa" for _, weight in network.weights()) and architecture == "mistral3":
        architecture = "mistral4"
    ours = {
        weight.role
        for _, weight in network.weights()
        if weight.use is not Use.VECTOR and len(weight.shape) > 1
    }
    assert ours <= names_in_files(architecture), ours - names_in_files(architecture)
