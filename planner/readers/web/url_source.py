"""Model files at any web address: as a source of byte ranges, or whole when they are small.

Both https and http are read, because model files lie on servers of one's own network too; a password in an http
address is refused unless the server is this machine or in a private network. No token of the hub is ever sent.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from planner.errors import AccessError, NotFoundError, ReadError, UnreachableError
from planner.quoting import quoted
from planner.readers.byte_source import ByteSource
from planner.readers.gguf.cursor import FRONT_BYTES
from planner.readers.hub.repository import DEFAULT_OPTIONS, HubOptions
from planner.readers.local_json import MAX_JSON_BYTES, parse_json_object
from planner.readers.web.http_range import FileWords, RangeReader, checked_url, host_of, is_local

_HEADERS: Mapping[str, str] = {"User-Agent": "llm-capacity-planner"}


def url_source(
    url: str, *, options: HubOptions = DEFAULT_OPTIONS, first_bytes: int = FRONT_BYTES
) -> ByteSource:
    """The file at a web address as a source of byte ranges; its first bytes are fetched to learn its size."""
    reader = RangeReader(
        _allowed(url),
        file_words(url, options.timeout_s),
        timeout_s=options.timeout_s,
        headers=_HEADERS,
        progress=options.progress,
    )
    return ByteSource(name=url_label(url), n_bytes=reader.size(first_bytes), read=reader.read)


def fetch_url_json(
    url: str, *, options: HubOptions = DEFAULT_OPTIONS, max_bytes: int = MAX_JSON_BYTES
) -> dict[str, Any]:
    """The JSON object at a web address, such as a config.json; one over `max_bytes` is refused."""
    reader = RangeReader(
        _allowed(url), file_words(url, options.timeout_s), timeout_s=options.timeout_s, headers=_HEADERS
    )
    return parse_json_object(reader.whole(max_bytes), quoted(url_label(url)))


def fetch_url(url: str, *, max_bytes: int, timeout_s: float) -> bytes:
    """What lies at a web address, in one request; more than `max_bytes` is refused."""
    reader = RangeReader(_allowed(url), file_words(url, timeout_s), timeout_s=timeout_s, headers=_HEADERS)
    return reader.whole(max_bytes)


def url_label(url: str) -> str:
    """An address as messages and reports show it: without password, signature and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{host_of(url)}{parts.path}"


def url_file_name(url: str) -> str:
    """The file name at the end of an address."""
    return unquote(urlsplit(url).path).rpartition("/")[2]


def sibling_url(url: str, name: str) -> str:
    """The address of another file next to this one; a signature after "?" is kept, although few cover it."""
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path.rpartition('/')[0]}/{name}", fragment="").geturl()


def _allowed(url: str) -> str:
    parts = urlsplit(checked_url(url))
    if parts.scheme == "http" and "@" in parts.netloc and not is_local(url):
        raise AccessError(f"{quoted(url_label(url))}: a password would be sent without encryption; use https")
    return url


def file_words(url: str, timeout_s: float) -> FileWords:
    """How messages speak of the file at an address."""
    label = url_label(checked_url(url))

    def errors(host: str) -> AbstractContextManager[None]:
        return url_errors(quoted(label), host, timeout_s)

    def status_error(status: int, host: str) -> ReadError:
        return _status_error(label, status, host)

    return FileWords(file=quoted(label), errors=errors, status_error=status_error)


def _status_error(label: str, status: int, host: str) -> ReadError:
    if status in (401, 403, 407):
        return AccessError(
            f"{host} refused {quoted(label)} (HTTP {status}); write https://USER:PASSWORD@HOST/… or "
            "download the file and name its path"
        )
    if status in (404, 410):
        return NotFoundError(f"{host} has no {quoted(label)} (HTTP {status}); check the address")
    return UnreachableError(f"{host} answered HTTP {status} for {quoted(label)}; try again later")


@contextmanager
def url_errors(file: str, host: str, timeout_s: float) -> Iterator[None]:
    """Turn the client's errors while it reads `file`, already quoted, into UnreachableError."""
    from huggingface_hub import errors

    # The client has changed its HTTP library between versions; all of its errors derive from this base.
    http_error: type[Exception] = errors.HfHubHTTPError.__mro__[1]
    try:
        yield
    except errors.OfflineModeIsEnabled as error:
        raise UnreachableError(
            f"{file} cannot be fetched: HF_HUB_OFFLINE is set; unset it, or name a local path"
        ) from error
    except (http_error, OSError) as error:
        if any(kind.__name__ == "TimeoutException" for kind in type(error).__mro__):
            raise UnreachableError(
                f"{host} did not answer within {timeout_s:g} s while fetching {file}; "
                "check the network, or name a local path"
            ) from error
        raise UnreachableError(
            f"{host} cannot be reached, or broke off, for {file} ({type(error).__name__}: "
            f"{quoted(error)}); check the address and the network, or name a local path"
        ) from error
