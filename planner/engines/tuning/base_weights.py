"""Bytes of the model's own weights while it is tuned: trained, frozen, or frozen and quantized."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from planner.engines.tuning.adapters import is_product
from planner.engines.tuning.optimizers import Trained
from planner.engines.tuning.settings import QUANTIZED, TuningSettings
from planner.model.network import Network
from planner.model.weight import Use, Weight

_BLOCK = 64  # bitsandbytes: weights under one scale in 4-bit types
_NESTED = 256  # scales under one scale of scales, with double quantization
_PLAIN_BYTES = {"bf16": 2, "fp32": 4, "fp8": 1}
_OUTER = ("token_embd", "output")


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseWeight:
    """One weight as it lies in memory, with how many like it there are."""

    weight: Weight
    n: int
    in_layers: bool
    quantized: bool
    n_bytes: int  # of all n


def quantized_bytes(n_elements: int, base_type: str) -> int:
    """Bytes of a matrix that bitsandbytes quantizes.

    NF4: n/2 + 4·n/64; with double quantization n/2 + n/64 + 4·n/64/256 (Dettmers et al. 2023,
    arXiv:2305.14314 §3: 0.5 and 0.127 bits of constants per weight). INT8: n plus an FP32 scale per row is taken
    as n, the scale being one part in a thousand. Blocks are rounded up.
    """
    if base_type == "int8":
        return n_elements
    n_scales = -(-n_elements // _BLOCK)
    packed = -(-n_elements // 2)
    if base_type == "nf4":
        return packed + 4 * n_scales
    return packed + n_scales + 4 * -(-n_scales // _NESTED)


def base_weights(
    network: Network, settings: TuningSettings, *, experts_too: bool = True
) -> Iterator[BaseWeight]:
    """Every weight with its bytes on one GPU that holds all of them.

    bitsandbytes replaces linear modules but the output head; embeddings, head, norms and biases keep 16 bits, or
    FP32 after peft's prepare_model_for_kbit_training. `experts_too` says whether routed experts, which
    transformers 5 stores as one 3-D parameter and bitsandbytes then passes over, are quantized as well.
    """
    quantizes = settings.base_type in QUANTIZED and not settings.trains_base
    for group, weight in network.weights():
        n = len(group.layers) if group else 1
        is_expert = weight.active_experts is not None and weight.use is Use.MATMUL
        quantized = quantizes and group is not None and is_product(weight) and (experts_too or not is_expert)
        yield BaseWeight(
            weight=weight,
            n=n,
            in_layers=group is not None,
            quantized=quantized,
            n_bytes=n * _weight_bytes(weight, settings, quantized=quantized, in_layer=group is not None),
        )


def _weight_bytes(weight: Weight, settings: TuningSettings, *, quantized: bool, in_layer: bool) -> int:
    if quantized:
        return quantized_bytes(weight.parameters, settings.base_type)
    if settings.trains_base:
        return (4 if settings.precision == "amp" else 2) * weight.parameters
    if settings.base_type in QUANTIZED:
        return (4 if settings.keep_fp32 else 2) * weight.parameters
    if settings.base_type == "fp8" and not (in_layer and weight.use is Use.MATMUL):
        return 2 * weight.parameters  # only linear modules are stored in FP8
    return _PLAIN_BYTES[settings.base_type] * weight.parameters


def trained_base(network: Network) -> Iterator[Trained]:
    """The model's own weights as the optimizer sees them; a tied head is the embedding, once."""
    for group, weight in network.weights():
        matrix = len(weight.shape) >= 2 and weight.use is not Use.VECTOR
        yield Trained(
            shape=weight.shape if matrix else (prod(weight.shape),),
            n=len(group.layers) if group else 1,
            is_hidden_matrix=matrix and weight.role not in _OUTER,
        )
