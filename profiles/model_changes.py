"""What a model's entry gains when it is fetched anew: the facts of today under the names it already has."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Model = Mapping[str, Any]

_MODALITIES = ("text", "image", "video", "audio")
_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field of an entry that changed, by its path such as config.rope_theta; None where it was or is absent."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatedModel:
    """What came of fetching one model anew: changed fields, or the problem that kept it as it was."""

    id: str
    fetched_from: str | None  # ORG/NAME, or the path of a file
    changes: tuple[FieldChange, ...] = ()
    file: Path | None = None  # where it was written; None for a dry run and when nothing changed
    problem: str | None = None


def merged(old: Model, fetched: Model) -> dict[str, Any]:
    """The fetched facts with the old entry's id, name, aliases and family.

    What the repository does not state stays as it was, with its source: a licence, a total that others publish,
    a modality that the config does not tell. So does a release date: the repository's own may be a later one.
    """
    entry = {**fetched, **{field: old[field] for field in ("id", "name", "aliases", "family")}}
    kept = set()
    for field in ("hub_id", "licence", "context_tokens"):
        if fetched[field] is None and old[field] is not None:
            entry[field] = old[field]
            kept.add(field)
    if old["released"] not in (None, fetched["released"]):
        entry["released"] = old["released"]
        kept.add("released")
    more = set(old["modalities"]) - set(fetched["modalities"])
    if more:
        entry["modalities"] = _in_order({*fetched["modalities"], *more})
        kept.add("modalities")
    if _keeps_parameters(old["parameters"], fetched["parameters"]):
        entry["parameters"] = old["parameters"]
        kept.add("parameters.total")
    entry["sources"] = _sources(old["sources"], fetched["sources"], kept)
    return entry


def changes(old: Model, new: Model) -> tuple[FieldChange, ...]:
    """Every field that differs, sources apart."""
    before, after = dict(_flat(old)), dict(_flat(new))
    return tuple(
        FieldChange(field=field, old=before.get(field), new=after.get(field))
        for field in dict.fromkeys((*before, *after))
        if before.get(field) != after.get(field)
    )


def shown(value: Any) -> str:
    """A field's value for a person, in short."""
    if value is None:
        return "–"
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def _keeps_parameters(old: Mapping[str, Any], fetched: Mapping[str, Any]) -> bool:
    """Whether the old total stands: it is the same, or a published one against one that is merely counted."""
    if old.get("total") is None or old.get("text") != fetched.get("text"):
        return False
    return old["total"] == fetched.get("total") or fetched.get("source") in (None, "counted from config")


def _in_order(modalities: set[str]) -> list[str]:
    known = [name for name in _MODALITIES if name in modalities]
    return known + sorted(modalities.difference(known))


def _sources(
    old: Sequence[Mapping[str, str]], fetched: Sequence[Mapping[str, str]], kept: set[str]
) -> list[Mapping[str, str]]:
    """The fetched sources without the facts that were kept, and the old sources of those."""
    found = [_of_facts(source, lambda fact: fact not in kept) for source in fetched]
    found += [_of_facts(source, lambda fact: fact in kept) for source in old]
    return [source for source in found if source is not None]


def _of_facts(source: Mapping[str, str], wanted: Callable[[str], bool]) -> Mapping[str, str] | None:
    facts = [fact for fact in source["what"].split(", ") if wanted(fact.partition(" (")[0])]
    return {**source, "what": ", ".join(facts)} if facts else None


def _flat(entry: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in entry.items():
        if not prefix and name == "sources":
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
