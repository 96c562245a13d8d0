"""What a server is before it is loaded: its model, which of OpenAI's two calls it has, and how it counts tokens."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from hardware.units import MIB
from planner.bench.endpoint.prompt_text import PromptScale, prompt_of, scale_from
from planner.bench.endpoint.server_metrics import read_counters
from planner.bench.endpoint.stream import PATHS, Limits, request_body, send
from planner.errors import AccessError, BenchError, NotFoundError, UnreachableError
from planner.load.load_test import Call
from planner.quoting import quoted

_MAX_PAGE_BYTES: Final = 4 * MIB
_FEW_WORDS, _MANY_WORDS = 40, 200
_CALLS: Final[tuple[Call, ...]] = ("completions", "chat")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that answers, and how to ask it."""

    base_url: str
    model: str
    call: Call
    scale: PromptScale
    extra: Mapping[str, Any]  # what makes answers as long as asked, where the server takes it
    software: str | None  # as it names itself

    @property
    def url(self) -> str:
        """Where requests go."""
        return self.base_url + PATHS[self.call]

    @property
    def decides_length(self) -> bool:
        """Whether answers can be made as long as asked."""
        return bool(self.extra)


def base_url_of(text: str) -> str:
    """The address without a trailing /v1; raises BenchError for one that is none or holds a password."""
    address = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise BenchError(f"{quoted(text)} is no address; give one such as http://localhost:8000") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise BenchError(f"{quoted(text)} is no address; give one such as http://localhost:8000")
    if parts.username or parts.password:
        raise BenchError("the address holds a user or password; give the key with --api-key-env NAME instead")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    path = parts.path.rstrip("/").removesuffix("/v1")
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{path}"


async def find_server(
    client: Any,
    base_url: str,
    model: str | None,
    call: Call | None,
    *,
    clock: Callable[[], float],
    limits: Limits,
) -> Server:
    """Asks for the model's name, tries the calls, and learns how many tokens words are.

    Raises UnreachableError, AccessError, NotFoundError or BenchError, one line each.
    """
    name, software = await model_of(client, base_url, model)
    refused = ""
    for tried in (call,) if call else _CALLS:
        for extra in ({"ignore_eos": True}, {}):

            async def count(
                n_words: int, tried: Call = tried, extra: Mapping[str, Any] = extra
            ) -> tuple[int | None, str | None]:
                body = request_body(tried, name, prompt_of(n_words, random.Random(n_words)), 2, extra)  # noqa: S311
                record = await send(
                    client, base_url + PATHS[tried], body, planned_s=clock(), clock=clock, limits=limits
                )
                return record.n_prompt_tokens, record.error

            few, error = await count(_FEW_WORDS)
            if error is not None:
                refused = error
                continue
            many, error = await count(_MANY_WORDS)
            if error is not None:
                raise BenchError(
                    f"{base_url} answered a prompt of {_FEW_WORDS} words and not one of {_MANY_WORDS}: {error}"
                )
            scale = PromptScale() if not few or not many else scale_from(_FEW_WORDS, few, _MANY_WORDS, many)
            return Server(
                base_url=base_url, model=name, call=tried, scale=scale, extra=extra, software=software
            )
    raise BenchError(
        f"{base_url} lists the model {quoted(name)} and answers neither /v1/completions nor /v1/chat/completions "
        f"as a stream; it said last: {refused}"
    )


async def model_of(client: Any, base_url: str, wanted: str | None) -> tuple[str, str | None]:
    """The model's name, asked for unless given, and how the server names itself."""
    import httpx2

    try:
        response = await client.get(f"{base_url}/v1/models", timeout=30.0)
        status, page = response.status_code, response.content[:_MAX_PAGE_BYTES]
    except httpx2.HTTPError as error:
        raise UnreachableError(
            f"no server answers at {base_url} ({type(error).__name__}); start it, or check the address"
        ) from error
    software = response.headers.get("server")
    if status in (401, 403):
        raise AccessError(f"{base_url} wants a key (HTTP {status}); give it with --api-key-env NAME")
    if wanted is not None:
        return wanted, software
    try:
        found = [str(item["id"]) for item in response.json()["data"]] if status == 200 and page else []
    except (ValueError, KeyError, TypeError, RecursionError):
        found = []
    if len(found) == 1:
        return found[0], software
    if not found:
        raise NotFoundError(f"{base_url}/v1/models lists no model (HTTP {status}); name it with --model")
    shown = ", ".join(quoted(name) for name in found[:8])
    raise NotFoundError(f"{base_url} serves {len(found)} models ({shown}); name one with --model")


async def counters(client: Any, base_url: str) -> Mapping[str, float]:
    """The server's own counters; empty where it shows none."""
    import httpx2

    try:
        response = await client.get(f"{base_url}/metrics", timeout=10.0)
    except httpx2.HTTPError:
        return {}  # a server without such a page is no fault of the test; the answer says that there was none
    if response.status_code != 200:
        return {}
    return read_counters(response.content[:_MAX_PAGE_BYTES].decode("utf-8", "replace"))


# Where engines tell their version, and under which key: vllm/entrypoints/openai, sglang/srt/entrypoints, tools/server.
_VERSIONS: Final[Mapping[str, tuple[str, str]]] = {
    "vllm": ("/version", "version"),
    "sglang": ("/get_server_info", "version"),
    "llama.cpp": ("/props", "build_info"),
}
_MAX_VERSION_CHARACTERS: Final = 80


async def engine_build(client: Any, base_url: str, engine: str) -> str:
    """The engine's version in its own words; "" where it does not tell."""
    import httpx2

    if engine not in _VERSIONS:
        return ""
    path, key = _VERSIONS[engine]
    try:
        response = await client.get(base_url + path, timeout=10.0)
        found = response.json() if response.status_code == 200 else {}
    except (httpx2.HTTPError, ValueError, RecursionError):
        return ""  # older or guarded servers have no such page: an engine without a version is no fault of the test
    said = found.get(key) if isinstance(found, dict) else None
    return said[:_MAX_VERSION_CHARACTERS] if isinstance(said, str) else ""
