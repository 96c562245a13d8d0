"""The engine's own account of memory as part of a fit's document."""

from collections.abc import Sequence
from dataclasses import replace

from hardware.units import format_bytes
from planner.estimate.engine_comparison import ComparedDevice, EngineFit, EngineRow
from planner.estimate.engine_plan import EnginePlan
from planner.report.document import Document, Table
from planner.report.estimate_terms import Data


def with_engine_answers(
    document: Document, rows: Sequence[EngineRow], decision: EngineFit | None = None
) -> Document:
    """The document of a fit with llama.cpp's plan beside ours, and what its own --fit would choose."""
    tables = tuple(_table(row) for row in rows if row.devices)
    if decision is not None and decision.problem is None:
        tables += (_decision_table(decision),)
    return replace(
        document,
        answer=(*document.answer, _sentence(rows)),
        tables=(*document.tables, *tables),
        notes=(*document.notes, *_notes(rows, decision)),
        data={
            **document.data,
            "engine": {
                "rows": [_row_data(row) for row in rows],
                "fit": None if decision is None else _decision_data(decision),
            },
        },
    )


def _sentence(rows: Sequence[EngineRow]) -> str:
    planned = [row for row in rows if row.devices]
    if not planned:
        return "llama.cpp itself gave no plan; see the notes."
    worst = max(
        (abs(device.ours_bytes / device.engine_bytes - 1), device.name, row)
        for row in planned
        for device in row.devices
        if device.engine_bytes
    )[:2]
    part = "this" if len(rows) == 1 else f"{len(planned)} of these {len(rows)}"
    return (
        f"llama.cpp itself planned {part} without loading anything: our sums differ from its by at most "
        f"{worst[0]:.1%} ({worst[1]})."
    )


def _table(row: EngineRow) -> Table:
    placement = row.row.placement
    body: list[tuple[str, ...]] = []
    for device in row.devices:
        body += [
            (device.name, term.name, format_bytes(term.ours_bytes), format_bytes(term.engine_bytes),
             _difference(term.difference_bytes))
            for term in device.terms
        ]  # fmt: skip
        if device.terms:
            difference = _difference(device.ours_bytes - device.engine_bytes)
            body.append(
                (
                    device.name,
                    "sum",
                    format_bytes(device.ours_bytes),
                    format_bytes(device.engine_bytes),
                    difference,
                )
            )
    return Table(
        title=f"Ours and llama.cpp's: {row.row.model.storage.label} at "
        f"{placement.flags.n_context_tokens:,} tokens",
        headers=("device", "term", "ours", "llama.cpp", "difference"),
        rows=tuple(body),
        right=(2, 3, 4),
    )


def _difference(n_bytes: int) -> str:
    return "equal" if n_bytes == 0 else f"{'+' if n_bytes > 0 else '−'}{format_bytes(abs(n_bytes))}"


def _decision_table(decision: EngineFit) -> Table:
    shares = ", ".join(f"{share:g}" for share in decision.tensor_split)
    rows = (
        ("fits", "yes" if decision.fits else "no"),
        ("context", "–" if decision.n_context_tokens is None else f"{decision.n_context_tokens:,} tokens"),
        (
            "layers on GPUs (-ngl)",
            "all" if decision.n_gpu_layers in (None, -1) else str(decision.n_gpu_layers),
        ),
        ("shares (-ts)", shares or "–"),
        ("tensors elsewhere (-ot)", f"{decision.n_overrides} patterns" if decision.n_overrides else "–"),
    )
    return Table(title="What llama.cpp's own --fit chooses", headers=("setting", "choice"), rows=rows)


def _notes(rows: Sequence[EngineRow], decision: EngineFit | None) -> tuple[str, ...]:
    builds = dict.fromkeys(row.answer.engine_build for row in rows if isinstance(row.answer, EnginePlan))
    notes = [f"llama.cpp's plan: {build}" for build in builds]
    if builds:
        notes.append(
            "the engine does not know what a driver keeps for itself on a GPU, so that term is in no difference"
        )
    for row in rows:
        if not isinstance(row.answer, EnginePlan):
            hint = f"; {row.answer.hint}" if row.answer.hint else ""
            notes.append(
                f"no plan for {row.row.model.storage.label} at "
                f"{row.row.placement.flags.n_context_tokens:,} tokens: {row.answer.problem}{hint}"
            )
    if decision is not None:
        notes.append(decision.problem or f"llama.cpp's own --fit: {decision.source}")
    return tuple(notes)


def _row_data(row: EngineRow) -> Data:
    answer = row.answer
    found: Data = {
        "quantization": row.row.model.storage.label,
        "n_context_tokens": row.row.placement.flags.n_context_tokens,
        "problem": None if isinstance(answer, EnginePlan) else answer.problem,
        "devices": [_device_data(device) for device in row.devices],
    }
    if isinstance(answer, EnginePlan):
        found |= {
            "engine_build": answer.engine_build,
            "flash_attention": answer.flash_attention,
            "n_cells": answer.n_context_tokens,
            "n_copies": answer.n_copies,
            "n_splits": list(answer.n_splits),
            "n_nodes": list(answer.n_nodes),
            "planning_s": answer.planning_s,
        }
    return found


def _device_data(device: ComparedDevice) -> Data:
    return {
        "name": device.name,
        "ours_bytes": device.ours_bytes,
        "engine_bytes": device.engine_bytes,
        "not_in_engine_bytes": device.not_in_engine_bytes,
        "terms": [
            {
                "name": term.name,
                "ours_bytes": term.ours_bytes,
                "engine_bytes": term.engine_bytes,
                "difference_bytes": term.difference_bytes,
            }
            for term in device.terms
        ],
        "buffers": [
            {
                "name": buffer.name,
                "weights_bytes": buffer.weights_bytes,
                "kv_bytes": buffer.kv_bytes,
                "state_bytes": buffer.state_bytes,
                "compute_bytes": buffer.compute_bytes,
            }
            for buffer in device.buffers
        ],
    }


def _decision_data(decision: EngineFit) -> Data:
    return {
        "source": decision.source,
        "fits": decision.fits,
        "n_context_tokens": decision.n_context_tokens,
        "n_gpu_layers": decision.n_gpu_layers,
        "tensor_split": list(decision.tensor_split),
        "overrides": list(decision.overrides),
        "took_s": decision.took_s,
        "problem": decision.problem,
    }
