"""A model as a serving engine loads it, and the records in which such an engine's memory is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from types import MappingProxyType
from typing import Final

from hardware.spec import Basis, Gpu
from hardware.units import MIB
from planner.engines.rank_weights import RankWeights, rope_table_bytes
from planner.engines.sharding import Parallel
from planner.engines.vllm.cache_pool import Capacity
from planner.errors import MissingFactError
from planner.estimate.served.spread import Bounds
from planner.estimate.term import Term
from planner.model.experts import Experts
from planner.model.formats.layout import FormatLayout, lay_out
from planner.model.formats.plan import QuantizationPlan
from planner.model.network import Network
from planner.model.opened_model import OpenedModel

# Rotary tables of networks that see images have four times the positions (rotary_embedding/mrope.py in vLLM 0.12.0);
# Qwen3.5 rotates a quarter of each head as well, so that both cancel out.
_TABLE_FACTORS: Final[Mapping[str, float]] = MappingProxyType(
    {"qwen2_vl": 4.0, "qwen2_5_vl": 4.0, "qwen3_vl": 4.0, "qwen3_vl_moe": 4.0, "qwen2_5_omni": 4.0}
)
# Experts in MXFP4 are padded to the kernels' tiles (quantization/mxfp4.py and utils/mxfp4_utils.py, 0.11.0; gpt-oss-20b
# on an H100 loads 13.47 GiB, of which 0.63 are padding).
_MXFP4_INPUTS: Final = 256
_MXFP4_OUTPUTS: Final = 64
_STATE_BYTES: Final[Mapping[str, int]] = MappingProxyType({"float32": 4, "bfloat16": 2, "float16": 2})
_CACHE_NAMES: Final[Mapping[str, str]] = MappingProxyType({"FP8": "fp8", "NVFP4": "nvfp4"})


def _padded(size: float, tile: int) -> int:
    return -(-ceil(size) // tile) * tile


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """A model at the types that it is served in: its network, its stored weights, and what its config says."""

    name: str
    network: Network
    layout: FormatLayout
    model_bytes: int = 2  # of an activation
    state_bytes: int | None = None  # of a recurrent state, where the config says
    checkpoint_cache: str | None = None  # the cache type that a quantized checkpoint asks for
    is_embedding: bool = False  # served for embeddings: the output head is not loaded
    notes: tuple[str, ...] = ()

    @property
    def is_quantized(self) -> bool:
        """Whether its matrices are stored in fewer bits than they are computed with."""
        return self.layout.storage.main_type not in ("BF16", "F16", "F32")

    def expert_padding(self, ranks: Parallel) -> float:
        """How much larger the routed experts get when they are loaded: 1 except for MXFP4.

        Inputs of every matrix are padded to 256, the first product's outputs to 64 on each rank: gate and up have
        hidden inputs, down has intermediate ones.
        """
        blocks = [group.block for group in self.network.groups if isinstance(group.block, Experts)]
        if self.layout.storage.label != "MXFP4" or not blocks:
            return 1.0
        hidden = blocks[0].expert_hidden_size or self.network.hidden_size
        inner = blocks[0].intermediate_size / ranks.expert_tensor
        n_first = 2 if blocks[0].gated else 1
        first = n_first * _padded(hidden, _MXFP4_INPUTS) * _padded(inner, _MXFP4_OUTPUTS)
        return (first + hidden * _padded(inner, _MXFP4_INPUTS)) / ((n_first + 1) * hidden * inner)

    @property
    def rope_bytes(self) -> int:
        """Tables of sines and cosines."""
        table = rope_table_bytes(self.network, self.network.context_tokens, self.model_bytes)
        return round(table * _TABLE_FACTORS.get(self.network.architecture, 1.0))


def served_model(opened: OpenedModel, layout: FormatLayout | None = None) -> ServedModel:
    """The model as published, or stored otherwise; raises MissingFactError where its quantization is not understood.

    A config that names neither an element type nor a quantization is taken for 16-bit weights, and a note says so.
    """
    chosen = layout or opened.published
    notes: tuple[str, ...] = ()
    facts = opened.facts
    if chosen is None and (opened.storage is not None or (facts is not None and facts.quantization)):
        raise MissingFactError(
            f"how the weights of {opened.name} would be stored in a serving engine is not known; name the "
            "repository with safetensors that is to be served"
        )
    if chosen is None:
        chosen = lay_out(opened.network, QuantizationPlan(method="none", linear=None))
        notes = ("its config does not say the weights' type; 16 bits are assumed",)
    return ServedModel(
        name=opened.name,
        network=opened.network,
        layout=chosen,
        state_bytes=_STATE_BYTES.get(facts.state_dtype or "") if facts else None,
        checkpoint_cache=_CACHE_NAMES.get(chosen.kv_cache or ""),
        is_embedding="embedding" in opened.name.lower(),
        notes=notes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingGpu:
    """One of the GPUs that a model is served on; all of them are alike."""

    name: str
    total_bytes: int
    free_bytes: int
    basis: Basis = Basis.VENDOR


@dataclass(frozen=True, slots=True, kw_only=True)
class RankMemory:
    """What one rank of a pipeline stage holds, and what it has left for its caches."""

    stage: int
    terms: tuple[Term, ...]
    limit_bytes: int  # what the engine may use of the GPU
    kv_bytes: int  # what is left for caches and states; negative when nothing is
    kv_bounds: Bounds  # its 80 % interval

    def term_bytes(self, name: str) -> int:
        """Sum of the terms of one name, those of its parts ("weights: layers") included."""
        return round(sum(term.value for term in self.terms if term.name.partition(":")[0] == name))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedMemory:
    """Every stage's rank, the capacity of the pool, and why the engine would refuse to start, if it would."""

    engine: str
    ranks: tuple[RankMemory, ...]
    capacity: Capacity
    max_model_len: int
    n_batched_tokens: int
    n_sequences: int | None
    used_fraction: float  # of the GPU's memory: gpu_memory_utilization or mem_fraction_static
    refusal: str | None
    longest_length: int  # of one request that the pool holds, no more than asked for
    needed_kv_bytes: (
        int  # a GPU's share of one request of that length, without which the engine does not start
    )

    @property
    def starts(self) -> bool:
        """Whether the engine would start."""
        return self.refusal is None

    @property
    def starts_at_low(self) -> bool:
        """Whether it would still start at the low end of what is left for caches."""
        return self.starts and self.needed_kv_bytes <= min(rank.kv_bounds.low for rank in self.ranks)

    @property
    def starts_at_high(self) -> bool:
        """Whether it would start at the high end."""
        return self.starts or 0 < self.needed_kv_bytes <= min(rank.kv_bounds.high for rank in self.ranks)

    @property
    def tightest(self) -> RankMemory:
        """The rank with the least left for its caches."""
        return min(self.ranks, key=lambda rank: rank.kv_bytes)


