"""What a layer saves, held against the tensors that PyTorch saved in real modules of transformers."""

from dataclasses import replace
from typing import Any

import pytest

from planner import api
from planner.engines.tuning.adapters import layer_adapters
from planner.engines.tuning.saved_tensors import saved_tensors
from planner.engines.tuning.settings import TuningSettings
from planner.errors import MissingFactError
from planner.model.network import Network
from tests.planner.engines.tuning import referee

# The formulas leave these out, all small outside of models this tiny: 1 + weight in FP32 (Gemma, Qwen3.5), capped
# scores of Gemma 2 in eager mode, and the FP32 copies around adapted experts of FP32 models.
_TOLERANCE = {
    "gemma3": 0.005,
    "gemma2": 0.09,
    "mixtral": 0.005,
    "qwen2_moe": 0.005,
    "qwen3_moe": 0.01,
    "qwen3_5_linear": 0.005,
    "qwen3_5_full": 0.005,
    "deepseek_v3": 0.02,
    "granite_mamba": 0.01,
}
_FP32_EXPERTS = 0.1


def saved_bytes(network: Network, settings: TuningSettings) -> float:
    """Bytes of the first layer."""
    adapted: Any = [(group, ()) for group in network.groups]
    if not settings.trains_base:
        adapted = layer_adapters(network, rank=settings.rank, targets=settings.targets, experts=None)
    group, own = adapted[0]
    parts = saved_tensors(network.architecture, group, network.hidden_size, own, settings)
    return sum(part.total_bytes(settings.n_step_tokens) for part in parts)


@pytest.mark.parametrize("row", referee.saved_rows(), ids=referee.label)
def test_a_layer_saves_what_pytorch_saved(row: dict[str, Any]) -> None:
    tolerance = _TOLERANCE.get(row["arch"], 0.0)
    if row["weights"] == "float32" and row["arch"] == "mixtral":
        tolerance = _FP32_EXPERTS
    found = saved_bytes(referee.network(row), referee.settings(row))
    assert found == pytest.approx(row["saved_bytes_per_layer"], rel=tolerance, abs=0.5)


def test_the_referee_saw_enough_kinds_of_models() -> None:
    exact = {row["arch"] for row in referee.saved_rows()} - set(_TOLERANCE)
    assert len(referee.saved_rows()) > 50
    assert exact == {"llama", "qwen2", "qwen3", "phi3", "olmo2", "lfm2_conv"}


@pytest.mark.parametrize("row", referee.saved_rows(), ids=referee.label)
def test_peft_trained_as_many_parameters(row: dict[str, Any]) -> None:
    network = referee.network(row)
    settings = referee.settings(row)
    if settings.trains_base:
        # DeepSeek's correction bias is a buffer in transformers 5 and a weight in files: 8 experts, 3 layers.
        buffers = 24 if row["arch"] == "deepseek_v3" else 0
        assert network.parameters.text - buffers == row["trained_parameters"]
        return
    adapted = layer_adapters(network, rank=settings.rank, targets=settings.targets, experts=None)
    found = sum(len(group.layers) * adapter.parameters for group, own in adapted for adapter in own)
    assert found == row["trained_parameters"]


def test_llama_by_hand() -> None:
    """Full tuning in bf16 with flash attention, per token of Llama 3.1 8B.

    Two norms: 4·4096 + 4 + 2·4096 each = 49,160. Norm output into q, k, v: 2·4096 = 8,192; q and output 2·4096
    each, k and v 2·1024 each: 20,480; log-sum-exp 4·32 = 128. Norm output into gate and up 8,192; gate,
    activated gate, up and product 4·2·14,336 = 114,688. Together 200,840.
    """
    network = api.open_model("llama-3.1-8b-instruct").network
    settings = TuningSettings(method="full", precision="bf16", n_tokens=1)
    assert saved_bytes(network, settings) == 200_840


