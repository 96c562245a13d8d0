"""Random weights of any ggml type: finite, and as varied in their bits and scales as real ones.

All bits are random, which every type of ggml can be read from, but for the scales of blocks. Those are about as large
and as spread as in real files, each another: with one for all, SmolLM2-135M decoded 8 % faster than with its own, and
x86 kernels read scales by a table of 256 KiB, which then stays in the first cache. Where a block has a minimum too, it
makes the mean zero.

What layers add to the hidden state is kept small beside the embeddings, so that the state stays what the token made
it and a router sends different tokens to different experts, as a trained one does. With outputs of usual size all
tokens drift in one direction, and the experts that it likes best run six to thirteen times as often as the others.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from planner.errors import BenchError
from planner.model.ggml_types import GGML_TYPES, GgmlType

_WEIGHT = 2.0**-5  # typical size of a weight
_OUTPUT = 2.0**-8  # of those that add to the hidden state
_EMBEDDING = 1.0
_OUTPUTS = (
    "attn_output",
    "ffn_down",
    "ssm_out",
    "time_mix_output",
    "channel_mix_value",
    "shortconv.out_proj",
)
_SCALE_SPREAD = 0.35  # standard deviation of the logarithm of a block's scale; 0.2 to 0.6 in real files
_MINIMUM_SPREAD = 0.1  # that much of a minimum's is its own
_POOL_BYTES = 2**22  # random blocks are made once and used again from different places
_Bytes = npt.NDArray[np.uint8]
_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where a block's half-precision scale lies (ggml-common.h), and how large the integers are that it multiplies."""

    place: int
    integers: float
    signed: bool = False  # in these types the largest element decides the sign
    minimum_place: int | None = None
    minimum_ratio: float = 0.0  # to the scale, where the mean is zero


_SCALES: Mapping[str, _Scale] = MappingProxyType(
    {
        "Q4_0": _Scale(0, 4.6, signed=True), "Q5_0": _Scale(0, 9.2, signed=True), "Q8_0": _Scale(0, 74),
        "Q4_1": _Scale(0, 4.6, minimum_place=2, minimum_ratio=-7.5),
        "Q5_1": _Scale(0, 9.2, minimum_place=2, minimum_ratio=-15.5),
        "Q2_K": _Scale(80, 9, minimum_place=82, minimum_ratio=1.5), "Q3_K": _Scale(108, 40, signed=True),
        "Q4_K": _Scale(0, 160, minimum_place=2, minimum_ratio=7.5),
        "Q5_K": _Scale(0, 320, minimum_place=2, minimum_ratio=15.5), "Q6_K": _Scale(208, 1400, signed=True),
        "IQ2_XXS": _Scale(0, 60), "IQ2_XS": _Scale(0, 60), "IQ2_S": _Scale(0, 60), "IQ3_XXS": _Scale(0, 60),
        "IQ3_S": _Scale(0, 120), "IQ1_S": _Scale(0, 8), "IQ4_NL": _Scale(0, 60, signed=True),
        "IQ4_XS": _Scale(0, 1024, signed=True), "TQ1_0": _Scale(52, 1), "TQ2_0": _Scale(64, 1),
        "Q1_0": _Scale(0, 1), "Q2_0": _Scale(0, 2),
    }
)  # fmt: skip
_EXPONENT_BIAS = 127  # of MXFP4's E8M0 scale, whose integers are of size 3 once halved
_UE4M3 = (0x06, 0x0C)  # of NVFP4: scales about 2^-6


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
            yield from self._pieces(self._pool(kind, _size(name)), n_bytes, kind.block_bytes)

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
            blocks[:, 0] = _EXPONENT_BIAS + round(np.log2(size / 3)) + self._random.integers(-1, 2, n)
        elif kind.name == "NVFP4":
            blocks[:, :4] = self._random.integers(*_UE4M3, (n, 4))
        elif kind.name == "IQ1_M":
            # Four words of scales, whose upper four bits together are one half-precision number.
            words = blocks[:, 48:56].view(np.uint16)
            halves = _half(self._about(size / 8, n)).view(np.uint16)[:, 0]
            for index in range(4):
                words[:, index] = words[:, index] & 0x0FFF | ((halves >> 4 * index & 0xF) << 12)
        elif kind.name in _SCALES:
            self._set_scales(blocks, _SCALES[kind.name], size)
        else:
            raise BenchError(f"weights of the type {kind.name} cannot be made up; choose another one")
        return blocks

    def _set_scales(self, blocks: _Bytes, scale: _Scale, size: float) -> None:
        n = len(blocks)
        values = self._about(size / scale.integers, n)
        signs = self._random.choice((-1.0, 1.0), n) if scale.signed else 1.0
        blocks[:, scale.place : scale.place + 2] = _half(values * signs)
        if scale.minimum_place is not None:
            minima = values * self._about(scale.minimum_ratio, n, _MINIMUM_SPREAD)
            blocks[:, scale.minimum_place : scale.minimum_place + 2] = _half(minima)

    def _about(self, value: float, n: int, spread: float = _SCALE_SPREAD) -> _Numbers:
        """Different numbers about one."""
        return value * np.exp(spread * self._random.standard_normal(n))


def _half(values: _Numbers) -> _Bytes:
    return values.astype(np.float16).view(np.uint8).reshape(-1, 2)


def _size(name: str) -> float:
    """Outputs of layers are small; routers see normalized input, which the usual size spreads by about one."""
    if name.startswith("token_embd"):
        return _EMBEDDING
    return _OUTPUT if any(f".{part}" in name for part in _OUTPUTS) else _WEIGHT


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
