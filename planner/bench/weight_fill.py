"""Random weights of any ggml type: finite, small, and as varied in their bits as real ones.

Only the scales of a block are set, to a fixed number; all other bits are random, which every type of ggml can be
read from. Weights are kept small beside the embeddings, so that the hidden state stays what the token made it and
a router sends different tokens to different experts, as a trained one does. (Blocks of random bits have a mean
that is not zero: with weights of usual size all tokens drift in one direction, and the experts that it likes
best run six to thirteen times as often as the others.)
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from planner.errors import BenchError
from planner.model.ggml_types import GGML_TYPES, GgmlType

_WEIGHT = 2.0**-10  # typical size of a weight in the layers
_EMBEDDING = 1.0
_POOL_BYTES = 2**22  # random blocks are made once and used again from different places
_Bytes = npt.NDArray[np.uint8]

# Where the half-precision scales of a block lie (ggml-common.h), and the size of the integers that they scale:
# a scale is the wanted weight over it. A second scale, of minima, takes the same number.
_SCALES: Mapping[str, tuple[tuple[int, ...], float]] = MappingProxyType(
    {
        "Q4_0": ((0,), 4.6), "Q4_1": ((0, 2), 8.0), "Q5_0": ((0,), 9.2), "Q5_1": ((0, 2), 16.0), "Q8_0": ((0,), 74.0),
        "Q2_K": ((80, 82), 15.0), "Q3_K": ((108,), 40.0), "Q4_K": ((0, 2), 300.0), "Q5_K": ((0, 2), 600.0),
        "Q6_K": ((208,), 1400.0), "IQ2_XXS": ((0,), 60.0), "IQ2_XS": ((0,), 60.0), "IQ2_S": ((0,), 60.0),
        "IQ3_XXS": ((0,), 60.0), "IQ3_S": ((0,), 120.0), "IQ1_S": ((0,), 8.0), "IQ4_NL": ((0,), 60.0),
        "IQ4_XS": ((0,), 1024.0), "TQ1_0": ((52,), 1.0), "TQ2_0": ((64,), 1.0), "Q1_0": ((0,), 1.0),
        "Q2_0": ((0,), 2.0),
    }
)  # fmt: skip
_EXPONENT_BIAS = 127  # of MXFP4's E8M0 scale, whose integers are of size 3 once halved
_UE4M3_SMALL = 0x08  # of NVFP4: 2^-6


class WeightFill:
    """Bytes for the tensors of one file; the same seed gives the same file."""

    def __init__(self, seed: int = 1) -> None:
        self._random = np.random.default_rng(seed)
        self._pools: dict[tuple[str, float], _Bytes] = {}

    def tensor(self, name: str, type_id: int, n_bytes: int, *, n_experts: int = 1) -> Iterator[bytes]:
        """The tensor's bytes in pieces; what vectors hold depends on their part, by the engine's name for it."""
        kind = GGML_TYPES.get(type_id)
        if kind is None:
            raise BenchError(
                f"{name} is of the type {type_id}, which llama.cpp cannot run; name another file"
            )
        constant = _constant(name) if kind.name in ("F32", "F16", "BF16") else None
        if constant is not None:
            yield _floats(np.full(n_bytes // kind.block_bytes, constant, dtype=np.float32), kind).tobytes()
        elif kind.name == "I32":
            yield self._random.integers(0, n_experts, n_bytes // 4, dtype=np.int32).tobytes()
        else:
            size = _EMBEDDING if name.startswith("token_embd") else _size(name)
            yield from self._pieces(self._pool(kind, size), n_bytes, kind.block_bytes)

    def _pieces(self, pool: _Bytes, n_bytes: int, block_bytes: int) -> Iterator[bytes]:
        left = n_bytes // block_bytes
        while left:
            n = min(left, len(pool))
            start = int(self._random.integers(0, len(pool) - n + 1))
            yield pool[start : start + n].tobytes()
            left -= n

    def _pool(self, kind: GgmlType, size: float) -> _Bytes:
        key = (kind.name, size)
        if key not in self._pools:
            n = _POOL_BYTES // kind.block_bytes
            if kind.name in ("F32", "F16", "BF16"):
                values = self._random.standard_normal(n, dtype=np.float32) * np.float32(size)
                self._pools[key] = _floats(values, kind)
            else:
                self._pools[key] = self._blocks(kind, n, size)
        return self._pools[key]

    def _blocks(self, kind: GgmlType, n: int, size: float) -> _Bytes:
        blocks = self._random.integers(0, 256, (n, kind.block_bytes), dtype=np.uint8)
        if kind.name == "MXFP4":
            blocks[:, 0] = _EXPONENT_BIAS + round(np.log2(size / 3))
        elif kind.name == "NVFP4":
            blocks[:, :4] = _UE4M3_SMALL
        elif kind.name == "IQ1_M":
            # Four words of scales, whose upper four bits together are one half-precision number.
            words = blocks[:, 48:56].view(np.uint16)
            scale = int(np.float16(size / 8).view(np.uint16))
            for index in range(4):
                words[:, index] = words[:, index] & 0x0FFF | ((scale >> 4 * index & 0xF) << 12)
        elif kind.name in _SCALES:
            places, integers = _SCALES[kind.name]
            scale_bytes = np.frombuffer(np.float16(size / integers).tobytes(), dtype=np.uint8)
            for place in places:
                blocks[:, place : place + 2] = scale_bytes
        else:
            raise BenchError(
                f"weights of the type {kind.name} cannot be made up; choose another quantization"
            )
        return blocks


def _size(name: str) -> float:
    """Routers see normalized input: weights of this size spread their logits by about one."""
    return 2.0**-5 if ".ffn_gate_inp." in name else _WEIGHT


def _constant(name: str) -> float | None:
    """What a vector must hold for the engine's formulas to stay finite and its router unbiased; None for random."""
    if name.endswith((".bias", "_sinks.weight", "sinks")):
        return 0.0
    if name.endswith("ssm_a"):
        return -1.0  # decay: exp of it times a positive step
    if "norm" in name or name.startswith("rope_f") or name.endswith((".scale", "ssm_d", "_scale.weight")):
        return 1.0
    return None


def _floats(values: npt.NDArray[np.float32], kind: GgmlType) -> _Bytes:
    if kind.name == "F16":
        values = values.astype(np.float16)
    if kind.name == "BF16":
        return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8).reshape(-1, 2)
    return values.view(np.uint8).reshape(-1, kind.block_bytes)
