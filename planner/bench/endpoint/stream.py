"""One request to a server that speaks OpenAI's protocol, answered as a stream of events.

Reads the pieces of /v1/completions and /v1/chat/completions (reasoning included) with the times at which they
came, and the server's own count of tokens. The server is untrusted: lines, answers and waits are bounded.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hardware.units import MIB
from planner.load.load_test import Call
from planner.load.request_record import RequestRecord
from planner.quoting import quoted

PATHS: Final[Mapping[Call, str]] = {"completions": "/v1/completions", "chat": "/v1/chat/completions"}
_MAX_LINE_BYTES: Final = MIB
_MAX_ANSWER_BYTES: Final = 64 * MIB
_MAX_ERROR_BYTES: Final = 4096
_TEXT_FIELDS: Final = ("content", "reasoning_content", "reasoning")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a server may keep a request waiting."""

    first_s: float = 120.0  # for the first byte of the answer
    between_s: float = 60.0  # between two pieces
    whole_s: float = 600.0


@dataclass(slots=True)
class _Answer:
    """What has come so far."""

    token_s: list[float] = field(default_factory=list)
    n_prompt: int | None = None
    n_output: int | None = None
    n_cached: int | None = None
    is_finished: bool = False
    error: str | None = None


def request_body(
    call: Call, model: str, prompt: str, n_output_tokens: int, extra: Mapping[str, Any]
) -> dict[str, Any]:
    """The JSON of a request whose answer has a given length, where the server lets a client decide that."""
    asked: dict[str, Any] = {
        "model": model,
        "max_tokens": n_output_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        **extra,
    }
    if call == "chat":
        return {**asked, "messages": [{"role": "user", "content": prompt}]}
    return {**asked, "prompt": prompt}


async def send(
    client: Any,
    url: str,
    body: Mapping[str, Any],
    *,
    planned_s: float,
    clock: Callable[[], float],
    limits: Limits,
) -> RequestRecord:
    """Sends one request and reads its answer to the end; what goes wrong is the record's `error`, one line.

    `client` is an httpx2.AsyncClient; `clock` gives seconds since the test began.
    """
    import httpx2

    answer = _Answer()
    sent_s = clock()
    timeout = httpx2.Timeout(connect=30.0, write=30.0, pool=None, read=limits.first_s)
    try:
        async with asyncio.timeout(limits.whole_s):
            async with client.stream("POST", url, json=body, timeout=timeout) as response:
                if response.status_code != 200:
                    answer.error = await _refusal(response)
                else:
                    await _read(response, answer, clock, limits)
    except TimeoutError:
        answer.error = f"no end after {limits.whole_s:g} s"
    except httpx2.TimeoutException as error:
        answer.error = f"timed out ({type(error).__name__})"
    except httpx2.HTTPError as error:
        answer.error = f"the connection broke ({type(error).__name__})"
    if answer.error is None and not answer.is_finished:
        answer.error = "the answer broke off"
    if answer.error is None and not (answer.token_s and answer.n_output != 0):
        answer.error = "an answer without text"
    return RequestRecord(
        planned_s=planned_s,
        sent_s=sent_s,
        end_s=clock(),
        token_s=tuple(answer.token_s),
        n_prompt_tokens=answer.n_prompt,
        n_output_tokens=answer.n_output if answer.n_output else len(answer.token_s),
        n_cached_tokens=answer.n_cached,
        is_counted_by_server=bool(answer.n_output),
        error=answer.error,
    )


async def _refusal(response: Any) -> str:
    said = b""
    async for piece in response.aiter_bytes():
        said += piece
        if len(said) > _MAX_ERROR_BYTES:
            break
    return f"HTTP {response.status_code}: {quoted(said[:_MAX_ERROR_BYTES].decode('utf-8', 'replace'))}"


async def _read(response: Any, answer: _Answer, clock: Callable[[], float], limits: Limits) -> None:
    """Takes the events of a stream until it says that it is done."""
    waiting = b""
    n_bytes = 0
    pieces = response.aiter_bytes()
    while True:
        try:
            async with asyncio.timeout(limits.between_s if answer.token_s else limits.first_s):
                piece = await anext(pieces, None)
        except TimeoutError:
            answer.error = None if answer.is_finished else "fell silent before the end"
            return
        if piece is None:
            return
        now = clock()
        n_bytes += len(piece)
        *lines, waiting = (waiting + piece).split(b"\n")
        if len(waiting) > _MAX_LINE_BYTES or n_bytes > _MAX_ANSWER_BYTES:
            answer.error = "an answer without end"
            return
        for line in lines:
            if _take(line.strip(), answer, now):
                return
        if answer.error is not None:
            return


def _take(line: bytes, answer: _Answer, now: float) -> bool:
    """Takes one line of the stream; True when it was the last one."""
    if not line.startswith(b"data:"):
        return False
    data = line[5:].strip()
    if data == b"[DONE]":
        answer.is_finished = True
        return True
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        answer.error = "an event that is not JSON"
        return True
    if not isinstance(event, dict):
        answer.error = "an event that is not an object"
        return True
    if event.get("error"):
        answer.error = f"error in the stream: {quoted(_message(event['error']))}"
        return True
    _take_usage(event.get("usage"), answer)
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(choice, dict):
        # The end is no piece, unless nothing came before it: an answer of one token, or one that no character came of.
        if _is_piece(choice) or (choice.get("finish_reason") and not answer.token_s):
            answer.token_s.append(now)
        if choice.get("finish_reason"):
            answer.is_finished = True
    return False


def _is_piece(choice: Mapping[str, Any]) -> bool:
    """Whether an event stands for tokens: text, or none of it yet where a token is only a part of a character.

    Chats open with a role, often before the first token.
    """
    is_end = bool(choice.get("finish_reason"))
    delta = choice.get("delta")
    if isinstance(delta, dict):
        if any(delta.get(name) for name in _TEXT_FIELDS) or delta.get("tool_calls"):
            return True
        return not is_end and "role" not in delta and any(delta.get(name) == "" for name in _TEXT_FIELDS)
    text = choice.get("text")
    return bool(text) or (text == "" and not is_end)


def _take_usage(usage: Any, answer: _Answer) -> None:
    if not isinstance(usage, dict):
        return
    answer.n_prompt = _count(usage.get("prompt_tokens"), answer.n_prompt)
    answer.n_output = _count(usage.get("completion_tokens"), answer.n_output)
    details = usage.get("prompt_tokens_details")
    if isinstance(details, dict):
        answer.n_cached = _count(details.get("cached_tokens"), answer.n_cached)


def _count(value: Any, before: int | None) -> int | None:
    return value if type(value) is int and 0 <= value <= 10_000_000 else before


def _message(error: Any) -> str:
    return str(error.get("message", error)) if isinstance(error, dict) else str(error)
