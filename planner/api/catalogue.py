"""The catalogue: which models it knows, searched, filtered and sized for a memory."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from planner.errors import PlannerError
from planner.estimate.catalogue import (
    CATALOGUE_CONTEXT,
    CatalogueModel,
    CatalogueQuery,
    Listing,
    SortKey,
    has_wanted_size,
    in_one_memory,
    in_order,
)
from planner.estimate.preset_table import preset_table
from planner.model.presets import ALIASES
from planner.progress import Progress
from planner.readers.catalogue_model import from_catalogue
from planner.readers.preset_table_file import packaged_table
from profiles.errors import ProfileError
from profiles.loader import model_rows, own_model_ids
from profiles.model_names import nearest, search

DEFAULT_QUANT = "Q4_K_M"  # where the weights were not published in four bits themselves
_MODALITY_WORDS = {"vision": "image", "images": "image", "sound": "audio", "speech": "audio"}


def list_models(
    query: CatalogueQuery | None = None,
    *,
    sort: SortKey = "family",
    reverse: bool = False,
    progress: Progress | None = None,
) -> Listing:
    """The models of the catalogue that match; raises ProfileError, with near names, for a text that none has.

    Networks are built for those alone that the entries' own facts leave over.
    """
    query = query or CatalogueQuery()
    entries = model_rows()
    notes: list[str] = []
    found = _named(query.text, entries)
    for keep, unknown in _fact_filters(query, entries):
        notes += _left_out(unknown, found)
        found = [entry for entry in found if keep(entry)]
    models, n_too_large, more = _sized(found, query, progress)
    return Listing(
        query=query,
        models=tuple(in_order(models, sort, reverse)),
        n_models=len(entries),
        n_too_large=n_too_large,
        notes=(*notes, *more),
    )


Entry = Mapping[str, Any]


def _named(text: str, entries: Sequence[Entry]) -> list[Entry]:
    found = list(search(text, entries))
    if found:
        return found
    near = nearest(text, entries)
    hint = f"did you mean {' or '.join(near)}?" if near else "`planner models` without a text lists them"
    raise ProfileError(f"none of the {len(entries)} models of the catalogue matches {text[:120]!r}; {hint}")


def _fact_filters(
    query: CatalogueQuery, entries: Sequence[Entry]
) -> list[tuple[Callable[[Entry], bool], tuple[str, str] | None]]:
    """The filters that an entry's own facts answer, each with the fact that may be unknown and its field."""
    filters: list[tuple[Callable[[Entry], bool], tuple[str, str] | None]] = []
    if query.licences:
        licences = _patterns(query.licences, {entry["licence"] for entry in entries}, "licence")
        filters.append((lambda entry: _matches(entry["licence"], licences), ("licence", "licence")))
    if query.families:
        families = _patterns(query.families, {entry["family"] for entry in entries}, "family")
        filters.append((lambda entry: _matches(entry["family"], families), None))
    if query.modalities:
        spelled = [_MODALITY_WORDS.get(word.casefold(), word) for word in query.modalities]
        known = {modality for entry in entries for modality in entry["modalities"]}
        wanted = set(_patterns(spelled, known, "modality"))
        filters.append((lambda entry: wanted <= set(entry["modalities"]), None))
    least = query.min_context_tokens
    if least is not None:
        filters.append((lambda entry: (entry["context_tokens"] or 0) >= least, ("context", "context_tokens")))
    if query.released_after is not None:
        first = _date(query.released_after)
        filters.append((lambda entry: _last_day(entry["released"]) >= first, ("release date", "released")))
    return filters


def _left_out(unknown: tuple[str, str] | None, entries: Sequence[Entry]) -> list[str]:
    """A note on the models that a filter leaves out only because nobody knows the fact."""
    if unknown is None:
        return []
    fact, field = unknown
    ids = [entry["id"] for entry in entries if entry[field] is None]
    return [f"{fact} unknown, so left out: {', '.join(ids)}"] if ids else []