# What CUDA's own count of a card's memory leaves out of the driver's: 320 to 770 MiB on recorded cards (RTX 3090:
# 23.58 of 24 GiB, RTX 4090: 23.64 of 23.99, H100: 79.18 of 79.65, A100 80 GB: 79.15 of 80).
HIDDEN_BYTES: Final = 430 * MIB


def visible_bytes(gpu: Gpu) -> int | None:
    """The memory that an engine finds on a card, of which it takes its share; None where the size is unknown.

    Unified memory is taken whole; a driver that says what it reserves is believed.
    """
    if gpu.memory_bytes is None:
        return None
    if gpu.accelerator is not None and gpu.accelerator.unified_memory:
        return gpu.memory_bytes
    hidden = gpu.reserved_bytes if gpu.reserved_bytes is not None else HIDDEN_BYTES
    return gpu.memory_bytes - hidden


WEIGHTS: Final = "weights"
ROPE: Final = "rotary tables and copies"
ACTIVATION: Final = "activations"
OTHER: Final = "context and libraries"
GRAPHS: Final = "CUDA graphs"


def weight_terms(found: RankWeights, made_bytes: int, basis: Basis, source: str) -> list[Term]:
    """A term for each part of the weights, and one for what loading makes beside them."""
    terms = [
        Term(name=f"{WEIGHTS}: {part.value}", value=n_bytes, unit="bytes", basis=basis, source=source)
        for part, n_bytes in found.parts.items()
        if n_bytes
    ]
    return [
        *terms,
        Term(
            name=ROPE,
            value=made_bytes,
            unit="bytes",
            basis=Basis.DERIVED,
            source="a row per position; MLA, LoRA",
        ),
    ]
