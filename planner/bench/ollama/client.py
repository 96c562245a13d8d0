"""Questions to a running Ollama, bounded in time and size, and its refusals as one line.

Written from server/routes.go and api/types.go of Ollama v0.33.0-rc2 (fb307609, 2026-08-21). Durations are
nanoseconds and, as every count, absent where they are 0: a fully cached prompt has no prompt_eval_count.
"""

import json
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

from hardware.units import MIB
from planner.errors import BenchError, NotFoundError, UnreachableError
from planner.quoting import quoted

_MAX_LINE_BYTES: Final = MIB
_MAX_ANSWER_BYTES: Final = 64 * MIB
_SHORT_S: Final = 10.0


class OllamaClient:
    """One server; `close` ends the connection."""

    def __init__(self, base_url: str) -> None:
        import httpx2

        self.base_url = base_url
        self._httpx2: Any = httpx2
        self._client = httpx2.Client(base_url=base_url, follow_redirects=False)

    def close(self) -> None:
        """Ends the connection."""
        self._client.close()

    def get(self, path: str) -> Mapping[str, Any]:
        """The answer to a short question."""
        return self._last(self._lines("GET", path, None, quiet_s=_SHORT_S, limit_s=_SHORT_S))

    def ask(self, path: str, body: Mapping[str, Any], *, limit_s: float) -> Mapping[str, Any]:
        """The whole answer to a question that is not streamed."""
        return self._last(
            self._lines("POST", path, {**body, "stream": False}, quiet_s=limit_s, limit_s=limit_s)
        )

    def last_of(
        self, path: str, body: Mapping[str, Any], *, quiet_s: float, limit_s: float
    ) -> Mapping[str, Any]:
        """The last part of a streamed answer, which holds the counters."""
        return self._last(self.stream(path, body, quiet_s=quiet_s, limit_s=limit_s))

    def stream(
        self, path: str, body: Mapping[str, Any], *, quiet_s: float, limit_s: float
    ) -> Iterator[Mapping[str, Any]]:
        """The parts of a streamed answer as they come; BenchError after `quiet_s` of silence or `limit_s` in all."""
        yield from self._lines("POST", path, {**body, "stream": True}, quiet_s=quiet_s, limit_s=limit_s)

    def _last(self, parts: Iterator[Mapping[str, Any]]) -> Mapping[str, Any]:
        last = deque(parts, maxlen=1)
        if not last:
            raise BenchError(f"Ollama at {self.base_url} answered nothing")
        return last[0]

    def _lines(
        self, method: str, path: str, body: Mapping[str, Any] | None, *, quiet_s: float, limit_s: float
    ) -> Iterator[Mapping[str, Any]]:
        httpx2 = self._httpx2
        deadline = time.monotonic() + limit_s
        timeout = httpx2.Timeout(connect=_SHORT_S, write=_SHORT_S, pool=None, read=quiet_s)
        try:
            with self._client.stream(method, path, json=body, timeout=timeout) as response:
                if response.status_code != 200:
                    raise self._refusal(path, response)
                yield from self._parts(path, response, deadline, limit_s)
        except httpx2.ConnectError as error:
            raise UnreachableError(
                f"no Ollama answers at {self.base_url}; start it with `ollama serve`, or set OLLAMA_HOST"
            ) from error
        except httpx2.TimeoutException as error:
            raise BenchError(
                f"Ollama at {self.base_url} was silent for {quiet_s:g} s at {path} and was left"
            ) from error
        except httpx2.HTTPError as error:
            raise BenchError(
                f"the connection to Ollama broke at {path} ({type(error).__name__}); its log says why"
            ) from error

    def _parts(
        self, path: str, response: Any, deadline: float, limit_s: float
    ) -> Iterator[Mapping[str, Any]]:
        waiting = b""
        n_bytes = 0
        for piece in response.iter_bytes():
            n_bytes += len(piece)
            *lines, waiting = (waiting + piece).split(b"\n")
            if (len(waiting) > _MAX_LINE_BYTES and path != "/api/show") or n_bytes > _MAX_ANSWER_BYTES:
                raise BenchError(f"Ollama at {self.base_url} sends an answer without end at {path}")
            for line in lines:
                if line.strip():
                    yield self._part(path, line)
            if time.monotonic() > deadline:
                raise BenchError(
                    f"Ollama at {self.base_url} took longer than {limit_s:g} s at {path} and was left"
                )
        if waiting.strip():
            yield self._part(path, waiting)

    def _part(self, path: str, line: bytes) -> Mapping[str, Any]:
        try:
            part = json.loads(line)
        except (ValueError, RecursionError):
            raise BenchError(
                f"Ollama at {self.base_url} broke off in the middle of an answer at {path}: {quoted(line[:60])}"
            ) from None
        if not isinstance(part, dict):
            raise BenchError(f"Ollama at {self.base_url} answers {path} with something other than an object")
        if part.get("error"):
            raise BenchError(f"Ollama stopped at {path}: {quoted(part['error'])}")
        return part

    def _refusal(self, path: str, response: Any) -> Exception:
        said = b""
        for piece in response.iter_bytes():
            said += piece
            if len(said) > 4096:
                break
        try:
            message = str(json.loads(said)["error"])
        except (ValueError, KeyError, TypeError, RecursionError):
            # What is not JSON comes from the router, which does not know the path.
            message = "" if response.status_code == 404 else said[:200].decode("utf-8", "replace")
        if response.status_code == 404 and message:
            return NotFoundError(f"Ollama at {self.base_url}: {quoted(message)}")
        if response.status_code == 404:
            return BenchError(
                f"{self.base_url} does not know {path}: it is no Ollama, or one older than 0.1.33; update it"
            )
        return BenchError(f"Ollama refused {path} (HTTP {response.status_code}): {quoted(message)}")