def _patterns(wanted: Sequence[str], known: Iterable[str | None], what: str) -> tuple[str, ...]:
    """The wanted names, case-folded; raises ProfileError for one that nothing in the catalogue matches."""
    names = sorted({name for name in known if name is not None}, key=str.casefold)
    folded = {name.casefold(): name for name in names}
    for pattern in wanted:
        if not any(fnmatchcase(name, pattern.casefold()) for name in folded):
            near = get_close_matches(pattern.casefold()[:80], list(folded), n=3, cutoff=0.5)
            near = near or [name for name in folded if pattern.casefold() in name][:3]
            hint = f"did you mean {' or '.join(folded[name] for name in near)}?" if near else ""
            hint = hint or f"there are {', '.join(names)}"
            raise ProfileError(f"no model of the catalogue has the {what} {pattern[:80]!r}; {hint}")
    return tuple(pattern.casefold() for pattern in wanted)


def _matches(name: str | None, patterns: Iterable[str]) -> bool:
    return name is not None and any(fnmatchcase(name.casefold(), pattern) for pattern in patterns)


def _date(text: str) -> str:
    if re.fullmatch(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?", text, re.ASCII) is None:
        raise ProfileError(
            f"{text[:40]!r} is no date; write a year, month or day: 2026, 2026-03 or 2026-03-15"
        )
    return text


def _last_day(released: str | None) -> str:
    """The last day that a date such as 2026, 2026-Q1 or 2026-03 can mean, to compare as text; "" when unknown."""
    if released is None:
        return ""
    year, _, rest = released.partition("-")
    months = {"Q1": "03", "Q2": "06", "Q3": "09", "Q4": "12", "H1": "06", "H2": "12", "": "12"}
    month, _, day = months.get(rest, rest).partition("-")
    return f"{year}-{month}-{day or '31'}"


def _sized(
    entries: Sequence[Entry], query: CatalogueQuery, progress: Progress | None
) -> tuple[list[CatalogueModel], int, tuple[str, ...]]:
    own = own_model_ids()
    models: list[CatalogueModel] = []
    n_too_large = 0
    shorter: list[str] = []
    for i, entry in enumerate(entries):
        if progress is not None:
            progress(i / len(entries), entry["id"])
        model = _described(entry, entry["id"] in own, query)
        if not has_wanted_size(model, query):
            continue
        if query.max_memory_bytes is not None and (model.needed_bytes or 0) > query.max_memory_bytes:
            n_too_large += 1
            continue
        models.append(model)
        if model.n_context_tokens is not None and model.n_context_tokens < (query.n_context_tokens or 0):
            shorter.append(entry["id"])
    notes = []
    if shorter:
        notes.append(
            f"trained for less than {query.n_context_tokens:,} tokens, sized at theirs: {', '.join(shorter)}"
        )
    notes += [f"{model.entry['id']} cannot be sized: {model.problem}" for model in models if model.problem]
    if progress is not None:
        progress(1, "")
    return models, n_too_large, tuple(notes)


def _described(entry: Entry, is_own: bool, query: CatalogueQuery) -> CatalogueModel:
    published = entry["parameters"].get("total")
    try:
        opened = from_catalogue(entry, entry["id"])
        network = opened.network
        quant = query.quant or opened.native_preset or DEFAULT_QUANT
        quant = ALIASES.get(quant, quant)
        table = packaged_table(entry["id"])
        if table is None or quant not in table.presets:
            table = preset_table(opened.name, network, (quant,), ())
        table = table.only((quant,))
        n, needed = (
            (None, None)
            if not query.sizes_memory
            else in_one_memory(table, network, query.n_context_tokens or CATALOGUE_CONTEXT)
        )
    except PlannerError as error:
        return CatalogueModel(entry=entry, is_own=is_own, parameters=published, problem=str(error))
    return CatalogueModel(
        entry=entry,
        is_own=is_own,
        parameters=published or network.parameters.total,
        active_parameters=network.parameters.active,
        mixture_of_experts=network.is_mixture_of_experts(),
        quant=quant,
        is_native_quant=quant == opened.native_preset,
        weight_bytes=table.total_bytes[0],
        n_context_tokens=n,
        needed_bytes=needed,
    )
