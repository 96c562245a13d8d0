"""`planner fit REF --engine vllm|sglang` as a document: does it start, what lies on each GPU, how many tokens fit."""

import shlex
from typing import Any

from hardware.units import MILLI, format_bytes
from planner.engines.sharding import Parallel
from planner.estimate.served.answer import ServingAnswer, ServingRow
from planner.estimate.served.model import RankMemory, ServedMemory, ServingGpu
from planner.report.document import Document, Table
from planner.report.estimate_terms import term_data
from planner.report.served_prefix import prefix_data, prefix_tables, shown_interval, speed_data

ENGINE_NAMES = {"vllm": "vLLM", "sglang": "SGLang"}


def serving_document(answer: ServingAnswer) -> Document:
    """The answer: a sentence or two, one row per split and length, and the terms of the best one's GPU."""
    best = answer.best
    engine = f"{ENGINE_NAMES[answer.engine]} {answer.version}"
    return Document(
        schema="planner.serving-fit/1",
        title=f"{answer.opened.name} on {_machines(answer)} with {engine}",
        answer=_sentences(answer, best, engine),
        tables=(
            _choices_table(answer),
            _memory_table(answer, best),
            *((_speed_table(answer),) if answer.speeds else ()),
            *prefix_tables(answer.prefix, answer.speeds),
        ),
        commands=(shlex.join(best.command),) if best.memory.starts else (),
        notes=(
            *answer.notes,
            *answer.machine.problems,
            *((f"speed: {answer.speed_missing}",) if answer.speed_missing else ()),
            *_own_loads(answer),
        ),
        data=_data(answer),
    )


def _machines(answer: ServingAnswer) -> str:
    n = answer.n_machines
    return f"{n} × {answer.machine.name}" if n > 1 else answer.machine.name


def _sentences(answer: ServingAnswer, best: ServingRow, engine: str) -> tuple[str, ...]:
    memory = best.memory
    where = _split(best.parallel, answer.gpu)
    if not memory.starts:
        lacking = (
            f" It lacks {format_bytes(-memory.tightest.kv_bytes)} a GPU."
            if memory.tightest.kv_bytes < 0
            else ""
        )
        close = ("It is close: at the high end of the 80 % interval it would start.",)
        return (
            f"{engine} does not start {answer.opened.name} {where}: {memory.refusal}.{lacking}",
            *(close if memory.starts_at_high else ()),
            _next_step(answer, memory),
        )
    bounds = memory.tightest.kv_bounds
    between = f"{format_bytes(max(0, bounds.low))}–{format_bytes(bounds.high)}"
    pool = f"{format_bytes(memory.tightest.kv_bytes)} ({between}) a GPU for the KV cache"
    sentence = (
        f"{engine} starts {answer.opened.name} ({answer.layout_label}) {where}: {pool} hold "
        f"{memory.capacity.n_tokens:,} tokens, {memory.capacity.concurrency:.1f} requests of "
        f"{memory.max_model_len:,} tokens at once."
    )
    if memory.starts_at_low:
        return (sentence,)
    return (sentence, "It is close: at the low end of the 80 % interval it would not start.")


def _next_step(answer: ServingAnswer, memory: ServedMemory) -> str:
    if memory.longest_length:
        return f"Ask for --context {memory.longest_length} or less, or for a cache in fewer bits (--kv-cache-dtype fp8)."
    return (
        f"More GPUs than {answer.n_gpus}, weights in fewer bits or a smaller model would start; "
        "--gpu-fraction gives the engine more of each GPU."
    )


def _split(ranks: Parallel, gpu: ServingGpu) -> str:
    parts = [f"{ranks.tensor}-way tensor parallel"] if ranks.tensor > 1 else []
    if ranks.pipeline > 1:
        parts.append(f"{ranks.pipeline} pipeline stages")
    if ranks.expert > 1:
        parts.append(f"experts over {ranks.expert}")
    if ranks.attention_replicas > 1:
        parts.append(f"{ranks.attention_replicas} attention replicas")
    on = f"on {ranks.n_devices} × {gpu.name}" if ranks.n_devices > 1 else f"on one {gpu.name}"
    return f"{on} ({', '.join(parts)})" if parts else on


def _choices_table(answer: ServingAnswer) -> Table:
    return Table(
        title="What starts",
        headers=("GPUs", "split", "length", "starts", "weights", "KV cache", "tokens", "at once"),
        rows=tuple(
            (
                str(row.parallel.n_devices),
                short_split(row.parallel),
                f"{row.memory.max_model_len:,}",
                "yes" if row.memory.starts else "no",
                format_bytes(_weights(row.memory.tightest)),
                format_bytes(row.memory.tightest.kv_bytes) if row.memory.tightest.kv_bytes > 0 else "–",
                f"{row.memory.capacity.n_tokens:,}" if row.memory.starts else "–",
                f"{row.memory.capacity.concurrency:.1f}" if row.memory.starts else "–",
            )
            for row in answer.rows
        ),
        right=(0, 2, 4, 5, 6, 7),
    )


