"""What changed between two reports of one kind, figure by figure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from planner.errors import PlannerError
from planner.quoting import quoted
from planner.report.document import Cell, Document, Table
from planner.report.outside_text import plain

_NAMES: Final = (
    "name",
    "id",
    "figure",
    "key",
    "path",
    "depth",
    "test",
)  # what tells the items of a list apart
_LEAST_RELATIVE: Final = 0.005  # smaller changes of a number are not worth a line
_MOST_ROWS: Final = 60
_MOST_LEAVES: Final = 200_000
_NEVER_SHOWN: Final = ("made_at", "command", "tables", "answer", "curves")  # which follow from the rest

Leaf = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One place of a report that says something else now; None where it said nothing or says nothing now."""

    path: str
    old: Leaf
    new: Leaf
    is_new: bool = False
    is_gone: bool = False

    @property
    def relative(self) -> float | None:
        """How much a number grew, as a fraction of what it was."""
        if isinstance(self.old, bool) or isinstance(self.new, bool):
            return None
        if not isinstance(self.old, (int, float)) or not isinstance(self.new, (int, float)) or not self.old:
            return None
        return (self.new - self.old) / abs(self.old)


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """Every leaf that differs, numbers only by half a per cent or more; in the order of the new report."""
    was, now = dict(_leaves(old, "")), dict(_leaves(new, ""))
    found = []
    for path, value in now.items():
        if path not in was:
            found.append(Change(path=path, old=None, new=value, is_new=True))
        elif _differs(was[path], value):
            found.append(Change(path=path, old=was[path], new=value))
    gone = [
        Change(path=path, old=value, new=None, is_gone=True) for path, value in was.items() if path not in now
    ]
    return (*found, *gone)


def difference_document(old: Mapping[str, Any], new: Mapping[str, Any]) -> Document:
    """What `--diff` says; raises PlannerError for reports of different kinds."""
    if old.get("schema") != new.get("schema"):
        raise PlannerError(
            f"the reports are of different kinds, {quoted(old.get('schema'))} and {quoted(new.get('schema'))}, and cannot be "
            "held against each other"
        )
    found = changes(old, new)
    return Document(
        schema="planner.difference/1",
        title="What changed",
        answer=(_sentence(old, new, found),),
        tables=(
            Table(
                title="",
                headers=("what", "was", "is", "change"),
                rows=tuple(_row(change) for change in found[:_MOST_ROWS]),
                right=(1, 2, 3),
            ),
        )
        if found
        else (),
        notes=(f"{len(found) - _MOST_ROWS} more changes are in --format json",)
        if len(found) > _MOST_ROWS
        else (),
        data={
            "old_made_at": old.get("made_at"),
            "new_made_at": new.get("made_at"),
            "changes": [
                {
                    "path": one.path, "old": one.old, "new": one.new, "relative": one.relative, "is_new": one.is_new,
                    "is_gone": one.is_gone,
                }
                for one in found
            ],
        },
    )  # fmt: skip


def _sentence(old: Mapping[str, Any], new: Mapping[str, Any], found: Sequence[Change]) -> str:
    since = old.get("made_at")
    when = f" since {plain(since, 40)}" if since else ""
    if not found:
        return f"Nothing changed{when} by half a per cent or more."
    was, now = _verdict(old), _verdict(new)
    turned = f" The answer turned from {was} to {now}." if was and now and was != now else ""
    if was and now and was == now:
        turned = f" The answer is still {now}."
    return f"{len(found)} figures and words changed{when}.{turned}"


def _verdict(report: Mapping[str, Any]) -> str | None:
    data = report.get("data", report)
    verdict = data.get("verdict") if isinstance(data, Mapping) else None
    return plain(verdict, 40) if isinstance(verdict, str) else None


def _row(change: Change) -> tuple[Cell, ...]:
    relative = change.relative
    said = (
        "new"
        if change.is_new
        else "gone"
        if change.is_gone
        else None
        if relative is None
        else f"{relative:+.1%}"
    )
    return (plain(change.path, 160), _shown(change.old), _shown(change.new), said)


def _shown(value: Leaf) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4g}" if isinstance(value, float) else plain(value, 80)


def _differs(old: Leaf, new: Leaf) -> bool:
    numbers = (int, float)
    if isinstance(old, numbers) and isinstance(new, numbers) and not isinstance(old, bool):
        return abs(new - old) > _LEAST_RELATIVE * max(abs(old), abs(new))
    return old != new


def _leaves(value: Any, path: str, left: list[int] | None = None) -> Iterator[tuple[str, Leaf]]:
    left = [_MOST_LEAVES] if left is None else left
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if (not path and key in _NEVER_SHOWN) or key == "curves":
                continue
            yield from _leaves(inner, f"{path}.{key}" if path else str(key), left)
    elif isinstance(value, list):
        named = _names_of(value)
        if named is None and all(isinstance(item, (int, float)) for item in value) and len(value) > 3:
            return  # a line of a chart
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{index if named is None else named[index]}]", left)
    else:
        left[0] -= 1
        if left[0] < 0:
            raise PlannerError(f"a report has more than {_MOST_LEAVES:,} figures; it cannot be compared")
        yield path, value


def _names_of(items: list[Any]) -> list[str] | None:
    """What tells the items apart; None where nothing does."""
    for key in _NAMES:
        names = [item.get(key) if isinstance(item, Mapping) else None for item in items]
        if all(isinstance(name, (str, int)) for name in names):
            owners = [item.get("owner") for item in items]
            whole = [
                f"{name} of {owner}" if owner else str(name)
                for name, owner in zip(names, owners, strict=True)
            ]
            if len(set(whole)) == len(whole):
                return whole
    return None
