"""Bytes of frozen and quantized weights, by hand."""

from planner import api
from planner.engines.tuning.base_weights import base_weights, quantized_bytes, trained_base
from planner.engines.tuning.settings import TuningSettings


def total(name: str, settings: TuningSettings, *, experts_too: bool = True) -> int:
    """Bytes of a whole model."""
    network = api.open_model(name).network
    return sum(item.n_bytes for item in base_weights(network, settings, experts_too=experts_too))


def test_nf4_takes_half_a_byte_and_its_scales() -> None:
    """4096² elements: 8,388,608 packed; 262,144 blocks of 64 with an FP32 scale each: 1,048,576 more. With
    double quantization a byte each, and an FP32 scale for 256 of them: 262,144 + 4,096."""  # fmt: skip
    assert quantized_bytes(4096**2, "nf4") == 8_388_608 + 1_048_576
    assert quantized_bytes(4096**2, "nf4-dq") == 8_388_608 + 262_144 + 4_096


def test_constants_per_weight_are_those_of_the_paper() -> None:
    """QLoRA §3: 0.5 bit of constants per weight, 0.127 with double quantization."""
    n = 2**24
    assert (quantized_bytes(n, "nf4") - n / 2) * 8 / n == 0.5
    assert round((quantized_bytes(n, "nf4-dq") - n / 2) * 8 / n, 3) == 0.127


def test_head_embeddings_and_norms_stay_whole() -> None:
    """Llama 3.1 8B: matrices of the layers 6,979,321,856 elements in NF4, 9/16 byte each: 3,925,868,544. The
    rest, 8,030,261,248 − 6,979,321,856 = 1,050,939,392, in 16 bits or, as peft makes it, in FP32."""  # fmt: skip
    plain = TuningSettings(method="qlora", base_type="nf4")
    assert total("llama-3.1-8b-instruct", plain) == 3_925_868_544 + 2 * 1_050_939_392
    kept = TuningSettings(method="qlora", base_type="nf4", keep_fp32=True)
    assert total("llama-3.1-8b-instruct", kept) == 3_925_868_544 + 4 * 1_050_939_392


def test_experts_that_bitsandbytes_passes_over() -> None:
    """Qwen3 30B A3B: 48 · 128 · 3 · 2048 · 768 = 28,991,029,248 expert weights, 2 bytes in place of 9/16."""
    settings = TuningSettings(method="qlora", base_type="nf4")
    more = total("qwen3-30b-a3b", settings, experts_too=False) - total("qwen3-30b-a3b", settings)
    assert more == 28_991_029_248 * (2 - 9 / 16)


def test_plain_types() -> None:
    assert total("llama-3.1-8b-instruct", TuningSettings()) == 2 * 8_030_261_248
    assert total("llama-3.1-8b-instruct", TuningSettings(base_type="fp32")) == 4 * 8_030_261_248
    # FP8 for linear modules alone
    fp8 = 6_979_321_856 + 2 * 1_050_939_392
    assert total("llama-3.1-8b-instruct", TuningSettings(base_type="fp8")) == fp8


def test_what_is_trained_is_the_whole_model() -> None:
    for name in ("llama-3.1-8b-instruct", "gemma-3-12b-it", "qwen3-30b-a3b", "deepseek-v3"):
        network = api.open_model(name).network
        assert sum(tensor.parameters for tensor in trained_base(network)) == network.parameters.text
