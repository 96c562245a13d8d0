"""LoRA's parameters by peft's rules; numbers by hand."""

import pytest

from planner import api
from planner.engines.tuning.adapters import adapters, layer_adapters
from planner.errors import MissingFactError
from planner.model.network import Network


def count(network: Network, rank: int, *targets: str, experts: bool = True) -> int:
    """Trained parameters of all layers."""
    found = layer_adapters(network, rank=rank, targets=targets, experts=experts)
    return sum(len(group.layers) * adapter.parameters for group, own in found for adapter in own)


def test_all_linear_modules_of_llama() -> None:
    """Llama 3.1 8B at rank 16: q and o 16·8192 each, k and v 16·5120 each, gate, up and down 16·18,432 each:
    16 · (16,384 + 10,240 + 55,296) = 1,310,720; times 32 layers 41,943,040, the count that peft prints."""  # fmt: skip
    assert count(api.open_model("llama-3.1-8b-instruct").network, 16, "all-linear") == 41_943_040


def test_q_and_v_of_llama_2() -> None:
    """The LoRA paper's choice: rank 8 on q and v of Llama 2 7B, 32 · 2 · 8 · 8192 = 4,194,304."""
    assert count(api.open_model("llama-2-7b-chat-hf").network, 8, "qv") == 4_194_304
    assert count(api.open_model("llama-2-7b-chat-hf").network, 8, "q_proj", "v_proj") == 4_194_304


def test_experts_of_mixtral() -> None:
    """Rank 16, fused gate and up at rank 32: 8 · 32 · (4096 + 28,672) = 8,388,608; down 8 · 16 · 18,432 =
    2,359,296; router 16 · 4104 = 65,664; attention 16 · (16,384 + 10,240) = 425,984; times 32 layers."""  # fmt: skip
    network = api.open_model("mixtral-8x7b-v0.1").network
    assert count(network, 16, "all-linear") == 32 * (8_388_608 + 2_359_296 + 65_664 + 425_984)
    assert count(network, 16, "all-linear", experts=False) == 32 * (65_664 + 425_984)


def test_mla_has_one_matrix_for_keys_and_values() -> None:
    """DeepSeek V3: kv_b_proj is 512 → 128 · (128 + 128) = 32,768; at rank 8, 8 · 33,280."""
    network = api.open_model("deepseek-v3").network
    group = network.groups[0]
    (found,) = adapters(network, group, rank=8, targets=("kv_b_proj",), experts=False)
    assert found.parameters == 8 * 33_280


def test_a_target_that_is_not_there_is_named_with_those_that_are() -> None:
    network = api.open_model("deepseek-v3").network
    with pytest.raises(MissingFactError, match=r"q_proj.*kv_b_proj"):
        count(network, 8, "q_proj")


def test_a_higher_rank_trains_more() -> None:
    network = api.open_model("qwen3-30b-a3b").network
    counts = [count(network, rank, "all-linear") for rank in (1, 2, 8, 64)]
    assert counts == sorted(set(counts))
