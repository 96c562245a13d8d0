"""Ranges of one file on a web server, whatever the server does with a range, and never more than asked for.

Uses the HTTP client of `huggingface_hub`, imported only when something is read, so that its settings hold for any
server: proxies, certificates, HF_HUB_OFFLINE. Redirects are followed here, because a password is for the host it
was given for, an encrypted connection stays one, and no server out there may send a reader to this machine.
"""

import ipaddress
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from hardware.units import MIB, format_bytes
from planner.errors import MalformedError, ReadError, UnreachableError
from planner.progress import Progress
from planner.quoting import quoted

_MAX_FRONT_BYTES: Final = 128 * MIB  # of a server without ranges, which sends everything from the start
_PATIENCE: Final = 6  # time-outs that 2 MiB may take: slow lines are served, dripping servers are left
_PATIENT_BYTES: Final = 2 * MIB
_RETRIES: Final = 2  # after a connection that broke off; what had arrived is kept
_MAX_SHORT_ANSWERS: Final = 16  # less than asked for, without an error; a server of single bytes is left
_MAX_REDIRECTS: Final = 5
_QUIET_S: Final = 2.0  # nothing is said about what takes less
_BETWEEN_S: Final = 0.5
_BROKEN_OFF: Final = frozenset({"ReadError", "WriteError", "RemoteProtocolError"})
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.IGNORECASE)
_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.\-]{0,252})|[0-9A-Fa-f:.]{2,45}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWords:
    """How messages speak of the file that is read, and of what kept it from being read."""

    file: str  # quoted
    errors: Callable[[str], AbstractContextManager[None]]  # turns the client's errors for a host into ours
    status_error: Callable[[int, str], ReadError]  # an HTTP status that is not success, of a host