def test_eager_attention_keeps_every_score() -> None:
    """32 heads · 2048 keys · (4 + 2) bytes = 393,216 per token; K and V are expanded from 8 to 32 heads,
    2 · 2 · 3072 = 12,288 more; the output is copied for o_proj, so flash's 4·32 goes and nothing else."""  # fmt: skip
    network = api.open_model("llama-3.1-8b-instruct").network
    flash = TuningSettings(method="full", precision="bf16", n_tokens=2048)
    eager = replace(flash, attention="eager")
    more = (saved_bytes(network, eager) - saved_bytes(network, flash)) / 2048
    assert more == 393_216 + 12_288 - 128


def test_korthikanti_counts_a_gpt_layer_higher() -> None:
    """Korthikanti et al. 2022 (arXiv:2205.05198) eq. 1: 34·s·b·h + 5·a·s²·b for a GPT layer with dropout.

    The 34 holds 3 bytes of dropout masks and 8·(4h) of a plain MLP. Flash attention drops the second term; a
    model without dropout and with I = 3.5 H, as Llama 3.1 8B, must stay near the first: 200,840 / 4096 = 49, of
    which gated MLP and FP32 norms explain 28 + 12 where theirs are 16 + 4: 49 − 40 + 20 = 29, under 34.
    """
    network = api.open_model("llama-3.1-8b-instruct").network
    per_h = saved_bytes(network, TuningSettings(method="full", precision="bf16", n_tokens=1)) / 4096
    assert 25 < per_h - (28 + 12) + (16 + 4) < 34


def test_liger_keeps_less() -> None:
    """Its norms keep x in 16 bits, 2·4096 + 4 in place of 24,580, twice; its MLP one tensor of 14,336 less."""
    network = api.open_model("llama-3.1-8b-instruct").network
    plain = TuningSettings(method="full", precision="bf16", n_tokens=1)
    fused = replace(plain, kernels="liger")
    less = saved_bytes(network, plain) - saved_bytes(network, fused)
    assert less == 2 * (24_580 - 8_196) + 2 * 14_336


def test_delta_net_by_hand() -> None:
    """Qwen3.5 9B's linear layers in bf16, per token: 16 key and 32 value heads of 128, H = 4096.

    Norm output 8,192; into the convolution 2 · 8,192 = 16,384; Q and K normalised and V the same 16,384, with
    8 · 16 = 128 of norms; 64 wide per head 2 · 64 · 32 = 4,096; beta and decay (2 + 12) · 32 = 448; the gated norm
    3 · 4 · 4,096 + 4 · 32 + 2 · 2 · 4,096 = 65,664; the output projection's input 8,192.
    """
    network = api.open_model("qwen3.5-9b").network
    group = network.groups[0]
    settings = TuningSettings(method="full", precision="bf16", n_tokens=1)
    parts = saved_tensors(network.architecture, group, network.hidden_size, (), settings)
    found = {part.part: part.bytes_per_token for part in parts}["attention"]
    assert found == 8_192 + 16_384 + 16_384 + 128 + 4_096 + 448 + 65_664 + 8_192


def test_experts_count_once_for_each_pick() -> None:
    """Mixtral, 2 of 8 experts of 14,336: 2 · (2·4096 in + 4·2·14,336 + 2·4096 out) = 262,144 per token."""
    network = api.open_model("mixtral-8x7b-v0.1").network
    group = network.groups[0]
    settings = TuningSettings(method="full", precision="bf16", n_tokens=1)
    parts = saved_tensors(network.architecture, group, network.hidden_size, (), settings)
    assert {part.part: part.bytes_per_token for part in parts}["experts"] == 262_144


def test_an_unknown_part_is_refused_by_name() -> None:
    network = api.open_model("kimi-linear-48b-a3b-instruct").network
    with pytest.raises(MissingFactError, match="Kimi delta attention"):
        saved_bytes(network, TuningSettings(method="full"))