def _own_loads(answer: ServingAnswer) -> tuple[str, ...]:
    n_loads = max((speed.n_own_loads for speed in answer.speeds), default=0)
    return (
        (
            f"times are moved by {n_loads} measured loads of yours; planner calibrate --show, planner bench list",
        )
        if n_loads
        else ()
    )


def _speed_table(answer: ServingAnswer) -> Table:
    load = answer.load
    shared = f" ({load.n_prefix_tokens:,} of them shared)" if load.n_prefix_tokens else ""
    return Table(
        title=f"How fast: {load.n_prompt_tokens:,} tokens in{shared}, {load.n_output_tokens:,} out, 80 % intervals",
        headers=("at once", "first token, s", "per token, ms", "tokens/s together"),
        rows=tuple(
            (
                str(speed.n_requests),
                shown_interval(speed.latency.ttft_s),
                shown_interval(speed.latency.tpot_s, 1 / MILLI),
                f"{speed.tokens_per_s:,.0f}",
            )
            for speed in answer.speeds
        ),
        right=(0, 1, 2, 3),
    )


def _weights(rank: RankMemory) -> int:
    return rank.term_bytes("weights") + rank.term_bytes("rotary tables and copies")


def short_split(ranks: Parallel) -> str:
    """A split in a word or two: "TP8 PP2"."""
    parts = [f"TP{ranks.tensor}"]
    parts += [
        f"{name}{n}"
        for name, n in (("PP", ranks.pipeline), ("EP", ranks.expert), ("DP", ranks.attention_replicas))
        if n > 1
    ]
    return " ".join(parts)


def _memory_table(answer: ServingAnswer, best: ServingRow) -> Table:
    ranks = best.memory.ranks
    names = list(dict.fromkeys(term.name for rank in ranks for term in rank.terms))
    body: list[tuple[str, ...]] = []
    for name in names:
        terms = [next((t for t in rank.terms if t.name == name), None) for rank in ranks]
        source = next(f"{term.basis.value}: {term.source}" for term in terms if term is not None)
        body.append((name, *(format_bytes(t.value) if t else "–" for t in terms), source))
    body.append(("KV cache", *(format_bytes(rank.kv_bytes) for rank in ranks), "what is left"))
    between = (f"{format_bytes(rank.kv_bounds.low)}–{format_bytes(rank.kv_bounds.high)}" for rank in ranks)
    body.append(("its 80 % interval", *between, "the terms' spreads"))
    share = f"{best.memory.used_fraction:g} of {format_bytes(answer.gpu.total_bytes)}"
    body.append(("the engine may use", *(format_bytes(rank.limit_bytes) for rank in ranks), share))
    headers = tuple(f"stage {rank.stage}" for rank in ranks) if len(ranks) > 1 else ("each GPU",)
    return Table(
        title=f"Memory of a GPU: {short_split(best.parallel)} at {best.memory.max_model_len:,} tokens",
        headers=("", *headers, "from"),
        rows=tuple(body),
        right=tuple(range(1, len(ranks) + 1)),
    )


def _data(answer: ServingAnswer) -> dict[str, Any]:
    return {
        "machine": answer.machine.name,
        "n_machines": answer.n_machines,
        "model": answer.opened.name,
        "engine": answer.engine,
        "engine_version": answer.version,
        "gpu": answer.gpu.name,
        "gpu_bytes": answer.gpu.total_bytes,
        "n_gpus": answer.n_gpus,
        "storage": answer.layout_label,
        "rows": [_row_data(row) for row in answer.rows],
        "n_prompt_tokens": answer.load.n_prompt_tokens,
        "n_output_tokens": answer.load.n_output_tokens,
        "speeds": [speed_data(speed) for speed in answer.speeds],
        "prefix": prefix_data(answer.prefix),
        "speed_missing": answer.speed_missing,
        "notes": [*answer.notes, *answer.machine.problems],
    }


def _row_data(row: ServingRow) -> dict[str, Any]:
    memory = row.memory
    return {
        "tensor_parallel": row.parallel.tensor,
        "pipeline_parallel": row.parallel.pipeline,
        "expert_parallel": row.parallel.expert,
        "attention_replicas": row.parallel.attention_replicas,
        "n_gpus": row.parallel.n_devices,
        "starts": memory.starts,
        "refusal": memory.refusal,
        "max_model_len_tokens": memory.max_model_len,
        "longest_request_tokens": memory.longest_length,
        "max_num_batched_tokens": memory.n_batched_tokens,
        "max_num_seqs": memory.n_sequences,
        "used_fraction": memory.used_fraction,
        "kv_bytes": memory.tightest.kv_bytes,
        "kv_low_bytes": memory.tightest.kv_bounds.low,
        "kv_high_bytes": memory.tightest.kv_bounds.high,
        "starts_at_low": memory.starts_at_low,
        "starts_at_high": memory.starts_at_high,
        "kv_tokens": memory.capacity.n_tokens,
        "kv_blocks": memory.capacity.n_blocks,
        "concurrency": memory.capacity.concurrency,
        "ranks": [
            {
                "stage": rank.stage,
                "limit_bytes": rank.limit_bytes,
                "kv_bytes": rank.kv_bytes,
                "terms": [term_data(term) for term in rank.terms],
            }
            for rank in memory.ranks
        ],
        "command": list(row.command),
    }
