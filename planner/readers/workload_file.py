"""A workload from a TOML or JSON file that nobody vouches for; docs/workloads.md describes the keys."""

import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

from planner.errors import MalformedError
from planner.quoting import quoted
from planner.readers.byte_source import read_bounded
from planner.readers.local_json import parse_json_object
from planner.workload.lengths import FORMS, Lengths, parse_lengths
from planner.workload.slo import parse_slo
from planner.workload.workload import (
    EVEN_DAY,
    EVEN_WEEK,
    NOTHING,
    AgentLoop,
    Basis,
    FigureSource,
    Objective,
    Pattern,
    Traffic,
    Workload,
)

SCHEMA: Final = "planner.workload/1"
MAX_BYTES: Final = 2**18
_MAX_VALUES: Final = 5_000
_LONGEST_TEXT: Final = 2_000
MOST_SAMPLES: Final = 999
MOST_USERS: Final = 999_999
MOST_TASKS_PER_S: Final = 99_999
_LARGEST: Final = 999_999_999
_MOST_STEPS: Final = 10_000

_TOP: Final = (
    "schema", "name", "description", "source", "prompt_tokens", "shared_prefix_tokens", "thinking_tokens",
    "output_tokens", "samples", "slo", "availability", "agent", "traffic", "sources",
)  # fmt: skip
_AGENT: Final = ("steps", "tool_tokens", "max_steps", "token_budget", "keeps_thinking", "tool_s")
_TRAFFIC: Final = (
    "tasks_per_s", "users", "pattern", "burstiness", "day_profile", "week_profile", "growth_per_year",
    "think_s",
)  # fmt: skip
_SOURCE: Final = ("basis", "note", "url", "date")
FIGURE_KEYS: Final = (
    *(key for key in _TOP[4:11]),
    *(f"agent.{key}" for key in _AGENT),
    *(f"traffic.{key}" for key in _TRAFFIC),
)

T = TypeVar("T")


def read_workload(path: Path) -> Workload:
    """The workload in a file; .json is read as JSON, anything else as TOML. Raises ReadError, one line."""
    data = read_bounded(path, MAX_BYTES)
    return parse_workload(data, quoted(path), is_json=path.suffix.casefold() == ".json")


