"""Recurrent layers: constant state and weights, with numbers derived by hand or printed by llama.cpp."""

from dataclasses import replace

import pytest

from hardware.units import MIB
from planner.model.attention import Attention
from planner.model.delta_net import GatedDeltaNet
from planner.model.gated_lru import GatedLinearRecurrence
from planner.model.kimi_delta import KimiDeltaAttention
from planner.model.lightning import LightningAttention
from planner.model.mamba1 import Mamba1
from planner.model.mamba2 import Mamba2
from planner.model.network import Mixer
from planner.model.parallel import ParallelMixers
from planner.model.rwkv7 import Rwkv7ChannelMix, Rwkv7TimeMix
from planner.model.short_conv import ShortConvolution

DELTA_NET = GatedDeltaNet(
    n_key_heads=16, n_value_heads=32, key_head_dim=128, value_head_dim=128, conv_kernel=4
)
KDA = KimiDeltaAttention(n_heads=32, head_dim=128, conv_kernel=4)
MAMBA1 = Mamba1(inner_size=5120, state_size=16, time_step_rank=160, conv_kernel=4)
MAMBA2 = Mamba2(n_heads=128, head_dim=64, state_size=128, n_groups=1, conv_kernel=4)
RG_LRU = GatedLinearRecurrence(width=2560, n_blocks=10, conv_kernel=4)
LIGHTNING = LightningAttention(n_heads=64, head_dim=128)
CONVOLUTION = ShortConvolution(width=2048, conv_kernel=3)
RWKV = Rwkv7TimeMix(
    width=2560, head_dim=64, decay_rank=96, learning_rate_rank=96, value_rank=64, gate_rank=320
)
RECURRENT: tuple[Mixer, ...] = (DELTA_NET, KDA, MAMBA1, MAMBA2, RG_LRU, LIGHTNING, CONVOLUTION, RWKV)


def total(mixer: Mixer | Rwkv7ChannelMix, hidden_size: int) -> int:
    return sum(weight.parameters for weight in mixer.weights(hidden_size))


@pytest.mark.parametrize("mixer", RECURRENT, ids=lambda mixer: mixer.kind)
def test_nothing_is_cached_per_token(mixer: Mixer) -> None:
    assert mixer.window_tokens is None
    assert mixer.k_elements_per_token == mixer.v_elements_per_token == 0
    assert mixer.score_flop_per_cached_token == 0
    assert mixer.state_elements > 0
    assert mixer.state_flop_per_token > 0


@pytest.mark.parametrize(
    ("n_layers", "n_value_heads", "printed_mib"),
    # The recurrent buffer that llama.cpp prints for one sequence, in f32: Qwen3-Next-80B, Qwen3.5-35B-A3B
    # and Qwen3.5-27B. E.g. 36 · (32·128² + (2·16·128 + 32·128)·3) · 4 bytes = 75.375 MiB.
    [(36, 32, 75.38), (30, 32, 62.81), (48, 48, 149.62)],
)
def test_delta_net_state_is_what_llama_cpp_prints(
    n_layers: int, n_value_heads: int, printed_mib: float
) -> None:
    mixer = replace(DELTA_NET, n_value_heads=n_value_heads)
    assert n_layers * mixer.state_elements * 4 / MIB == pytest.approx(printed_mib, abs=0.006)


def test_delta_net_weights() -> None:
    # H(2k + 2v) + 2·H·n_v, convolution of 2k + v channels over 4, decay and bias of n_v, norm d, output v·H,
    # with k = 16·128 = 2048 and v = 32·128 = 4096.
    expected = 2048 * (2 * 2048 + 2 * 4096) + 2 * 2048 * 32 + 4 * 8192 + 2 * 32 + 128 + 4096 * 2048
    assert total(DELTA_NET, 2048) == expected
    assert total(replace(DELTA_NET, split_beta_alpha=True), 2048) == expected


def test_kimi_delta() -> None:
    # Kimi Linear, P = 32·128 = 4096: state 32·128² + 3·P·3; weights 3HP + 3·4·P + 32 + (H·128 + 128·P) + P
    # + 32·H + (H·128 + 128·P) + 128 + PH.
    assert KDA.state_elements == 32 * 128**2 + 9 * 4096
    low_rank = 2304 * 128 + 128 * 4096
    expected = 3 * 2304 * 4096 + 12 * 4096 + 32 + low_rank + 4096 + 32 * 2304 + low_rank + 128 + 4096 * 2304
    assert total(KDA, 2304) == expected


def test_kimi_delta_with_a_full_rank_gate() -> None:
    # Kimi K3 gates with H·P instead of a low-rank pair and stores 128 decay entries for 96 heads.
    k3 = KimiDeltaAttention(n_heads=96, head_dim=128, conv_kernel=4)
    gated = replace(k3, full_rank_gate=True, decay_elements=128)
    width = 96 * 128
    assert total(gated, 7168) - total(k3, 7168) == 7168 * width - (7168 * 128 + 128 * width) + 32


