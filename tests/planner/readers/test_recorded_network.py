"""Networks made of a log's metadata, where the catalogue has none that agrees."""

import pytest

from planner.estimate.llama_cpp_rows.model import RowModel
from planner.estimate.llama_cpp_rows.row import LoadRow
from planner.model.attention import Attention
from planner.model.experts import Experts
from planner.model.feed_forward import FeedForward
from planner.readers.recorded_network import network_of_columns

# GLM-Z1-Rumination-32B-0414 as ik_llama.cpp's pull request 333 prints it; its config.json says intermediate_size 23040.
GLM = {
    "arch": "chatglm", "n_layer": "61", "n_embd": "6144", "n_head": "48", "n_head_kv": "8", "n_embd_head_k": "128",
    "n_embd_k_gqa": "1024", "n_embd_v_gqa": "1024", "n_vocab": "151552", "params_B": "33.142", "n_expert": "0",
}  # fmt: skip
# Qwen3-30B-A3B, issue 380 of the same: 128 experts of 768.
QWEN = {
    "arch": "qwen3moe", "n_layer": "48", "n_embd": "2048", "n_head": "32", "n_head_kv": "4", "n_embd_head_k": "128",
    "n_embd_k_gqa": "512", "n_embd_v_gqa": "512", "n_vocab": "151936", "params_B": "30.532", "n_expert": "128",
    "n_expert_used": "8",
}  # fmt: skip
# gemma-3-27b-it, discussion 334: every sixth of 62 layers sees everything; the head is the table.
GEMMA = {
    "arch": "gemma3", "n_layer": "62", "n_embd": "5376", "n_head": "32", "n_head_kv": "16", "n_embd_head_k": "128",
    "n_embd_k_gqa": "2048", "n_embd_v_gqa": "2048", "n_vocab": "262208", "params_B": "27.009", "n_swa": "1024",
    "tensor_type_counts": "f32=373;q4_K=374;q6_K=61",
}  # fmt: skip


def made(row: dict[str, str]) -> RowModel:
    found = network_of_columns(LoadRow(row))
    assert isinstance(found, RowModel), found
    return found


def test_the_width_of_a_dense_block_follows_from_the_parameters() -> None:
    network = made(GLM).network
    assert network.n_layers == 61
    assert {group.block for group in network.groups} == {FeedForward(intermediate_size=23040)}
    assert not network.tied_embeddings


def test_so_does_the_width_of_experts() -> None:
    (group,) = made(QWEN).network.groups
    assert group.block == Experts(n_experts=128, n_active=8, intermediate_size=768)


def test_windows_and_ties_are_the_architectures_own() -> None:
    network = made(GEMMA).network
    windows = {}
    for group in network.groups:
        assert isinstance(group.mixer, Attention)
        windows[group.mixer.window_tokens] = len(group.layers)
    assert windows == {1024: 52, None: 10}  # layers 5, 11 … 59 of 62
    assert network.tied_embeddings  # 435 matrices are 7 in each of 62 layers and one more


def test_layers_of_unknown_width_are_said_to_be_so() -> None:
    uneven = GLM | {"arch": "deci", "n_head": str([48] * 60 + [0]), "n_head_kv": str([8] * 60 + [0])}
    assert made(uneven | {"n_embd_k_gqa": "", "n_embd_v_gqa": ""}).uneven is not None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"arch": "bert"}, "an encoder"),
        ({"arch": "nothing-known"}, "is not understood"),
        ({"kv_lora_rank": "512"}, "do not say its caches in full"),
        ({"ssm_d_inner": "4096"}, "do not say its caches in full"),
        ({"n_vocab": ""}, "does not say n_vocab"),
        ({"params_B": "0.5"}, "contradict each other"),
        ({"n_head": "48", "n_head_kv": "7"}, "contradict each other"),
    ],
)
def test_what_columns_do_not_tell_is_a_reason(change: dict[str, str], words: str) -> None:
    found = network_of_columns(LoadRow(GLM | change))
    assert isinstance(found, str)
    assert words in found
