"""More of anything never needs less, and a split conserves weights."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from planner.engines.llama_cpp import LlamaCppFlags, Split
from planner.engines.llama_cpp.weights import host_tensor_bytes
from planner.estimate.memory import Device, DeviceLoad, memory_loads
from planner.model.storage import StoredWeight
from tests.planner.estimate.models import model

GIB = 2**30
NAMES = ("llama", "llama-70b", "qwen3-30b-a3b")
RAM = Device(name="RAM", is_gpu=False, capacity_bytes=1024 * GIB)
# What is free between two results depends on where earlier ones lay, so that a few activations may be packed
# better in a larger plan; nothing else may shrink.
PACKING = 0.01


def gpus(n: int) -> list[Device]:
    return [Device(name=f"CUDA{i}", is_gpu=True, capacity_bytes=80 * GIB, kind="cuda") for i in range(n)]


def needed(loads: tuple[DeviceLoad, ...]) -> int:
    return sum(load.needed_bytes for load in loads)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    n_gpus=st.integers(0, 2),
    context=st.sampled_from((512, 4096, 20_000)),
    sequences=st.sampled_from((1, 2, 4)),
    flash=st.booleans(),
    more=st.sampled_from(("context", "batch", "sequences", "precision")),
)
def test_more_of_anything_never_needs_less(
    name: str, n_gpus: int, context: int, sequences: int, flash: bool, more: str
) -> None:
    small = LlamaCppFlags(
        n_context_tokens=context, n_sequences=sequences, flash_attention=flash,
        k_type="Q8_0" if more == "precision" else "F16",
    )  # fmt: skip
    large = {
        "context": replace(small, n_context_tokens=2 * context),
        "batch": replace(small, n_ubatch=1024),
        "sequences": replace(small, n_sequences=2 * sequences),
        "precision": replace(small, k_type="F16"),
    }[more]
    split = Split(n_gpu_layers=1000 if n_gpus else 0)
    before, after = (memory_loads(model(name), flags, split, gpus(n_gpus), RAM) for flags in (small, large))
    assert needed(after) >= needed(before) * (1 - PACKING)
    for old, new in zip(before, after, strict=True):
        assert new.term_bytes("KV cache") >= old.term_bytes("KV cache")
        assert new.term_bytes("weights") == old.term_bytes("weights")


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    n_gpus=st.integers(1, 4),
    n_gpu_layers=st.integers(0, 90),
    n_cpu_moe=st.integers(0, 48),
    shares=st.lists(st.sampled_from((0.0, 1.0, 2.0, 5.0)), min_size=4, max_size=4),
)
def test_a_split_conserves_weights(
    name: str, n_gpus: int, n_gpu_layers: int, n_cpu_moe: int, shares: list[float]
) -> None:
    found = model(name)
    split = Split(n_gpu_layers=n_gpu_layers, n_cpu_moe=n_cpu_moe, tensor_split=tuple(shares[:n_gpus]))
    loads = memory_loads(found, LlamaCppFlags(n_context_tokens=512), split, gpus(n_gpus), RAM)
    placed = sum(load.term_bytes(term) for load in loads for term in ("weights", "experts", "embedding"))
    stored = sum(host_tensor_bytes(weight) for weight in found.storage.weights)
    # A tied head on a GPU is a second copy of the token table; the rest is padding of each tensor on a GPU.
    tied = not found.storage.has_output_head and n_gpu_layers > 0
    copy = sum(w.n_bytes for w in found.storage.weights if is_table(w)) if tied else 0
    padding = (544 + 128) * (len(found.storage.weights) + 1)
    assert stored + copy <= placed <= stored + copy + padding


def is_table(weight: StoredWeight) -> bool:
    return weight.role == "token_embd"
