"""Small models and devices whose times can be worked out by hand."""

from planner.model.attention import Attention
from planner.speed.device import SpeedDevice
from planner.speed.work import ClassWeights, LayerWork, ModelWork

GPU = SpeedDevice(
    key="card", kind="gpu", backend="cuda", architecture="Ada", memory_kind="gddr", memory_bytes_per_s=1e12,
    matrix_flop_per_s=100e12, fp16_flop_per_s=100e12, vector_flop_per_s=100e12, least_matrix_fraction=0.5, link_bytes_per_s=20e9,
)  # fmt: skip
HOST = SpeedDevice(
    key="cpu:box", kind="cpu", backend="host", architecture="", memory_kind="ram", memory_bytes_per_s=100e9,
    matrix_flop_per_s=1e12, fp16_flop_per_s=1e12, vector_flop_per_s=1e12, least_matrix_fraction=0.25,
)  # fmt: skip


def weights(n_bytes: float, *, experts: bool = False, active: float = 1.0) -> ClassWeights:
    """Weights of the class Q4_K at half a byte an element."""
    return ClassWeights(
        type_class="Q4_K", is_expert=experts, active_fraction=active, n_bytes=n_bytes, n_elements=2 * n_bytes
    )


def dense(n_layers: int = 4, layer_bytes: float = 1e9) -> ModelWork:
    """Layers of one weight each and plain attention of 8 heads, 2 of them for keys, of 64 elements."""
    mixer = Attention(n_heads=8, n_kv_heads=2, key_head_dim=64, value_head_dim=64)
    layer = LayerWork(weights=(weights(layer_bytes),), n_tensors=9, mixer=mixer)
    return ModelWork(
        key="test 1.00",
        architecture="test",
        hidden_size=512,
        layers=(layer,) * n_layers,
        head=(weights(2e8),),
    )


def mixture(n_layers: int = 4) -> ModelWork:
    """Layers of 0.1 GB for every token and 2 GB of experts, 1 in 16 of them for each."""
    mixer = Attention(n_heads=8, n_kv_heads=2, key_head_dim=64, value_head_dim=64)
    parts = (weights(1e8), weights(2e9, experts=True, active=1 / 16))
    layer = LayerWork(weights=parts, n_tensors=12, mixer=mixer)
    return ModelWork(
        key="moe 4.00", architecture="moe", hidden_size=512, layers=(layer,) * n_layers, head=(weights(2e8),)
    )
