"""Which tensor has which type, when only the numbers of tensors per type and the file's size are known.

A GGUF's page, `gguf-dump` and the engine's first lines say "f32: 361 tensors, q8_0: 612, iq3_k_r4: 116 …" and the
size; the table itself stands only in the file. A mix that somebody made by hand gives all tensors of one role one
type nearly always, so the counts and the size mostly leave one way to deal the types out to the roles.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from planner.model.ggml_types import type_by_name
from planner.model.storage import Storage, StoredWeight

# The size is printed with two or three digits of a GiB, so that sums this near to it are the file's own.
_SIZE_TOLERANCE: Final = 0.0006
_MOST_STATES: Final = 20_000  # of the search over roles; real files need some hundreds
_SMALL_TABLES: Final = 2  # in F32 that no part of a network stands for, such as rotary factors
_MOST_SUMS: Final = 48  # byte sums that are followed up for one state
_UNIT: Final = ("F32", "I32")
# Of tensors of one size a quantizer keeps these finer, from left to right (llama-quantize: use_more_bits for
# attn_v and ffn_down; attn_output before attn_q): words of their names.
_FINER: Final = ("gate", "up", "q", "output", "k", "down", "v")
_ROWS: Final = re.compile(r"_R\d+$", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Deal:
    """Types of the roles dealt so far, and the bytes that they take."""

    n_bytes: int
    types: tuple[str, ...]


def mixed_storage(start: Storage, counts: Mapping[str, int], file_bytes: float | None) -> Storage | None:
    """A storage with these numbers of tensors per type, and the size within what was printed.

    `start` has the tensors, in any types. Tried in order: one type for each role; the finest types for the
    smallest tensors. None when the counts are those of another network. The latter is only a likely order, so its
    layers are scaled to the size.
    """
    if sum(_quantized(counts).values()) + _kept_f32(start, counts) < sum(
        _quantized(counts_of(start)).values()
    ):
        return None
    if sum(_quantized(counts).values()) > sum(_quantized(counts_of(start)).values()):
        return None
    by_role = _by_role(start, counts, file_bytes)
    if by_role is not None:
        return by_role
    if sum(_quantized(counts).values()) != sum(_quantized(counts_of(start)).values()):
        return None
    dealt = _by_size(start, counts)
    return scaled(dealt, file_bytes) if file_bytes is not None else dealt


def preset_mix(start: Storage, counts: Mapping[str, int], file_bytes: float | None) -> Storage | None:
    """The storage that a preset gives, if it has these counts and this size, rows interleaved where the types say so."""
    if _quantized(counts_of(start)) != _quantized(counts):
        start_interleaved = _interleaved(start, counts)
        if start_interleaved is None:
            return None
        start = start_interleaved
    if file_bytes is not None and abs(start.total_bytes / file_bytes - 1) > _SIZE_TOLERANCE:
        return None
    return start


def scaled(storage: Storage, file_bytes: float) -> Storage:
    """The storage with the bytes of its layers changed in proportion, so that all tensors add up to the size."""
    inner = sum(weight.n_bytes for weight in storage.weights if weight.layer is not None)
    outer = storage.total_bytes - inner
    if inner <= 0 or file_bytes <= outer:
        return storage
    factor = (file_bytes - outer) / inner
    weights = tuple(
        weight if weight.layer is None else replace(weight, n_bytes=round(weight.n_bytes * factor))
        for weight in storage.weights
    )
    return replace(storage, weights=weights)


def counts_of(storage: Storage) -> dict[str, int]:
    """How many tensors have each type."""
    found: dict[str, int] = {}
    for weight in storage.weights:
        found[weight.type_name] = found.get(weight.type_name, 0) + 1
    return found


def _interleaved(start: Storage, counts: Mapping[str, int]) -> Storage | None:
    """The preset with rows interleaved (the fork's "_R4" types), if that has the counts; the table stays as it is."""
    plain: dict[str, int] = {}
    variety: dict[str, str] = {}
    for name, n in _quantized(counts).items():
        bare = _ROWS.sub("", name)
        plain[bare] = plain.get(bare, 0) + n
        if bare != name:
            variety[bare] = name
    if not variety or plain != _quantized(counts_of(start)):
        return None
    weights = tuple(
        weight
        if weight.type_name not in variety or weight.role == "token_embd"
        else _as_type(weight, variety[weight.type_name])
        for weight in start.weights
    )
    return replace(start, weights=weights)


def _kept_f32(start: Storage, counts: Mapping[str, int]) -> int:
    """How many more tensors are in F32 than the quantizer would leave so, small tables apart."""
    more = counts.get("F32", 0) - counts_of(start).get("F32", 0)
    return more if more > _SMALL_TABLES else 0


def _quantized(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts without F32: files differ in small tables (rotary factors) that are no weights."""
    return {name: n for name, n in counts.items() if n and name not in _UNIT}


def _by_role(start: Storage, counts: Mapping[str, int], file_bytes: float | None) -> Storage | None:
    """One type for each role, if some way to do so has the counts and the size."""
    roles: dict[tuple[bool, str], list[StoredWeight]] = {}
    for weight in start.weights:
        if weight.type_name not in _UNIT:
            roles.setdefault((weight.layer is None, weight.role), []).append(weight)
    order = sorted(roles, key=lambda key: -len(roles[key]))
    names = [name for name, n in counts.items() if n and name not in _UNIT]
    left = tuple(counts[name] for name in names)
    more = _kept_f32(start, counts)
    if more:  # roles that a quantizer would touch, and this file's maker did not
        names, left = [*names, "F32"], (*left, more)
    states: dict[tuple[int, ...], list[_Deal]] = {left: [_Deal(0, ())]}
    for key in order:
        weights = roles[key]
        sizes = [_bytes(weights, name) for name in names]
        following: dict[tuple[int, ...], dict[int, _Deal]] = {}
        for state, deals in states.items():
            for i, size in enumerate(sizes):
                if size is None or state[i] < len(weights):
                    continue
                after = (*state[:i], state[i] - len(weights), *state[i + 1 :])
                found = following.setdefault(after, {})
                for deal in deals:
                    total = deal.n_bytes + size
                    if total not in found and len(found) < _MOST_SUMS:
                        found[total] = _Deal(total, (*deal.types, names[i]))
        if len(following) > _MOST_STATES:
            return None
        states = {state: list(found.values()) for state, found in following.items()}
    n_named = len(names) - bool(more)
    ends = [
        deal
        for state, deals in states.items()
        if not any(state[:n_named]) and sum(state[n_named:]) <= _SMALL_TABLES
        for deal in deals
    ]
    if not ends:
        return None
    units = sum(weight.n_bytes for weight in start.weights if weight.type_name in _UNIT)
    if file_bytes is None:
        best = ends[0] if len(ends) == 1 else None
    else:
        best = min(ends, key=lambda deal: abs(deal.n_bytes + units - file_bytes))
        if abs((best.n_bytes + units) / file_bytes - 1) > _SIZE_TOLERANCE:
            best = None
    if best is None:
        return None
    chosen = _finest_where_kept(roles, dict(zip(order, best.types, strict=True)))
    return replace(
        start,
        weights=tuple(
            weight
            if weight.type_name in _UNIT
            else _as_type(weight, chosen[weight.layer is None, weight.role])
            for weight in start.weights
        ),
    )


def _finest_where_kept(
    roles: Mapping[tuple[bool, str], list[StoredWeight]], chosen: Mapping[tuple[bool, str], str]
) -> dict[tuple[bool, str], str]:
    """The same types, dealt out anew among roles of one size, which counts and size cannot tell apart."""
    alike: dict[tuple[object, ...], list[tuple[bool, str]]] = {}
    for (is_outer, role), weights in roles.items():
        sizes = (_bytes(weights, name) for name in sorted(set(chosen.values())))
        key = (is_outer, len(weights), sum(w.n_elements for w in weights), weights[0].is_expert, *sizes)
        alike.setdefault(key, []).append((is_outer, role))
    found = dict(chosen)
    for keys in alike.values():
        types = sorted((chosen[key] for key in keys), key=lambda name: type_by_name(name).bits_per_weight)
        found.update(zip(sorted(keys, key=lambda key: _fineness(key[1])), types, strict=True))
    return found


def _fineness(role: str) -> int:
    """How far right a role stands among those that a quantizer keeps finer."""
    return next((i for i, word in enumerate(_FINER) if f"_{word}" in f"_{role}"), -1)


def _by_size(start: Storage, counts: Mapping[str, int]) -> Storage:
    """Tables and head as `start` has them, then the coarsest types for experts, and for the larger tensors.

    Of tensors of one size those that a quantizer keeps finer come last.
    """
    left = _quantized(counts)
    weights = list(start.weights)
    places = []
    for i, weight in enumerate(weights):
        if weight.type_name in _UNIT:
            continue
        if weight.layer is None and left.get(weight.type_name):
            left[weight.type_name] -= 1
        else:
            places.append(i)

    def order(i: int) -> tuple[bool, int, int, int]:
        weight = start.weights[i]
        return not weight.is_expert, -weight.n_elements, _fineness(weight.role), i

    names = sorted(left, key=lambda name: type_by_name(name).bits_per_weight)
    dealt = [name for name in names for _ in range(left[name])]
    for i, name in zip(sorted(places, key=order), dealt, strict=True):
        weights[i] = _as_type(weights[i], name)
    return replace(start, weights=tuple(weights))


def _bytes(weights: Sequence[StoredWeight], name: str) -> int | None:
    """Bytes of tensors in a type; None where its blocks do not divide a row."""
    block = type_by_name(name).block_elements
    if any(weight.shape[0] % block for weight in weights):
        return None
    return sum(_as_type(weight, name).n_bytes for weight in weights)


def _as_type(weight: StoredWeight, name: str) -> StoredWeight:
    row = weight.shape[0]
    return replace(
        weight, type_name=name, n_bytes=weight.n_elements // row * type_by_name(name).row_bytes(row)
    )
