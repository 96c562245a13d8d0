"""Whole networks: counts, layer groups, cache and state."""

from dataclasses import replace

import pytest

from hardware.units import GIB
from planner.model.attention import Attention
from planner.model.cache import cache_layers, kv_bytes_per_token, state_bytes, state_elements
from planner.model.experts import Experts
from planner.model.feed_forward import FeedForward
from planner.model.latent import LatentAttention
from planner.model.mamba1 import Mamba1
from planner.model.network import Block, LayerGroup, Mixer, Network, Tower, embeddings
from planner.model.weight import Use, Weight, matrix, vector


def attention(n_heads: int, n_kv_heads: int, head_dim: int, window: int | None = None) -> Attention:
    return Attention(
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        key_head_dim=head_dim,
        value_head_dim=head_dim,
        window_tokens=window,
    )


def group(layers: range, mixer: Mixer | None, block: Block | None = None) -> LayerGroup:
    return LayerGroup(layers=tuple(layers), mixer=mixer, block=block, norms=())


def network(*groups: LayerGroup, tied: bool = False) -> Network:
    return Network(
        architecture="test",
        hidden_size=8,
        vocab_size=100,
        tied_embeddings=tied,
        groups=groups,
        outer=embeddings(8, 100, tied=tied),
    )


@pytest.mark.parametrize(
    ("n_layers", "mixer", "bytes_per_token"),
    # Layers · 2 · KV heads · head width · 2 bytes; MLA: layers · (512 + 64) · 2 bytes.
    [
        (48, attention(25, 25, 64), 307_200),  # GPT-2 XL
        (32, attention(32, 8, 128), 131_072),  # Llama-3.1-8B
        (80, attention(64, 8, 128), 327_680),  # Llama-3.1-70B and Qwen2.5-72B
        (126, attention(128, 8, 128), 516_096),  # Llama-3.1-405B
        (
            61,
            LatentAttention(
                n_heads=128, q_lora_rank=1536, kv_lora_rank=512,
                qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128,
            ),
            70_272,  # DeepSeek-V3, whose paper prints it
        ),
    ],
)  # fmt: skip
def test_published_cache_sizes(n_layers: int, mixer: Mixer, bytes_per_token: int) -> None:
    assert kv_bytes_per_token(network(group(range(n_layers), mixer))) == bytes_per_token


@pytest.mark.parametrize(
    ("n_layers", "mixer", "gib"),
    # At 256 Ki tokens in bf16, as the Jamba paper (arXiv:2403.19887, table 1) compares them.
    [(4, attention(32, 8, 128), 4), (32, attention(32, 8, 128), 32), (32, attention(32, 32, 128), 128)],
)
def test_cache_at_a_quarter_million_tokens(n_layers: int, mixer: Mixer, gib: int) -> None:
    assert kv_bytes_per_token(network(group(range(n_layers), mixer))) * 2**18 == gib * GIB


def test_layers_that_cache_alike_are_counted_together() -> None:
    full, windowed = attention(4, 2, 8), attention(4, 2, 8, window=16)
    shared = replace(full, shares_kv=True)
    found = cache_layers(
        network(
            group(range(2), full),
            group(range(2, 5), windowed),
            group(range(5, 6), full, FeedForward(intermediate_size=8)),
            group(range(6, 8), shared),
            group(range(8, 9), None, FeedForward(intermediate_size=8)),
        )
    )
    # Three full and three windowed layers; those that share a cache, or have no mixer, keep nothing.
    assert {(layer.n_layers, layer.cache.window_tokens) for layer in found} == {(3, None), (3, 16)}
    assert all(layer.cache.k_elements == 16 for layer in found)


def test_state_is_summed_over_layers() -> None:
    mamba = Mamba1(inner_size=16, state_size=4, time_step_rank=1, conv_kernel=4)
    found = network(group(range(3), mamba), group(range(3, 4), attention(4, 2, 8)))
    # 16 · 4 recurrent and 16 · 3 convolution elements, three layers, 4 bytes each.
    assert state_elements(found) == 3 * (64 + 48)
    assert state_bytes(found) == 3 * (64 + 48) * 4


def test_groups_must_cover_every_layer_once() -> None:
    mixer = attention(4, 2, 8)
    with pytest.raises(ValueError, match="exactly once"):
        network(group(range(2), mixer), group(range(1, 3), mixer))
    with pytest.raises(ValueError, match="exactly once"):
        network(group(range(1, 3), mixer))


def test_counts_are_kept_apart() -> None:
    experts = Experts(n_experts=4, n_active=1, intermediate_size=8)
    found = replace(
        network(group(range(2), attention(2, 1, 4), experts)),
        mtp=(matrix("nextn.eh_proj", 16, 8),),
        towers=(Tower(name="vision", parameters=1000),),
    )
    # A layer: q and o 8·8, k and v 8·4, router 8·4, four experts of 3·8·8; outside: two tables of 800 and a norm.
    attention_weights, expert = 2 * 64 + 2 * 32, 3 * 64
    assert found.parameters.text == 2 * (attention_weights + 32 + 4 * expert) + 2 * 800 + 8
    assert found.parameters.active == 2 * (attention_weights + 32 + expert) + 2 * 800 + 8
    assert found.parameters.mtp == 128
    assert found.parameters.total == found.parameters.text + 128 + 1000
    assert found.is_mixture_of_experts()
    # Decoding reads one row of the embedding table, and the head whole.
    assert found.active_matmul_parameters == found.parameters.active - 800


def test_a_tied_head_is_stored_once_and_read_whole() -> None:
    tied, untied = (network(group(range(1), attention(2, 1, 4)), tied=tied) for tied in (True, False))
    assert untied.parameters.text - tied.parameters.text == 800
    assert tied.active_matmul_parameters == untied.active_matmul_parameters
    assert not tied.is_mixture_of_experts()


def test_unused_weights_are_stored_but_not_active() -> None:
    plain = network(group(range(1), attention(2, 1, 4)))
    spare = Weight(role="rope_freqs", shape=(64,), use=Use.UNUSED)
    with_spare = replace(plain, outer=(*plain.outer, spare))
    assert with_spare.parameters.text - plain.parameters.text == 64
    assert with_spare.parameters.active == plain.parameters.active


def test_embeddings() -> None:
    assert sum(w.parameters for w in embeddings(8, 100, tied=True)) == 800 + 8
    assert sum(w.parameters for w in embeddings(8, 100, tied=True, final_norm=False)) == 800
    assert sum(w.parameters for w in embeddings(8, 100, tied=False, norm_bias=True, head_bias=True)) == (
        1600 + 16 + 100
    )


def test_a_group_says_what_it_is() -> None:
    assert (
        group(range(1), attention(2, 1, 4), FeedForward(intermediate_size=8)).kind
        == "full MQA + dense gated MLP"
    )
    assert group(range(1), None).kind == "no-op"


def test_weights_with_empty_shapes_are_refused() -> None:
    for shape in ((), (0,), (4, -1)):
        with pytest.raises(ValueError, match="shape"):
            Weight(role="attn_q", shape=shape)


def test_active_share_of_a_weight() -> None:
    experts = Weight(role="ffn_up_exps", shape=(8, 16, 64), active_experts=4)
    assert experts.parameters == 8 * 16 * 64
    assert experts.active_parameters == 8 * 16 * 4
    assert vector("attn_norm", 8).active_parameters == 8