def parse_workload(data: bytes, name: str, *, is_json: bool = False) -> Workload:
    """The workload in the text of a file; `name` stands in messages, already quoted."""
    if is_json:
        fields = parse_json_object(data, name, max_values=_MAX_VALUES)
    else:
        try:
            fields = tomllib.loads(data.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise MalformedError(f"{name} is not UTF-8 text: byte {error.start} is invalid") from error
        except RecursionError as error:
            raise MalformedError(f"{name} is nested too deeply") from error
        except ValueError as error:
            raise MalformedError(f"{name} is not readable as TOML: {quoted(error)[1:-1]}") from error
    return workload_of(fields, name)


def workload_of(fields: Mapping[str, Any], name: str) -> Workload:
    """The workload that keys and values describe."""
    table = _Table(fields, name, "", _TOP)
    schema = table.text("schema")
    if schema != SCHEMA:
        raise table.wrong("schema", f'"{SCHEMA}", the only one that this version reads')
    table.need("prompt_tokens", "output_tokens", "traffic")
    agent = table.inner("agent", _AGENT)
    traffic = table.inner("traffic", _TRAFFIC)
    assert traffic is not None
    return table.whole(
        lambda: Workload(
            name=table.text("name") or "workload",
            description=table.text("description"),
            source=table.text("source"),
            prompt=table.lengths("prompt_tokens"),
            output=table.lengths("output_tokens"),
            thinking=table.lengths("thinking_tokens", least=0) if "thinking_tokens" in fields else NOTHING,
            shared_prefix_tokens=table.number("shared_prefix_tokens", 0, whole=True, low=0) or 0,
            samples=table.number("samples", 1, whole=True, low=1, high=MOST_SAMPLES) or 1,
            objectives=_objectives(table),
            availability=table.number("availability", None, low=0, high=1),
            agent=None if agent is None else _agent(agent),
            traffic=_traffic(traffic),
            sources=_sources(table),
        )
    )


def _agent(table: "_Table") -> AgentLoop:
    table.need("steps", "tool_tokens", "max_steps")
    return table.whole(
        lambda: AgentLoop(
            steps=table.lengths("steps"),
            tool_tokens=table.lengths("tool_tokens", least=0),
            max_steps=table.number("max_steps", None, whole=True, low=1, high=_MOST_STEPS) or 1,
            token_budget=table.number("token_budget", None, whole=True, low=1),
            keeps_thinking=table.flag("keeps_thinking", default=True),
            tool_s=table.number("tool_s", 0.0),
        )
    )


def _traffic(table: "_Table") -> Traffic:
    return table.whole(
        lambda: Traffic(
            tasks_per_s=table.number("tasks_per_s", None, low=0, high=MOST_TASKS_PER_S),
            concurrency=table.number("users", None, whole=True, low=1, high=MOST_USERS),
            pattern=table.choice("pattern", get_args(Pattern), "poisson"),
            burstiness=table.number("burstiness", 1.0, low=0, high=9_999) or 1.0,
            day_profile=table.weights("day_profile", EVEN_DAY),
            week_profile=table.weights("week_profile", EVEN_WEEK),
            growth_per_year=table.number("growth_per_year", 0.0, low=-1, high=99) or 0.0,
            think_s=table.number("think_s", 0.0),
        )
    )


def _objectives(table: "_Table") -> tuple[Objective, ...]:
    value = table.fields.get("slo", [])
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise table.wrong("slo", 'texts such as "ttft p95<1s"')
    if not texts:
        return ()
    return table.whole(lambda: parse_slo(", ".join(texts)), "slo")


def _sources(table: "_Table") -> tuple[FigureSource, ...]:
    outer = table.inner("sources", FIGURE_KEYS)
    if outer is None:
        return ()
    found = []
    for key in outer.fields:
        inner = outer.inner(key, _SOURCE)
        assert inner is not None
        inner.need("basis", "note")
        found.append(
            FigureSource(
                key=key,
                basis=inner.choice("basis", get_args(Basis), "assumed"),
                note=inner.text("note"),
                url=inner.text("url") or None,
                date=inner.text("date") or None,
            )
        )
    return tuple(found)


class _Table:
    """One table of the file, whose values are asked for by key and kind; errors name file and key."""

    def __init__(self, fields: Mapping[str, Any], name: str, where: str, known: tuple[str, ...]) -> None:
        self.fields = fields
        self._name = name
        self._where = where
        for key in fields:
            if key not in known:
                near = get_close_matches(key[:60], known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"it knows {', '.join(known)}"
                raise MalformedError(f"{name}: {quoted(where + key)} is no key of a workload; {hint}")

    def inner(self, key: str, known: tuple[str, ...]) -> "_Table | None":
        if key not in self.fields:
            return None
        if not isinstance(self.fields[key], dict):
            raise self.wrong(key, "a table of keys")
        return _Table(self.fields[key], self._name, f"{self._where}{key}.", known)

    def need(self, *keys: str) -> None:
        for key in keys:
            if key not in self.fields:
                raise MalformedError(
                    f"{self._name}: the key {self._where}{key} is missing; see docs/workloads.md"
                )

    def wrong(self, key: str, allowed: str) -> MalformedError:
        found = quoted(self.fields.get(key))
        return MalformedError(f"{self._name}, key {self._where}{key}: found {found}, expected {allowed}")

    def whole(self, build: Callable[[], T], key: str = "") -> T:
        """What `build` gives; a record's own objection is an error of this file."""
        try:
            return build()
        except ValueError as error:
            where = (self._where + key).rstrip(".")
            raise MalformedError(f"{self._name}{f', key {where}' if where else ''}: {error}") from error

    def text(self, key: str) -> str:
        value = self.fields.get(key, "")
        if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
            raise self.wrong(key, f"a text of at most {_LONGEST_TEXT:,} characters")
        if not value.isprintable():
            raise self.wrong(key, "a text on one line")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        value = self.fields.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def choice(self, key: str, allowed: tuple[Any, ...], default: Any) -> Any:
        value = self.fields.get(key, default)
        if not isinstance(value, str) or value not in allowed:
            raise self.wrong(key, f"one of {', '.join(allowed)}")
        return value

    def number(
        self, key: str, default: Any, *, whole: bool = False, low: float = 0, high: float = _LARGEST
    ) -> Any:
        """A number from `low` to `high`, or the default where there is none."""
        if key not in self.fields:
            return default
        value = self.fields[key]
        is_number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        if not is_number or not low <= value <= high:
            kind = "a whole number" if whole else "a number"
            raise self.wrong(key, f"{kind} from {low:g} to {high:,}")
        return value

    def lengths(self, key: str, *, least: int = 1) -> Lengths:
        value = self.fields[key]
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise self.wrong(key, f"a length in tokens, such as {FORMS}")
        try:
            return parse_lengths(value, least=least)
        except ValueError as error:
            raise self.wrong(key, f"a length in tokens, such as {FORMS}") from error

    def weights(self, key: str, even: tuple[float, ...]) -> tuple[float, ...]:
        value = self.fields.get(key, list(even))
        if (
            not isinstance(value, list)
            or len(value) != len(even)
            or not all(isinstance(weight, int | float) and not isinstance(weight, bool) for weight in value)
            or not all(0 <= weight <= _LARGEST for weight in value)
        ):
            raise self.wrong(key, f"{len(even)} weights from 0 on")
        return tuple(float(weight) for weight in value)
