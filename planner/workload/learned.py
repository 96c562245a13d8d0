"""A workload learned from a log: lengths, shared beginning, hours and days, and how bursty it is."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from planner.errors import MissingFactError
from planner.workload.learned_lengths import distance, learned_lengths, said
from planner.workload.learned_traffic import date_of, learned_traffic, where_from
from planner.workload.logged_request import LoggedRequest, RequestLog
from planner.workload.workload import NOTHING, FigureSource, Workload

FEWEST: Final = 20
_SHARED_BY: Final = 0.75  # of the requests that begin alike


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """The workload, and what the log says beside it."""

    workload: Workload
    n_requests: int
    n_left_out: int
    span_s: float
    distances: tuple[tuple[str, float], ...]  # by length: largest distance between its shares and the log's
    found_again: float | None  # share of prompt tokens whose blocks came before, by hashes
    cached_by_server: float | None  # share that the server says it had
    notes: tuple[str, ...]


def learn(log: RequestLog, name: str) -> Learned:
    """The workload of a log; raises MissingFactError for one of too few requests or no time between them."""
    requests = log.requests
    n = len(requests)
    span_s = requests[-1].arrival_s - requests[0].arrival_s
    if n < FEWEST or span_s <= 0:
        raise MissingFactError(
            f"{log.name!r} holds {n} answered requests over {span_s:.0f} s; at least {FEWEST} at different times are "
            "needed to learn from"
        )
    where = where_from(log)
    notes: list[str] = []
    prompt = learned_lengths([one.n_prompt_tokens for one in requests])
    thinking_told = [one for one in requests if one.n_thinking_tokens is not None]
    thinking = (
        learned_lengths([one.n_thinking_tokens or 0 for one in thinking_told])
        if 2 * len(thinking_told) >= n
        else NOTHING
    )
    if thinking.high == 0:
        thinking = NOTHING
    visible = [
        max(1, one.n_output_tokens - ((one.n_thinking_tokens or 0) if thinking != NOTHING else 0))
        for one in requests
    ]
    output = learned_lengths(visible)
    shared, shared_note, found_again = _shared(requests)
    traffic, traffic_sources = learned_traffic(log, span_s, where, notes)
    distances = [
        ("prompt", distance(prompt, [one.n_prompt_tokens for one in requests])),
        ("output", distance(output, visible)),
    ]
    if thinking != NOTHING:
        distances.append(
            ("thinking", distance(thinking, [one.n_thinking_tokens or 0 for one in thinking_told]))
        )

    def measured(key: str, note: str) -> FigureSource:
        return FigureSource(key=key, basis="measured", note=f"{note}, {where}", date=date_of(log))

    sources = [
        measured("prompt_tokens", said(prompt)),
        measured("output_tokens", said(output)),
        FigureSource(
            key="shared_prefix_tokens",
            basis="measured" if found_again is not None else "assumed",
            note=shared_note,
            date=date_of(log) if found_again is not None else None,
        ),
        *([measured("thinking_tokens", said(thinking))] if thinking != NOTHING else []),
        *traffic_sources,
    ]
    return Learned(
        workload=Workload(
            name=name,
            description=f"learned from {n:,} requests",
            source=where,
            prompt=prompt,
            output=output,
            thinking=thinking,
            shared_prefix_tokens=min(shared, int(prompt.mean)),
            traffic=traffic,
            sources=tuple(sources),
        ),
        n_requests=n,
        n_left_out=log.n_left_out,
        span_s=span_s,
        distances=tuple(distances),
        found_again=found_again,
        cached_by_server=_cached(requests),
        notes=tuple(notes),
    )


def _shared(requests: Sequence[LoggedRequest]) -> tuple[int, str, float | None]:
    """Tokens with which most prompts begin, how that is known, and the share of prompt tokens seen before."""
    hashed = [one for one in requests if one.prefix_hashes]
    if 2 * len(hashed) < len(requests):
        return 0, "the log does not tell which prompts begin alike", None
    depth, n = 0, len(hashed)
    common = hashed
    while True:
        firsts = Counter(
            one.prefix_hashes[depth] for one in common if one.prefix_hashes and len(one.prefix_hashes) > depth
        )
        if not firsts:
            break
        block, n_alike = firsts.most_common(1)[0]
        if n_alike < _SHARED_BY * n:
            break
        common = [
            one for one in common
            if one.prefix_hashes and len(one.prefix_hashes) > depth and one.prefix_hashes[depth] == block
        ]  # fmt: skip
        depth += 1
    seen: set[int] = set()
    found = total = 0
    for one in hashed:
        known = 0
        for block in one.prefix_hashes or ():
            if block not in seen:
                break
            known += 1
        found += min(known * one.block_tokens, one.n_prompt_tokens)
        total += one.n_prompt_tokens
        seen.update(one.prefix_hashes or ())
    tokens = depth * hashed[0].block_tokens
    note = f"{len(common) / n:.0%} of the prompts begin with the same {depth} blocks of {hashed[0].block_tokens} tokens"
    return tokens, note if depth else "no block is common to three quarters of the prompts", found / total


def _cached(requests: Sequence[LoggedRequest]) -> float | None:
    told = [one for one in requests if one.n_cached_tokens is not None]
    if not told:
        return None
    return sum(one.n_cached_tokens or 0 for one in told) / sum(one.n_prompt_tokens for one in told)
