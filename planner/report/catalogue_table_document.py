"""The whole catalogue at many quantizations and contexts as a document."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hardware.units import format_bytes, format_count, format_tokens
from planner.report.document import Cell, Document, Table
from planner.report.quantities import rate

if TYPE_CHECKING:  # with NumPy, which other answers do without
    from planner.estimate.catalogue_table import CatalogueTable, TabledModel

_DIGITS = 4  # of a speed in the data: intervals are far wider than the rest


def catalogue_table_document(
    found: "CatalogueTable", *, n_shown: int | None = None, whole: bool = True
) -> Document:
    """Models that fit, best first, each with the finest quantization for every context; the data hold all of them.

    Without `whole` they hold none, for a format that does not show them: they are a hundred thousand numbers.
    """
    fitting = [model for model in found.models if model.memory.fits.any()]
    where = "RAM" if found.home.device is None else found.home.device.name
    n_estimates = sum(model.memory.fits.size for model in found.models)
    answer = (
        f"{len(fitting)} of {len(found.models)} catalogue models fit whole in {where} of {found.machine.name} at some "
        f"of {n_estimates:,} quantizations and contexts; the finest that fits and its decode speed, tokens per "
        "second from an empty context, are shown for each context."
    )
    shown = fitting[:n_shown]
    table = Table(
        title="",
        headers=("model", "size", *(format_tokens(n) for n in found.n_context_tokens)),
        rows=tuple(_row(model, found.n_context_tokens) for model in shown),
        right=(1,),
    )
    legend = "–: nothing fits; ≤: not trained for more; models of which only less than 4 bits a weight fits come last"
    n_left = len(fitting) - len(shown)
    more = (f"{n_left} more fit; --all shows them, JSON has every quantization",) if n_left else ()
    split = () if found.home.device is None else (
        "models that need several GPUs or RAM beside them are not in this table: `planner fit NAME`",
    )  # fmt: skip
    missing = dict.fromkeys(f"speed: {model.missing}" for model in found.models if model.missing)
    return Document(
        schema="planner.fit-catalogue-table/1",
        title=f"What fits on {found.machine.name}",
        answer=(answer,),
        tables=(table,),
        commands=("planner fit NAME",) if fitting else (),
        notes=(legend, *more, *split, *found.notes, *found.machine.problems, *missing),
        data={
            "machine": found.machine.name,
            "where": where,
            "n_context_tokens": list(found.n_context_tokens),
            "n_estimates": n_estimates,
            "models": [_data(model) for model in found.models] if whole else [],
        },
    )


def _row(model: "TabledModel", contexts: Sequence[int]) -> tuple[Cell, ...]:
    cells = (_cell(model, column, n) for column, n in enumerate(contexts))
    return (model.id, format_count(model.parameters), *cells)


def _cell(model: "TabledModel", column: int, n_context_tokens: int) -> Cell:
    """The finest quantization that fits and its speed; where speeds are unknown, its memory.

    Of a context that the model was not trained for, the longest that it was.
    """
    trained = model.n_context_tokens[column]
    if trained < n_context_tokens:
        return f"≤ {format_tokens(trained)}"
    row = model.finest(column)
    if row is None:
        return None
    name = model.presets[row]
    if model.decode is None:
        return f"{name} {format_bytes(int(model.memory.needed_bytes[row, column]))}"
    return f"{name} {rate(float(model.decode.expected[row]))}"


def _data(model: "TabledModel") -> dict[str, Any]:
    return {
        "id": model.id,
        "parameters": model.parameters,
        "quantizations": list(model.presets),
        "n_context_tokens": list(model.n_context_tokens),
        "needed_bytes": model.memory.needed_bytes.tolist(),
        "fits": model.memory.fits.tolist(),
        "decode_tokens_per_s": _bounds(model.decode),
        "decode_full_tokens_per_s": _bounds(model.decode_full),
        "missing": model.missing,
    }


def _bounds(found: Any) -> dict[str, Any] | None:
    if found is None:
        return None
    return {name: getattr(found, name).round(_DIGITS).tolist() for name in ("low", "expected", "high")}
