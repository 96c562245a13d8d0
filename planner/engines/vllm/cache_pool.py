"""vLLM's pool of cache blocks: how layers share it, how many blocks a memory holds, how many requests at a length.

Layers of different kinds share one pool: equal numbers of layers make a group, the groups take turns at the same
tensors, and a block is a page of every layer of the largest group. Source: vllm/v1/core/kv_cache_utils.py, read in
0.9.2, 0.10.0, 0.11.0, 0.12.0, 0.14.0, 0.16.0, 0.19.0, 0.20.2, 0.25.1, 0.33.0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from planner.engines.release import Release
from planner.engines.vllm.cache_groups import CacheGroup, packed_groups
from planner.engines.vllm.cache_specs import InFlight, LayerSpec
from planner.engines.vllm.settings import CAPACITY_BY_CONCURRENCY, PAGES_UNIFIED
from planner.errors import UnknownArchitectureError

# few layers more than the fewest are one group (read in 0.12.0, not in 0.11.0)
_LARGE_GROUPS: Final = Release(0, 11, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePool:
    """The groups, and what one block of the pool takes on a rank."""

    groups: tuple[CacheGroup, ...]
    block_bytes: int

    def n_blocks(self, n_bytes: int) -> int:
        """Blocks that a memory holds."""
        return max(0, n_bytes // self.block_bytes) if self.block_bytes else 0

    def request_blocks(self, n_tokens: int, step: InFlight) -> int:
        """Blocks that one request of a length needs: the pages of every group."""
        return sum(group.spec.pages(n_tokens, step) for group in self.groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a pool can serve, as the engine prints it."""

    n_blocks: int
    n_tokens: int
    concurrency: float


def pool(layers: Sequence[Sequence[LayerSpec]], version: Release, stage: range | None = None) -> CachePool:
    """The pool for these layers' caches on the rank of one pipeline stage; draft layers lie on the last one.

    Groups are made for the whole network and keep those layers of them that the stage has. Raises
    UnknownArchitectureError where the engine refuses to mix the pages.
    """
    placed = [(spec, index) for index, layer in enumerate(layers) for spec in layer]
    if not placed:
        return CachePool(groups=(), block_bytes=0)
    on_stage = stage or range(len(layers))
    kinds = {spec for spec, _ in placed}
    if any(spec.packed for spec in kinds):
        packed = packed_groups(placed, version, on_stage)
        return CachePool(groups=packed.groups, block_bytes=packed.block_bytes)
    if all(spec.kind == "full" for spec in kinds) and len({spec.block_tokens for spec in kinds}) == 1:
        # One table serves them all, whatever the width of each ("uniform type").
        largest = max(kinds, key=lambda spec: spec.page_bytes)
        here = [spec for spec, index in placed if index in on_stage]
        group = CacheGroup(spec=largest, layers=tuple(index for _, index in placed))
        return CachePool(groups=(group,), block_bytes=sum(spec.page_bytes for spec in here))
    placed = _same_pages(placed, version)
    groups = _groups(placed, version)
    page = groups[0].spec.page_bytes
    size = max(sum(index in on_stage for index in group.layers) for group in groups)
    return CachePool(groups=groups, block_bytes=page * size)


def _same_pages(placed: list[tuple[LayerSpec, int]], version: Release) -> list[tuple[LayerSpec, int]]:
    """Every page as large as the largest: smaller ones hold more tokens where they divide it, else they are padded."""
    largest = max(spec.page_bytes for spec, _ in placed)
    if all(spec.page_bytes == largest for spec, _ in placed):
        return placed
    if version < PAGES_UNIFIED:
        raise UnknownArchitectureError(
            f"vLLM {version} cannot mix layers whose cache pages differ in size; {PAGES_UNIFIED} and later can"
        )
    return [(_unified(spec, largest), index) for spec, index in placed]


def _unified(spec: LayerSpec, page_bytes: int) -> LayerSpec:
    if spec.kind == "state" or page_bytes % spec.page_bytes:
        return replace(spec, page_bytes=page_bytes)
    ratio = page_bytes // spec.page_bytes
    return replace(spec, page_bytes=page_bytes, block_tokens=spec.block_tokens * ratio)


def _groups(placed: list[tuple[LayerSpec, int]], version: Release) -> tuple[CacheGroup, ...]:
    """Groups of as many layers as the rarest kind has; a kind with few more makes the size (1.25, since 0.19 1.5).

    `_get_kv_cache_groups_uniform_page_size`; layers are dealt out in turns, so that pipeline stages stay even.
    """
    alike: dict[LayerSpec, list[int]] = {}
    for spec, index in placed:
        alike.setdefault(spec, []).append(index)
    sizes = [len(indices) for indices in alike.values()]
    size = min(sizes)
    ratio = 1.5 if version >= Release(0, 19) else 1.25
    if version >= _LARGE_GROUPS and max(sizes) < size * ratio:
        size = max(sizes)
    found = []
    for spec, indices in alike.items():
        n_groups = -(-len(indices) // size)
        found += [CacheGroup(spec=spec, layers=tuple(indices[i::n_groups])) for i in range(n_groups)]
    return tuple(found)


def capacity(
    made: CachePool,
    n_bytes: int,
    *,
    version: Release,
    max_model_len: int,
    step: InFlight,
) -> Capacity:
    """Blocks, "GPU KV cache size" in tokens and "Maximum concurrency" of a pool of this many bytes.

    Until 0.19 tokens are blocks / groups * the smallest block; since 0.20 concurrency * length, which counts what a
    window or a state saves (`_report_kv_cache_config`).
    """
    blocks = made.n_blocks(n_bytes)
    needed = made.request_blocks(max_model_len, step)
    concurrency = blocks / needed if needed else 0.0
    if version >= CAPACITY_BY_CONCURRENCY:
        tokens = int(concurrency * max_model_len)
    else:
        smallest = min((g.spec.block_tokens for g in made.groups), default=0)
        tokens = blocks // max(1, len(made.groups)) * smallest
    return Capacity(n_blocks=blocks, n_tokens=tokens, concurrency=concurrency)


def longest_length(made: CachePool, n_bytes: int, *, step: InFlight, at_most: int) -> int:
    """The longest request that the pool holds, up to a length; 0 when it holds none.

    `_estimate_max_model_len_from_groups`: the engine searches the same way when it refuses to start.
    """
    blocks = made.n_blocks(n_bytes)
    low, high = 0, at_most
    while low < high:
        middle = (low + high + 1) // 2
        if made.request_blocks(middle, step) <= blocks:
            low = middle
        else:
            high = middle - 1
    return low
