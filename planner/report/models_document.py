"""`planner models` as documents: the catalogue listed, and what became of the user's own models."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hardware.units import GIB, KIB, MIB, format_bytes, format_count, format_tokens
from planner.estimate.catalogue import CatalogueModel, CatalogueQuery, Listing
from planner.report.document import Cell, Document, Table, listed
from planner.report.outside_text import plain
from profiles.model_changes import FieldChange, UpdatedModel, shown
from profiles.user_models import AddedModel

_LETTERS = {"text": "T", "image": "I", "video": "V", "audio": "A"}
_LONGEST_LICENCE = 10
_MOST_CHANGES = 12  # of one model in a terminal; all of them stand in the JSON


def models_document(listing: Listing, *, compact: bool = True) -> Document:
    """The models that match, one row each; `compact` keeps the table to 80 columns by short cells."""
    sized = listing.query.sizes_memory
    table = _compact_table(listing.models, sized) if compact else _wide_table(listing.models, sized)
    return Document(
        schema="planner.models/1",
        title="Models of the catalogue",
        answer=(_answer(listing),),
        tables=(table,),
        notes=(*_legend(listing, compact), *listing.notes),
        data=_data(listing),
    )


def _answer(listing: Listing) -> str:
    n, query = len(listing.models), listing.query
    what = (
        f"{n} of {listing.n_models} models" if n != listing.n_models else f"All {n} models of the catalogue"
    )
    limit = ""
    if query.max_memory_bytes is not None:
        limit = f" and need at most {format_bytes(query.max_memory_bytes)}"
    if n == listing.n_models:
        return f"{what}{limit}."
    too_large = f" ({listing.n_too_large} others need more)" if listing.n_too_large else ""
    return f"{what} match{limit}{too_large}."


def _legend(listing: Listing, compact: bool) -> tuple[str, ...]:
    """What the short cells mean, as far as there are any."""
    if not listing.models:
        return ()
    sentences = []
    models = listing.models
    quants = dict.fromkeys(model.quant for model in models if model.quant and not model.is_native_quant)
    natives = dict.fromkeys(model.quant for model in models if model.quant and model.is_native_quant)
    at = [f"at {', '.join(filter(None, quants))}"] if quants else []
    at += [f"* at {', '.join(filter(None, natives))}, as published"] if natives else []
    n = max((model.n_context_tokens or 0 for model in models), default=0)
    what = "GiB" if compact else "size"
    if listing.query.sizes_memory:
        sentences.append(
            f"needs: weights, cache of {n:,} tokens and compute buffers of llama.cpp in one memory, {'; '.join(at)}"
        )
    else:
        sentences.append(f"{what}: the language model's weights as GGUF, {'; '.join(at)}")
    if listing.query.max_memory_bytes is not None:
        sentences.append(
            "a GPU's driver takes some of its memory too: `planner fit NAME` looks at a whole machine"
        )
    if compact and any(model.entry["modalities"] != ["text"] for model in models):
        sentences.append(f"in: {', '.join(f'{letter} {name}' for name, letter in _LETTERS.items())}")
    if any(model.is_own for model in models):
        sentences.append("+ marks models of your own folder")
    return tuple(sentences)


def _compact_table(models: Sequence[CatalogueModel], sized: bool) -> Table:
    return Table(
        title="",
        headers=(
            "model",
            "params",
            "active",
            "ctx",
            "licence",
            "in",
            "date",
            "needs" if sized else "GiB",
        ),
        rows=tuple(_compact_row(model, sized) for model in models),
        right=(1, 2, 3, 7),
    )


def _compact_row(model: CatalogueModel, sized: bool) -> tuple[Cell, ...]:
    entry = model.entry
    licence = entry["licence"]
    if licence is not None and len(licence) > _LONGEST_LICENCE:
        licence = f"{licence[: _LONGEST_LICENCE - 1]}…"
    n_bytes = model.needed_bytes if sized else model.weight_bytes
    return (
        f"{entry['id']}{' +' if model.is_own else ''}",
        _count(model.parameters).replace(" ", ""),
        _active(model).replace(" ", ""),
        _short_context(model),
        licence,
        "".join(_LETTERS.get(name, "?") for name in entry["modalities"]),
        entry["released"],
        None if n_bytes is None else f"{_gib(n_bytes)}{'*' if model.is_native_quant else ''}",
    )


def _gib(n_bytes: int) -> str:
    """GiB in five characters: 0.3, 24.1, 377, 1,566."""
    gib = n_bytes / GIB
    return f"{gib:,.1f}" if gib < 100 else f"{gib:,.0f}"


def _wide_table(models: Sequence[CatalogueModel], sized: bool) -> Table:
    needs = ("needs",) if sized else ()
    return Table(
        title="",
        headers=("model", "name", "family", "parameters", "active", "context", "licence", "modalities",
                 "released", "quantization", "size", *needs, "repository"),
        rows=tuple(_wide_row(model, sized) for model in models),
        right=(3, 4, 5, 10, *((11,) if sized else ())),
    )  # fmt: skip


def _wide_row(model: CatalogueModel, sized: bool) -> tuple[Cell, ...]:
    entry = model.entry
    needs = (_size(model.needed_bytes),) if sized else ()
    return (
        entry["id"], entry["name"], entry["family"], _count(model.parameters), _active(model), _context(model),
        entry["licence"], ", ".join(entry["modalities"]), entry["released"], model.quant, _size(model.weight_bytes),
        *needs, entry["hub_id"],
    )  # fmt: skip


def _count(n: float | None) -> str:
    return "–" if n is None else format_count(n)


def _active(model: CatalogueModel) -> str:
    if model.mixture_of_experts is None:
        return "–"
    return _count(model.active_parameters) if model.mixture_of_experts else "dense"


def _context(model: CatalogueModel) -> str:
    n = model.entry["context_tokens"]
    return "–" if n is None else format_tokens(n)


def _short_context(model: CatalogueModel) -> str:
    """The context in five characters, rounded where it is not even: "128k" of 131,000."""
    n = model.entry["context_tokens"]
    if n is None:
        return "–"
    return f"{n / MIB:.3g}M" if n >= MIB else f"{n / KIB:.3g}k"


def _size(n_bytes: int | None) -> str:
    return "–" if n_bytes is None else format_bytes(n_bytes)


def _data(listing: Listing) -> dict[str, Any]:
    return {
        "query": _query_data(listing.query),
        "n_models": listing.n_models,
        "n_matching": len(listing.models),
        "n_too_large": listing.n_too_large,
        "models": [_model_data(model) for model in listing.models],
        "notes": list(listing.notes),
    }


def _query_data(query: CatalogueQuery) -> dict[str, Any]:
    """What was asked for; what was not is left out."""
    return {key: value for key, value in asdict(query).items() if value not in (None, "", ())}


def _model_data(model: CatalogueModel) -> dict[str, Any]:
    entry = model.entry
    facts = (
        "id",
        "name",
        "hub_id",
        "aliases",
        "family",
        "licence",
        "released",
        "context_tokens",
        "modalities",
    )
    return {
        **{fact: entry[fact] for fact in facts},
        "own": model.is_own,
        "parameters": model.parameters,
        "active_parameters": None if model.active_parameters is None else round(model.active_parameters),
        "mixture_of_experts": model.mixture_of_experts,
        "quantization": model.quant,
        "native_quantization": model.is_native_quant,
        "weight_bytes": model.weight_bytes,
        "n_context_tokens": model.n_context_tokens,
        "needed_bytes": model.needed_bytes,
        "problem": model.problem,
    }


def added_document(added: AddedModel) -> Document:
    """The entry that was written: its facts, each with where it is from."""
    entry = added.entry
    parameters = entry["parameters"]
    total = parameters["total"]
    facts = (
        ("name", entry["name"]),
        ("family", entry["family"]),
        ("parameters", None if total is None else f"{total:,} ({parameters['includes']})"),
        ("context", None if entry["context_tokens"] is None else f"{entry['context_tokens']:,} tokens"),
        ("licence", entry["licence"]),
        ("modalities", ", ".join(entry["modalities"])),
        ("released", entry["released"]),
        ("aliases", ", ".join(entry["aliases"]) or None),
        *(("source", f"{source['where']} ({source['what']})") for source in entry["sources"]),
    )
    return Document(
        schema="planner.models.add/1",
        title=plain(entry["name"]),
        answer=(f"Added {entry['id']} to your own models.",),
        tables=(
            Table(
                title="", headers=("fact", "value"), rows=tuple(fact for fact in facts if fact[1] is not None)
            ),
        ),
        commands=(f"planner fit {entry['id']}",),
        notes=(f"written to {added.file}", *added.notes),
        data={"file": added.file, "entry": entry, "notes": list(added.notes)},
    )


def updated_document(updated: Sequence[UpdatedModel], *, dry_run: bool, folder: Path) -> Document:
    """What fetching models anew changed, field by field, and what went wrong."""
    changed = [model for model in updated if model.changes]
    failed = [model for model in updated if model.problem is not None]
    same = len(updated) - len(changed) - len(failed)
    counts = [f"{len(changed)} {'would change' if dry_run else 'changed'}"] if changed else []
    counts += [f"{same} as before"] if same else []
    counts += [f"{len(failed)} failed"] if failed else []
    answer = f"{_models(len(updated))} fetched anew: {listed(counts)}."
    if not updated:
        answer = f"There are no models of your own in {folder}; name one of the catalogue to fetch it anew."
    rows = tuple((model.id, *row) for model in changed for row in _change_rows(model.changes))
    return Document(
        schema="planner.models.update/1",
        title="Models fetched anew",
        answer=(answer,),
        tables=(Table(title="", headers=("model", "field", "old", "new"), rows=rows),) if rows else (),
        notes=(
            *(f"{model.id}: written to {model.file}" for model in changed if model.file is not None),
            *(f"{model.id}: {model.problem}" for model in failed),
        ),
        data={
            "dry_run": dry_run,
            "models": [
                {
                    "id": model.id,
                    "fetched_from": model.fetched_from,
                    "changes": [asdict(change) for change in model.changes],
                    "file": model.file,
                    "problem": model.problem,
                }
                for model in updated
            ],
        },
    )


def _models(n: int) -> str:
    return "1 model" if n == 1 else f"{n} models"


def _change_rows(changes: Sequence[FieldChange]) -> list[tuple[str, str, str]]:
    """Changed values one by one; fields of the config that are merely new are named together."""
    new = [c for c in changes if c.old is None and c.field.startswith("config.")]
    rest = [c for c in changes if c not in new]
    rows = [(plain(c.field), plain(shown(c.old)), plain(shown(c.new))) for c in rest[:_MOST_CHANGES]]
    if len(rest) > _MOST_CHANGES:
        rows.append((f"and {len(rest) - _MOST_CHANGES} more fields", "", ""))
    if len(new) > 2:
        names = ", ".join(plain(c.field.removeprefix("config."), 40) for c in new[:3])
        rows.append((f"config: {len(new)} fields", "–", f"{names}{' …' if len(new) > 3 else ''}"))
    else:
        rows += [(plain(c.field), "–", plain(shown(c.new))) for c in new]
    return rows
