"""Models for tests: real shapes at a predicted preset."""

from planner.estimate.described_model import DescribedModel
from planner.model.presets import preset_storage
from planner.readers.config.network import network_from_config
from tests.header_only import CONFIGS

LLAMA_70B = {
    "model_type": "llama", "hidden_size": 8192, "num_hidden_layers": 80, "num_attention_heads": 64,
    "num_key_value_heads": 8, "intermediate_size": 28_672, "vocab_size": 128_256,
    "max_position_embeddings": 131_072, "tie_word_embeddings": False,
}  # fmt: skip
QWEN3_30B_A3B = dict(CONFIGS["qwen3moe"], num_hidden_layers=48)


def model(name: str, preset: str = "Q4_K_M") -> DescribedModel:
    """A model of `tests.header_only`, or one of the two above."""
    config = {"llama-70b": LLAMA_70B, "qwen3-30b-a3b": QWEN3_30B_A3B}.get(name) or CONFIGS[name]
    network = network_from_config(config)
    return DescribedModel(name=name, network=network, storage=preset_storage(network, preset))
