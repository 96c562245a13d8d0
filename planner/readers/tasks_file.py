"""Tasks of an evaluation from JSON lines: a prompt or messages, and a check, in each."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hardware.units import MIB
from planner.errors import MalformedError
from planner.evaluate.checks import check_of
from planner.evaluate.task import Task
from planner.quoting import quoted
from planner.readers.byte_source import read_bounded

_MAX_BYTES: Final = 32 * MIB
_MOST_TASKS: Final = 20_000
_KEYS: Final = frozenset({"task", "system", "prompt", "messages", "check", "max_tokens"})
_ROLES: Final = ("system", "user", "assistant")


def read_tasks(path: Path) -> tuple[Task, ...]:
    """The tasks of a file, in order; raises ReadError, one line, which names the line of the file."""
    shown = quoted(path)
    try:
        lines = read_bounded(path, _MAX_BYTES).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise MalformedError(f"{shown} is not text (byte {error.start:,})") from error
    tasks: dict[str, Task] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if len(tasks) == _MOST_TASKS:
            raise MalformedError(f"{shown} holds more than {_MOST_TASKS:,} tasks")
        try:
            task = _task(json.loads(line), str(number))
        except (ValueError, RecursionError) as error:
            raise MalformedError(f"{shown}, line {number}: {' '.join(str(error).split())[:300]}") from error
        if task.name in tasks:
            raise MalformedError(f"{shown}, line {number}: there is a task {quoted(task.name)} already")
        tasks[task.name] = task
    if not tasks:
        raise MalformedError(f"{shown} holds no task")
    return tuple(tasks.values())


def _task(data: Any, number: str) -> Task:
    if not isinstance(data, Mapping):
        raise ValueError('a task is an object such as {"prompt": "2 + 2?", "check": {"number": 4}}')
    strange = sorted(set(data) - _KEYS)
    if strange:
        raise ValueError(f"no key {strange[0][:60]!r}; known: {', '.join(sorted(_KEYS))}")
    if ("prompt" in data) == ("messages" in data):
        raise ValueError("a task has either a prompt or messages")
    if not isinstance(data.get("check"), Mapping):
        raise ValueError('a task has a check, such as {"contains": "Paris"}')
    most = data.get("max_tokens")
    if most is not None and type(most) is not int:
        raise ValueError("max_tokens is a whole number")
    return Task(
        name=str(data.get("task", number))[:200],
        messages=_messages(data),
        check=check_of(data["check"]),
        max_tokens=most,
    )


def _messages(data: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    said = [] if data.get("system") is None else [{"role": "system", "content": data["system"]}]
    said += [{"role": "user", "content": data["prompt"]}] if "prompt" in data else data["messages"]
    messages = []
    for message in said:
        role = message.get("role") if isinstance(message, Mapping) else None
        text = message.get("content") if isinstance(message, Mapping) else None
        if role not in _ROLES or not isinstance(text, str) or not text:
            raise ValueError(f"a message has a role ({', '.join(_ROLES)}) and a text as content")
        messages.append((role, text))
    return tuple(messages)
