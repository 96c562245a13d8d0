"""Groups of caches that share a block table in vLLM's pool, and those whose pages lie side by side in a block."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from planner.engines.release import Release
from planner.engines.vllm.cache_specs import LayerSpec
from planner.errors import UnknownArchitectureError

# `_get_packed_kv_cache_groups` in v1/core/kv_cache_planning.py (0.33.0); read in 0.29.0 too, absent in 0.27.1.
PACKED: Final = Release(0, 28, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheGroup:
    """Caches that share a block table: the spec that decides their pages, and the layers that they lie in."""

    spec: LayerSpec
    layers: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedGroups:
    """Groups of packed pages, and the bytes of a block: the sum of the pages of the widest group."""

    groups: tuple[CacheGroup, ...]
    block_bytes: int


def packed_groups(placed: Sequence[tuple[LayerSpec, int]], version: Release, stage: range) -> PackedGroups:
    """Groups of caches of one kind, block and window; pages of every size of a group lie side by side in a block.

    Kinds that have as many layers of each page size repeat as a pattern, and are split into groups of about as many
    repeats as the largest kind that mixes sizes. Raises UnknownArchitectureError for versions that pack otherwise.
    """
    if version < PACKED:
        raise UnknownArchitectureError(
            f"how vLLM {version} shares its pool among compressed caches is not known; {PACKED} and later are"
        )
    buckets: dict[tuple[str, int, int | None], list[tuple[LayerSpec, int]]] = {}
    for spec, layer in placed:
        buckets.setdefault((spec.kind, spec.block_tokens, spec.window_tokens), []).append((spec, layer))
    counts = [Counter(spec.page_bytes for spec, _ in bucket) for bucket in buckets.values()]
    balanced = [len(set(count.values())) == 1 for count in counts]
    mixing = [max(c.values()) for c, even in zip(counts, balanced, strict=True) if even and len(c) > 1]
    repeats = _fewest_padded(
        [max(c.values()) for c, even in zip(counts, balanced, strict=True) if even], mixing
    )
    groups: list[CacheGroup] = []
    widest = 0
    for bucket, count, even in zip(buckets.values(), counts, balanced, strict=True):
        n_groups = -(-max(count.values()) // repeats) if even and repeats else 1
        here = Counter(spec.page_bytes for spec, layer in bucket if layer in stage)
        widest = max(widest, sum(-(-n // n_groups) * page for page, n in here.items()))
        layers = tuple(layer for _, layer in bucket)
        spec = max((spec for spec, _ in bucket), key=lambda found: found.page_bytes)
        groups += [CacheGroup(spec=spec, layers=layers[i::n_groups]) for i in range(n_groups)]
    return PackedGroups(groups=tuple(groups), block_bytes=widest)


def _fewest_padded(counts: Sequence[int], mixing: Sequence[int]) -> int | None:
    """Repeats per group, at least the largest that mixes sizes, with which rounding up pads least (`_approximate_gcd`)."""
    if not mixing:
        return None
    least = max(mixing)
    sizes = range(least, max(*counts, least) + 1)
    return min(sizes, key=lambda d: (sum(-n % d for n in counts), -d))