def test_mamba1() -> None:
    # mamba-2.8b: state 5120·16 + 5120·3; weights 2·H·5120 + 5120·4 + 5120 + 5120·(160 + 32) + 160·5120 + 5120
    # + 5120·16 + 5120 + 5120·H.
    assert MAMBA1.state_elements == 5120 * 16 + 5120 * 3
    expected = 2 * 2560 * 5120 + 5120 * 4 + 5120 + 5120 * 192 + 160 * 5120 + 5120 + 5120 * 16 + 5120
    assert total(MAMBA1, 2560) == expected + 5120 * 2560
    assert total(replace(MAMBA1, inner_norms=True), 2560) - total(MAMBA1, 2560) == 160 + 2 * 16
    assert total(replace(MAMBA1, conv_bias=False), 2560) - total(MAMBA1, 2560) == -5120
    assert total(replace(MAMBA1, projection_bias=True), 2560) - total(MAMBA1, 2560) == 2 * 5120 + 2560


def test_mamba2() -> None:
    # Bamba-9B: inner 8192, conv channels 8192 + 2·128 = 8448: state 8192·128 + 8448·3; weights
    # H(2·8192 + 2·128 + 128) + 8448·(4 + 1) + 3·128 + 8192 (norm) + 8192·H.
    assert MAMBA2.state_elements == 8192 * 128 + 8448 * 3
    assert total(MAMBA2, 4096) == 4096 * (16_384 + 256 + 128) + 8448 * 5 + 3 * 128 + 8192 + 8192 * 4096
    assert total(replace(MAMBA2, norm=False), 4096) - total(MAMBA2, 4096) == -8192


def test_gated_linear_recurrence() -> None:
    # RecurrentGemma-2B: state 2560 + 2560·3; three H·2560 matrices with biases, convolution with bias, decay,
    # two block-diagonal gates of 10 blocks of 256² with biases.
    assert RG_LRU.state_elements == 2560 * 4
    gates = 2 * (10 * 256**2 + 2560)
    assert total(RG_LRU, 2560) == 3 * (2560 * 2560 + 2560) + 4 * 2560 + 2560 + 2560 + gates
    with pytest.raises(ValueError, match="gate blocks"):
        replace(RG_LRU, n_blocks=7)


def test_lightning_attention() -> None:
    # MiniMax-Text-01: width 8192; q, k, v, gate and output of H·8192 each, and a norm; state 64·128².
    assert LIGHTNING.state_elements == 64 * 128**2
    assert total(LIGHTNING, 6144) == 5 * 6144 * 8192 + 8192


def test_short_convolution() -> None:
    # LFM2-1.2B: 3H² in, H·3 taps, H² out; state of the last two inputs.
    assert CONVOLUTION.state_elements == 2048 * 2
    assert total(CONVOLUTION, 2048) == 3 * 2048**2 + 2048 * 3 + 2048**2
    biases = total(replace(CONVOLUTION, bias=True), 2048) - total(CONVOLUTION, 2048)
    assert biases == 3 * 2048 + 2048 + 2048


def test_rwkv7() -> None:
    # State of 40 heads of 64² and two token shifts. A layer: 4·H², six shifts, k_k, k_a, r_k and a norm with
    # bias (5·H), gate 2·320·H, and for decay, rate and value an offset of H and a low-rank pair each.
    assert RWKV.state_elements == 2560 * 64 + 2 * 2560
    low_rank = 2 * 2560 * (320 + 96 + 96 + 64) + 3 * 2560
    assert total(RWKV, 2560) == 4 * 2560**2 + 6 * 2560 + 5 * 2560 + low_rank
    first = replace(RWKV, value_rank=None)
    assert total(RWKV, 2560) - total(first, 2560) == 2 * 2560 * 64 + 2560
    assert total(Rwkv7ChannelMix(intermediate_size=10_240), 2560) == 2560 + 2 * 2560 * 10_240


def test_mixers_side_by_side_cache_and_keep_state() -> None:
    attention = Attention(n_heads=12, n_kv_heads=2, key_head_dim=128, value_head_dim=128)
    both = ParallelMixers(attention=attention, recurrent=MAMBA2)
    assert both.k_elements_per_token == both.v_elements_per_token == 256
    assert both.window_tokens is None
    assert both.state_elements == MAMBA2.state_elements
    assert both.score_flop_per_cached_token == attention.score_flop_per_cached_token
    assert both.state_flop_per_token == MAMBA2.state_flop_per_token
    assert total(both, 3072) == total(attention, 3072) + total(MAMBA2, 3072)
    assert both.kind == "full GQA beside Mamba-2"
