"""`planner fit REF --engine vllm|sglang --apart …` as a document: both kinds of workers, and their times together."""

import shlex
from typing import Any

from hardware.units import MILLI, format_bytes
from planner.estimate.served.apart_answer import ApartAnswer, ApartSpeed, ApartWorkers
from planner.report.document import Document, Table
from planner.report.estimate_terms import interval_data, term_data
from planner.report.served_prefix import shown_interval
from planner.report.serving_document import ENGINE_NAMES, short_split

_DOES = {"prefill": "read prompts", "decode": "decode"}


def apart_document(answer: ApartAnswer) -> Document:
    """The answer: whether both start, a row for each kind of workers, times, and what the first token waits for."""
    engine = f"{ENGINE_NAMES[answer.engine]} {answer.version}"
    machine = f"{answer.n_machines} × {answer.machine.name}" if answer.n_machines > 1 else answer.machine.name
    both = (answer.prefill, answer.decode)
    return Document(
        schema="planner.serving-apart/1",
        title=f"{answer.opened.name} on {machine} with {engine}, prompts apart",
        answer=_sentences(answer, engine),
        tables=(
            _workers_table(both),
            *((_speed_table(answer), _terms_table(answer)) if answer.speeds else ()),
        ),
        commands=tuple(shlex.join(one.command) for one in both) if answer.starts else (),
        notes=(
            *answer.notes,
            *answer.machine.problems,
            *((f"speed: {answer.speed_missing}",) if answer.speed_missing else ()),
        ),
        data=_data(answer),
    )


def _sentences(answer: ApartAnswer, engine: str) -> tuple[str, ...]:
    refused = [one for one in (answer.prefill, answer.decode) if not one.memory.starts]
    if refused:
        return tuple(
            f"{engine} does not start the workers that {_DOES[one.role]} ({short_split(one.workers.ranks)}): "
            f"{one.memory.refusal}."
            for one in refused
        )
    told = " and ".join(
        f"{one.workers.count} × {short_split(one.workers.ranks)} that {_DOES[one.role]}"
        for one in (answer.prefill, answer.decode)
    )
    holds = f"a decoding worker's cache holds {answer.decode.memory.capacity.n_tokens:,} tokens"
    where = f"on {answer.n_gpus} × {answer.gpu.name}"
    return (f"{engine} starts {answer.opened.name} ({answer.layout_label}) with {told}, {where}; {holds}.",)


def _workers_table(both: tuple[ApartWorkers, ...]) -> Table:
    return Table(
        title="Workers",
        headers=("", "workers", "split", "GPUs", "starts", "KV cache a GPU", "tokens a worker"),
        rows=tuple(
            (
                _DOES[one.role],
                str(one.workers.count),
                short_split(one.workers.ranks),
                str(one.n_gpus),
                "yes" if one.memory.starts else "no",
                format_bytes(one.memory.tightest.kv_bytes) if one.memory.tightest.kv_bytes > 0 else "–",
                f"{one.memory.capacity.n_tokens:,}" if one.memory.starts else "–",
            )
            for one in both
        ),
        right=(1, 3, 5, 6),
    )


def _speed_table(answer: ApartAnswer) -> Table:
    load = answer.load
    return Table(
        title=f"How fast: {load.n_prompt_tokens:,} tokens in, {load.n_output_tokens:,} out, 80 % intervals",
        headers=("at once", "first token, s", "per token, ms", "tokens/s together"),
        rows=tuple(
            (
                str(speed.n_requests),
                shown_interval(speed.ttft_s),
                shown_interval(speed.tpot_s, 1 / MILLI),
                f"{speed.tokens_per_s(load.n_output_tokens):,.0f}",
            )
            for speed in answer.speeds
        ),
        right=(0, 1, 2, 3),
    )


def _terms_table(answer: ApartAnswer) -> Table:
    first, last = answer.speeds[0], answer.speeds[-1]
    return Table(
        title="What the first token waits for, ms",
        headers=("", f"{first.n_requests} at once", f"{last.n_requests} at once", "from"),
        rows=tuple(
            (one.name, f"{one.value / MILLI:.3g}", f"{other.value / MILLI:.3g}", one.source)
            for one, other in zip(first.terms, last.terms, strict=True)
        ),
        right=(1, 2),
    )


def _data(answer: ApartAnswer) -> dict[str, Any]:
    return {
        "machine": answer.machine.name,
        "n_machines": answer.n_machines,
        "model": answer.opened.name,
        "engine": answer.engine,
        "engine_version": answer.version,
        "gpu": answer.gpu.name,
        "n_gpus": answer.n_gpus,
        "storage": answer.layout_label,
        "starts": answer.starts,
        "prefill": _workers_data(answer.prefill),
        "decode": _workers_data(answer.decode),
        "n_prompt_tokens": answer.load.n_prompt_tokens,
        "n_output_tokens": answer.load.n_output_tokens,
        "speeds": [_speed_data(speed, answer.load.n_output_tokens) for speed in answer.speeds],
        "speed_missing": answer.speed_missing,
        "notes": [*answer.notes, *answer.machine.problems],
    }


def _workers_data(one: ApartWorkers) -> dict[str, Any]:
    ranks = one.workers.ranks
    return {
        "n_workers": one.workers.count,
        "tensor_parallel": ranks.tensor,
        "pipeline_parallel": ranks.pipeline,
        "expert_parallel": ranks.expert,
        "attention_replicas": ranks.attention_replicas,
        "n_gpus": one.n_gpus,
        "starts": one.memory.starts,
        "refusal": one.memory.refusal,
        "kv_tokens": one.memory.capacity.n_tokens,
        "command": list(one.command),
    }


def _speed_data(speed: ApartSpeed, n_output_tokens: int) -> dict[str, Any]:
    return {
        "n_requests": speed.n_requests,
        "ttft_s": interval_data(speed.ttft_s),
        "tpot_s": interval_data(speed.tpot_s),
        "tokens_per_s": speed.tokens_per_s(n_output_tokens),
        "ttft_terms": [term_data(term) for term in speed.terms],
    }
