"""`planner tune` as a document: does tuning fit, what takes the memory, what would have to give."""

from collections.abc import Sequence
from typing import Any

from hardware.spec import Machine
from hardware.units import format_bytes, format_count
from planner.engines.tuning.settings import TuningSettings
from planner.estimate.memory import Device
from planner.estimate.term import Interval
from planner.estimate.tuning import TuningEstimate, TuningTerm
from planner.estimate.tuning_limits import Alternative, TuningLimits
from planner.model.opened_model import OpenedModel
from planner.report.document import Document, Table

_METHODS = {"full": "Full fine-tuning", "lora": "LoRA", "qlora": "QLoRA"}


def tune_document(
    machine: Machine,
    opened: OpenedModel,
    estimate: TuningEstimate,
    gpus: Sequence[Device],
    ram_bytes: int | None,
    limits: TuningLimits | None,
    alternatives: Sequence[Alternative],
    notes: Sequence[str],
    *,
    explain: bool = False,
) -> Document:
    """The answer for one way of tuning one model."""
    capacity = min((gpu.capacity_bytes for gpu in gpus), default=None)
    tables = [_memory_table(estimate, capacity)]
    if estimate.host_terms:
        tables.append(_host_table(estimate, ram_bytes))
    if alternatives:
        tables.append(_alternatives_table(alternatives, capacity))
    if explain:
        tables.append(_terms_table(estimate))
    return Document(
        schema="planner.tune/1",
        title=f"Tuning {opened.name} on {machine.name}",
        answer=_answer(machine, opened, estimate, gpus, ram_bytes, limits, alternatives),
        tables=tuple(tables),
        notes=(*notes, *machine.problems),
        data={
            "machine": machine.name,
            "model": opened.name,
            "verdict": verdict(estimate.gpu, capacity),
            "gpu_capacity_bytes": capacity,
            "ram_capacity_bytes": ram_bytes,
            **estimate_data(estimate),
            "largest_n_tokens": limits.n_tokens if limits else None,
            "largest_n_sequences": limits.n_sequences if limits else None,
            "alternatives": [
                {"change": item.change, "verdict": verdict(item.estimate.gpu, capacity),
                 **estimate_data(item.estimate)}
                for item in alternatives
            ],
            "notes": [*notes, *machine.problems],
        },
    )  # fmt: skip


def verdict(need: Interval, capacity_bytes: float | None) -> str:
    """Whether a GPU holds it: "fits" when even the upper bound does, "may fit" when only the expectation does."""
    if capacity_bytes is None:
        return "unknown"
    if need.high <= capacity_bytes:
        return "fits"
    return "may fit" if need.expected <= capacity_bytes else "does not fit"


def estimate_data(estimate: TuningEstimate) -> dict[str, Any]:
    """All of an estimate under keys with units."""
    return {
        "settings": settings_data(estimate.settings),
        "trained_parameters": estimate.trained_parameters,
        "largest_moment": estimate.moment,
        "needed_bytes": interval_data(estimate.gpu),
        "reserved_bytes": interval_data(estimate.reserved),
        "allocated_bytes": interval_data(estimate.allocated),
        "terms": [term_data(item) for item in estimate.gpu_terms],
        "ram_terms": [term_data(item) for item in estimate.host_terms],
    }


def settings_data(settings: TuningSettings) -> dict[str, Any]:
    """Every choice, so that an answer can be asked for again."""
    return {name: getattr(settings, name) for name in settings.__slots__}


def interval_data(interval: Interval) -> dict[str, int]:
    """Low, expected and high in whole bytes."""
    return {"low": round(interval.low), "expected": round(interval.expected), "high": round(interval.high)}


def term_data(item: TuningTerm) -> dict[str, Any]:
    """One term with its range."""
    return {
        "name": item.term.name,
        "low_bytes": round(item.low_bytes),
        "expected_bytes": round(item.term.value),
        "high_bytes": round(item.high_bytes),
        "basis": item.term.basis,
        "source": item.term.source,
    }


def _answer(
    machine: Machine,
    opened: OpenedModel,
    estimate: TuningEstimate,
    gpus: Sequence[Device],
    ram_bytes: int | None,
    limits: TuningLimits | None,
    alternatives: Sequence[Alternative],
) -> tuple[str, ...]:
    settings = estimate.settings
    each = "each GPU" if settings.n_gpus > 1 else "the GPU"
    what = f"{_METHODS[settings.method]} of {opened.name} with {settings.n_sequences:,} × {settings.n_tokens:,} tokens"
    need = f"{format_bytes(estimate.gpu.expected)} ({_range(estimate.gpu)})"
    if not gpus:
        return (f"{what} needs {need} of GPU memory; {machine.name} has no GPU whose memory is known.",)
    capacity = min(gpu.capacity_bytes for gpu in gpus)
    found = verdict(estimate.gpu, capacity)
    sentences = [
        (
            f"{what} {found} on {machine.name}: {each} needs {need} of its {format_bytes(capacity)}, most at "
            f"{estimate.moment}; {format_count(estimate.trained_parameters)} parameters are trained."
        )
    ]
    if limits and found != "does not fit":
        sentences.append(_limits_sentence(limits))
    if found != "fits":
        sentences.append(_way_out(alternatives, capacity))
    if ram_bytes is not None and estimate.host_bytes > ram_bytes:
        sentences.append(
            f"RAM lacks {format_bytes(estimate.host_bytes - ram_bytes)} for what is offloaded to it."
        )
    return tuple(sentence for sentence in sentences if sentence)


