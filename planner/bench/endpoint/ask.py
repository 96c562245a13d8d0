"""One question to a server's chat, answered whole. The server is untrusted: its answer is bounded, in size and in time."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from hardware.units import MIB
from planner.bench.endpoint.stream import PATHS
from planner.evaluate.task import Reply
from planner.quoting import quoted

_MAX_BYTES: Final = 8 * MIB
_MAX_ERROR_BYTES: Final = 4096


async def ask(
    client: Any,
    base_url: str,
    model: str,
    messages: Sequence[tuple[str, str]],
    *,
    max_tokens: int,
    temperature: float,
    timeout_s: float,
) -> Reply:
    """The answer and what the server counted; what goes wrong is the reply's `error`. `client` is an httpx2.AsyncClient."""
    import httpx2

    body = {
        "model": model,
        "messages": [{"role": role, "content": text} for role, text in messages],
        "max_tokens": max_tokens,
        "temperature": temperature,
    }
    started = time.monotonic()
    said = b""
    status = 0
    error = None
    try:
        async with (
            asyncio.timeout(timeout_s),
            client.stream("POST", base_url + PATHS["chat"], json=body, timeout=timeout_s) as response,
        ):
            status = response.status_code
            async for piece in response.aiter_bytes():
                said += piece
                if len(said) > _MAX_BYTES:
                    error = "an answer without end"
                    break
    except TimeoutError:
        error = f"no answer within {timeout_s:g} s"
    except httpx2.TimeoutException as failed:
        error = f"timed out ({type(failed).__name__})"
    except httpx2.HTTPError as failed:
        error = f"the connection broke ({type(failed).__name__})"
    wall_s = time.monotonic() - started
    if error is None and status != 200:
        error = f"HTTP {status}: {quoted(said[:_MAX_ERROR_BYTES].decode('utf-8', 'replace'))}"
    if error is not None:
        return Reply(wall_s=wall_s, error=error)
    return _reply(said, wall_s)


def _reply(said: bytes, wall_s: float) -> Reply:
    try:
        data = json.loads(said)
    except (ValueError, RecursionError):
        return Reply(wall_s=wall_s, error="an answer that is not JSON")
    choices = data.get("choices") if isinstance(data, Mapping) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, Mapping) else None
    text = message.get("content") if isinstance(message, Mapping) else None
    usage = data.get("usage") if isinstance(data, Mapping) else None
    counts = usage if isinstance(usage, Mapping) else {}
    return Reply(
        text=text if isinstance(text, str) else "",
        n_prompt_tokens=_count(counts.get("prompt_tokens")),
        n_output_tokens=_count(counts.get("completion_tokens")),
        wall_s=wall_s,
        error=None if isinstance(text, str) else "an answer without text",
    )


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= 10_000_000 else None