class RangeReader:
    """Reads ranges of one URL over one connection; `close` ends it.

    A server that ignores ranges sends the whole file: it is read as far as needed, and the connection is kept
    for what follows, so that nothing is sent twice.
    """

    def __init__(
        self,
        url: str,
        words: FileWords,
        *,
        timeout_s: float,
        headers: Mapping[str, str],
        n_bytes: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._url = checked_url(url)
        self._words = words
        self._timeout_s = timeout_s
        self._headers = dict(headers)
        self._n_bytes = n_bytes
        self._progress = progress
        self._front = bytearray()  # what has been received from the start of the file on without a gap
        self._body: _Body | None = None  # of a server without ranges
        self._etag: str | None = None
        self._started_s: float | None = None
        self._said_s = 0.0

    def size(self, first_bytes: int) -> int:
        """Bytes of the whole file, learnt by fetching its first ones; they are kept for the next read."""
        if self._n_bytes is None:
            first = self._ranged(0, first_bytes)
            self._front[: len(first)] = first
        if self._n_bytes is None:
            raise self._broken("does not say how large the file is")
        return self._n_bytes

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` on; fewer only at the end of the file."""
        end = offset + size if self._n_bytes is None else min(offset + size, self._n_bytes)
        if end <= offset:
            return b""
        known = bytes(self._front[offset:end])
        if offset + len(known) == end:
            return known
        return known + self._ranged(offset + len(known), end - offset - len(known))

    def whole(self, max_bytes: int) -> bytes:
        """The whole file in one request, when it has no more than `max_bytes`."""
        received = bytearray()
        with self._words.errors(host_of(self._url)), self._open({}) as body:
            if body.status != 200:
                raise self._words.status_error(body.status, host_of(self._url))
            promised = _number(body.headers.get("Content-Length", ""))
            if promised is None or promised <= max_bytes:
                for piece in self._pieces(body, 0, max_bytes + 1, received):
                    received += piece
            n_bytes = max(len(received), promised or 0)
            if n_bytes > max_bytes:
                raise MalformedError(
                    f"{self._words.file} has {format_bytes(n_bytes)} or more; "
                    f"at most {format_bytes(max_bytes)} are read for such a file"
                )
            if promised is not None and len(received) < promised:
                raise self._broken(f"stopped after {len(received):,} of {promised:,} bytes")
        return bytes(received)

    def close(self) -> None:
        """End the connection to a server without ranges, if there is one."""
        if self._body is not None:
            self._body.close()
            self._body = None

    def _ranged(self, offset: int, size: int) -> bytes:
        if self._started_s is None:
            self._started_s = time.monotonic()
        received = bytearray()
        retries = short_answers = 0
        while len(received) < size:
            before = len(received)
            try:
                with self._words.errors(host_of(self._url)):
                    self._request(offset, size, received)
            except UnreachableError as error:
                if retries == _RETRIES or not _is_broken_off(error.__cause__):
                    raise
                retries += 1
                self.close()
                continue
            if self._n_bytes is not None and offset + len(received) >= self._n_bytes:
                break  # the file is shorter than what was asked for before its size was known
            short_answers += 1
            if len(received) < size and (len(received) == before or short_answers > _MAX_SHORT_ANSWERS):
                raise self._broken(f"stopped after {len(received):,} of {size:,} bytes")
        return bytes(received)

    def _request(self, offset: int, size: int, received: bytearray) -> None:
        """Ask for what is missing in `received` and add what arrives to it."""
        if self._body is not None:
            self._from_whole(self._body, offset, size, received)
            return
        start, end = offset + len(received), offset + size
        body = self._open({"Range": f"bytes={start}-{end - 1}"})
        if body.status == 200:
            self._body = body
            self._front.clear()
            self._check_size(_number(body.headers.get("Content-Length", "")), body)
            self._from_whole(body, offset, size, received)
            return
        with body:
            if body.status == 416 and start == 0:  # an empty file has no first byte
                self._n_bytes = 0
                return
            if body.status != 206:
                raise self._words.status_error(body.status, host_of(self._url))
            content_range = body.headers.get("Content-Range", "")
            match = _CONTENT_RANGE.fullmatch(content_range)
            if match is None or int(match[1]) != start:
                raise self._broken(f"sent another range ({quoted(content_range)}) than byte {start:,} on")
            self._check_size(int(match[3]), body)
            for piece in self._pieces(body, offset, min(size, int(match[2]) + 1 - offset), received):
                received += piece

    def _from_whole(self, body: "_Body", offset: int, size: int, received: bytearray) -> None:
        if offset + size > _MAX_FRONT_BYTES:
            raise self._broken(f"ignores ranges, and byte {offset + size:,} lies too far into the file")
        for piece in self._pieces(body, 0, offset + size, self._front):
            self._front += piece
        received[:] = self._front[offset : offset + size]

    def _pieces(self, body: "_Body", offset: int, size: int, received: bytearray) -> Iterator[bytes]:
        """What arrives, cut at `size`; the caller adds it to `received`."""
        patience_s = _PATIENCE * self._timeout_s * max(1.0, size / _PATIENT_BYTES)
        deadline_s = time.monotonic() + patience_s
        while len(received) < size:
            # Pieces as they arrive: of a fixed size, they would be waited for, beyond any limit of time.
            piece = next(body.pieces, None)
            if piece is None:
                return
            # A server without ranges may have sent more than was needed so far; it will be needed next.
            yield piece if body is self._body else piece[: size - len(received)]
            now_s = time.monotonic()
            if now_s > deadline_s and len(received) < size:
                raise UnreachableError(
                    f"{format_bytes(len(received))} of {self._words.file} arrived in {patience_s:g} s; "
                    "the connection is too slow, name a local path"
                )
            self._say(now_s, offset + len(received), offset + size)

    def _say(self, now_s: float, done_bytes: int, known_bytes: int) -> None:
        if self._progress is None or self._started_s is None or now_s - self._started_s < _QUIET_S:
            return
        if now_s - self._said_s >= _BETWEEN_S:
            self._said_s = now_s
            text = f"header of {self._words.file}, {format_bytes(done_bytes)}"
            self._progress(min(0.99, done_bytes / max(1, known_bytes)), text)

    def _open(self, headers: Mapping[str, str]) -> "_Body":
        """The answer to a request, after redirects; where they led is remembered."""
        for _ in range(_MAX_REDIRECTS + 1):
            body = _Body(self._url, {**self._headers, **headers}, self._timeout_s)
            location = body.headers.get("Location") if body.status in (301, 302, 303, 307, 308) else None
            if location is None:
                if body.headers.get("Content-Encoding", "identity") != "identity":
                    body.close()
                    raise self._broken("compresses the file although it was asked not to")
                return body
            body.close()
            self.follow(location)
        raise self._broken(f"redirects more than {_MAX_REDIRECTS} times")

    def follow(self, location: str) -> None:
        """Go where a server redirects to, unless no reader should be sent there."""
        try:
            url = checked_url(urljoin(self._url, location))
        except (MalformedError, ValueError) as error:
            raise self._broken("redirects to something that is not a web address") from error
        if urlsplit(self._url).scheme == "https" and urlsplit(url).scheme != "https":
            raise self._broken(f"redirects to {host_of(url)} without encryption")
        if is_local(url) and not is_local(self._url):
            raise self._broken(f"redirects to {host_of(url)}, an address of this machine or network")
        if origin(url) != origin(self._url):
            # A token is for the host it was given for; where that host redirects to has no business with it.
            self._headers = {
                key: value
                for key, value in self._headers.items()
                if key.lower() not in ("authorization", "cookie")
            }
        self._url = url

    def _check_size(self, n_bytes: int | None, body: "_Body") -> None:
        etag = body.headers.get("ETag")
        if self._n_bytes is not None and n_bytes is not None and n_bytes != self._n_bytes:
            raise self._broken(f"says that the file has {n_bytes:,} bytes, and before {self._n_bytes:,}")
        if self._etag is not None and etag is not None and etag != self._etag:
            raise self._broken("changed the file while it was read; try again")
        self._n_bytes = n_bytes if self._n_bytes is None else self._n_bytes
        self._etag = self._etag or etag

    def _broken(self, what: str) -> MalformedError:
        return MalformedError(f"{host_of(self._url)} {what}, while reading {self._words.file}")


class _Body:
    """An answer whose body is still to be read; a context manager that ends the connection."""

    def __init__(self, url: str, headers: Mapping[str, str], timeout_s: float) -> None:
        from huggingface_hub import get_session

        all_headers = {**headers, "Accept-Encoding": "identity"}
        self._stack = ExitStack()
        response = self._stack.enter_context(
            get_session().stream("GET", url, headers=all_headers, timeout=timeout_s, follow_redirects=False)
        )
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.pieces: Iterator[bytes] = response.iter_raw()

    def __enter__(self) -> "_Body":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._stack.close()


def checked_url(text: str) -> str:
    """`text` if it is a web address that a client can be given; raises MalformedError otherwise."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise MalformedError(f"{quoted(text)} is not a web address ({error})") from error
    host = parts.hostname or ""
    is_plain = text.isascii() and text.isprintable() and " " not in text and "\\" not in text
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host) or not is_plain or port == 0:
        raise MalformedError(f"{_without_password(text)} is not a web address; write https://HOST/PATH")
    return text


def host_of(url: str) -> str:
    """Host and port of a URL, without the password that may stand before "@"."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError as error:
        raise MalformedError(f"{quoted(url)} is not a URL; check HF_ENDPOINT") from error


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port: what a password is given for."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def is_local(url: str) -> bool:
    """Whether a URL names this machine or an address of a private network."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False  # a name: what it stands for is the resolver's to say


def _without_password(text: str) -> str:
    return quoted(re.sub(r"//[^/@]*@", "//", text))


def _is_broken_off(cause: BaseException | None) -> bool:
    return any(kind.__name__ in _BROKEN_OFF for kind in type(cause).__mro__)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d{1,18}", text) else None