def _limits_sentence(limits: TuningLimits) -> str:
    if limits.n_tokens is None or limits.n_sequences is None:
        return ""
    trained = ", what the model was trained for" if limits.n_tokens_is_trained_length else ""
    return (
        f"Expected to hold up to {limits.n_tokens:,} tokens a sequence{trained}, or "
        f"{limits.n_sequences:,} sequence{'' if limits.n_sequences == 1 else 's'} of this length."
    )


def _way_out(alternatives: Sequence[Alternative], capacity: float) -> str:
    """The first change that fits with certainty, else the first that may."""
    for wanted in ("fits", "may fit"):
        changes: list[str] = []
        for item in alternatives:
            changes.append(item.change)
            if verdict(item.estimate.gpu, capacity) == wanted:
                return (
                    f"With {_options(changes)} it {wanted}: {format_bytes(item.estimate.gpu.expected)} "
                    f"({_range(item.estimate.gpu)})."
                )
    return "No change that the planner knows makes it fit; fewer tokens, a smaller model or more GPUs would."


def _options(changes: Sequence[str]) -> str:
    """Changes as one command line: of two that set the same option the later counts."""
    found: dict[str, str] = {}
    for change in changes:
        for part in change.removeprefix("--").split(" --"):
            found[part.split()[0]] = part
    return " ".join(f"--{part}" for part in found.values())


def _range(interval: Interval) -> str:
    return f"{format_bytes(interval.low)}–{format_bytes(interval.high)}"


def _memory_table(estimate: TuningEstimate, capacity: float | None) -> Table:
    rows: list[tuple[str, ...]] = [
        (item.term.name, format_bytes(item.term.value), _bounds(item), item.term.source)
        for item in estimate.gpu_terms
    ]
    rows.append(
        ("needed", format_bytes(estimate.gpu.expected), _range(estimate.gpu), f"at {estimate.moment}")
    )
    if capacity is not None:
        left = capacity - estimate.gpu.expected
        worst, best = capacity - estimate.gpu.high, capacity - estimate.gpu.low
        rows.append(
            ("left", format_bytes(left), f"{format_bytes(worst)}–{format_bytes(best)}", "of the smallest GPU")
        )
    return Table(
        title="Memory of each GPU" if estimate.settings.n_gpus > 1 else "Memory of the GPU",
        headers=("", "expected", "80 % interval", "from"),
        rows=tuple(rows),
        right=(1, 2),
    )  # fmt: skip


def _bounds(item: TuningTerm) -> str:
    if item.low_bytes == item.high_bytes:
        return "exact"
    return f"{format_bytes(item.low_bytes)}–{format_bytes(item.high_bytes)}"


def _host_table(estimate: TuningEstimate, ram_bytes: int | None) -> Table:
    rows = [(item.term.name, format_bytes(item.term.value), item.term.source) for item in estimate.host_terms]
    left = "unknown" if ram_bytes is None else format_bytes(ram_bytes - estimate.host_bytes)
    rows += [
        ("needed", format_bytes(estimate.host_bytes), ""),
        ("left", left, "of what is free now or installed"),
    ]
    return Table(title="RAM", headers=("", "bytes", "from"), rows=tuple(rows), right=(1,))


def _alternatives_table(alternatives: Sequence[Alternative], capacity: float | None) -> Table:
    return Table(
        title="What would have to give, each on top of the one before",
        headers=("change", "needs", "80 % interval", ""),
        rows=tuple(
            (
                item.change,
                format_bytes(item.estimate.gpu.expected),
                _range(item.estimate.gpu),
                verdict(item.estimate.gpu, capacity),
            )
            for item in alternatives
        ),
        right=(1, 2),
    )


def _terms_table(estimate: TuningEstimate) -> Table:
    scopes = (("allocated by tensors", estimate.allocated), ("reserved by PyTorch", estimate.reserved),
              ("seen by the driver", estimate.gpu))  # fmt: skip
    rows: list[tuple[str, ...]] = [
        (item.term.name, f"{item.term.value:,.0f}", item.term.basis.value, item.term.source)
        for item in estimate.gpu_terms
    ]
    rows += [(name, f"{interval.expected:,.0f}", interval.basis.value, "") for name, interval in scopes]
    return Table(
        title="Terms, in bytes", headers=("term", "bytes", "basis", "from"), rows=tuple(rows), right=(1,)
    )
