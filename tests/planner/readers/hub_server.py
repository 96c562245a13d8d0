"""A hub on this machine: speaks as much of the Hugging Face hub's API as the real client asks for.

Two servers on 127.0.0.1, because that is how the hub is built: one knows repositories and redirects large files,
the other stores them. Both write down what they were asked and how much they sent.
"""

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_good"


@dataclass(frozen=True)
class StoredFile:
    """A file that begins with `data` and is filled up with zeros to `n_bytes`; large ones live in storage."""

    data: bytes
    n_bytes: int
    large: bool

    def piece(self, start: int, stop: int) -> bytes:
        """Bytes of a range, without building the whole file."""
        part = self.data[start:stop]
        return part + bytes(min(stop, self.n_bytes) - start - len(part))

    @property
    def etag(self) -> str:
        """As git and Git LFS would name the content."""
        return hashlib.sha256(self.data + str(self.n_bytes).encode()).hexdigest()


def small(content: bytes | Mapping[str, object]) -> StoredFile:
    """A file kept in git itself, such as config.json."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return StoredFile(data=data, n_bytes=len(data), large=False)


def large(data: bytes, n_bytes: int | None = None) -> StoredFile:
    """A file kept in storage, such as weights."""
    return StoredFile(data=data, n_bytes=len(data) if n_bytes is None else n_bytes, large=True)


@dataclass(frozen=True)
class Seen:
    """One request that a server received."""

    server: str
    method: str
    path: str
    headers: Mapping[str, str]


@dataclass
class LocalHub:
    """The two servers, their content and their faults; use as a context manager."""

    repos: dict[str, dict[str, StoredFile]] = field(default_factory=dict)
    facts: dict[str, dict[str, object]] = field(
        default_factory=dict
    )  # what the API says of a repository besides
    gated: set[str] = field(default_factory=set)
    gated_files: set[str] = field(default_factory=set)  # the list of files is public, the files are not
    hanging: set[str] = field(default_factory=set)  # requests whose path contains one of these get no answer
    failing: dict[str, int] = field(default_factory=dict)  # the same, with an HTTP status
    storage_faults: set[str] = field(default_factory=set)  # no-range, wrong-range, short, drip, growing, …
    redirects: dict[str, str] = field(
        default_factory=dict
    )  # storage requests containing the key go to the value
    resets: int = 0  # so many storage answers break off in their middle
    seen: list[Seen] = field(default_factory=list)
    sent_bytes: int = 0  # bodies sent by the storage server
    released: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "LocalHub":
        hub = self

        class Api(_ApiHandler):
            local_hub = hub

        class Storage(_StorageHandler):
            local_hub = hub

        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for handler in (Api, Storage)]
        self._threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            for server in self._servers
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()

    @property
    def endpoint(self) -> str:
        """What HF_ENDPOINT would be."""
        return f"http://127.0.0.1:{self._servers[0].server_port}"

    @property
    def storage_url(self) -> str:
        """Where large files are redirected to: another port, which is another origin."""
        return f"http://127.0.0.1:{self._servers[1].server_port}"

    def requests(self, server: str, method: str | None = None) -> list[Seen]:
        """What one of the servers ("api", "storage") was asked."""
        return [seen for seen in self.seen if seen.server == server and method in (None, seen.method)]


class _Handler(BaseHTTPRequestHandler):
    local_hub: LocalHub
    server_label = ""

    def log_message(self, *args: object) -> None:
        """Say nothing: pytest shows what matters."""

    def do_HEAD(self) -> None:
        self._handle()

    def do_GET(self) -> None:
        self._handle()

    def _handle(self) -> None:
        hub = self.local_hub
        headers = {key.lower(): value for key, value in self.headers.items()}
        hub.seen.append(Seen(self.server_label, self.command, self.path, headers))
        if any(part in self.path for part in hub.hanging):
            hub.released.wait(30)
            self.close_connection = True
            return
        for part, status in hub.failing.items():
            if part in self.path:
                self.reply(status, b"<html>trouble</html>", {})
                return
        try:
            self.answer(urlsplit(self.path).path)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client has read enough

    def answer(self, path: str) -> None:
        """Answer a request for a path."""
        raise NotImplementedError

    def redirected(self) -> bool:
        """Whether the request was sent elsewhere."""
        for part, location in self.local_hub.redirects.items():
            if part in self.path:
                self.reply(302, b"", {"Location": location})
                return True
        return False

    def reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """A whole answer."""
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_file(self, file: StoredFile, headers: Mapping[str, str], faults: set[str]) -> int:
        """A file or the range of it that was asked for; returns the body bytes that were sent."""
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        ranged = match is not None and "no-range" not in faults
        start = int(match[1]) if match and ranged else 0
        if ranged and start >= file.n_bytes:
            self.reply(416, b"", {"Content-Range": f"bytes */{file.n_bytes}"})
            return 0
        stop = min(int(match[2]) + 1, file.n_bytes) if match and ranged and match[2] else file.n_bytes
        self.send_response(206 if ranged else 200)
        for key, value in headers.items():
            self.send_header(key, value)
        if ranged:
            first = start + 1 if "wrong-range" in faults else start
            total = file.n_bytes + (start if "growing" in faults else 0)
            self.send_header("Content-Range", f"bytes {first}-{stop - 1}/{total}")
        if "changing" in faults:
            self.send_header("ETag", f'"{len(self.local_hub.seen)}"')
        if "compressed" in faults:
            self.send_header("Content-Encoding", "gzip")
        if "no-length" in faults:
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        if self.command == "HEAD":
            return 0
        if self.server_label == "storage" and self.local_hub.resets > 0 and stop - start > 100:
            self.local_hub.resets -= 1
            stop = start + (stop - start) // 2
            self.close_connection = True
        if "short" in faults:
            stop = start + (stop - start) // 2
        sent = 0
        while start + sent < stop:
            size = 1 if "drip" in faults else 2**16
            piece = file.piece(start + sent, min(start + sent + size, stop))
            self.wfile.write(piece)
            sent += len(piece)
            if "drip" in faults and self.local_hub.released.wait(0.02):
                break
            self.local_hub.sent_bytes += len(piece) if self.server_label == "storage" else 0
        return sent


class _ApiHandler(_Handler):
    server_label = "api"

    def answer(self, path: str) -> None:
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            self._info(match[1], unquote(match[2] or "main"))
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(match[1], unquote(match[2]), unquote(match[3]))
        else:
            self.reply(404, b"{}", {})

    def _refused(self, repo_id: str, revision: str, gated: set[str] | None = None) -> bool:
        hub = self.local_hub
        if repo_id not in hub.repos:
            self.reply(401, b'{"error":"Invalid username or password."}', {"X-Error-Code": "RepoNotFound"})
            return True
        if (
            repo_id in (hub.gated if gated is None else gated)
            and self.headers.get("Authorization") != f"Bearer {TOKEN}"
        ):
            message = f"Access to model {repo_id} is restricted.\nYou must be authenticated."
            self.reply(401, json.dumps({"error": message}).encode(), {"X-Error-Code": "GatedRepo"})
            return True
        if revision not in ("main", "v1.0", COMMIT):
            self.reply(404, b'{"error":"Invalid rev id"}', {"X-Error-Code": "RevisionNotFound"})
            return True
        return False

    def _info(self, repo_id: str, revision: str) -> None:
        if self._refused(repo_id, revision):
            return
        with_sizes = "blobs" in parse_qs(urlsplit(self.path).query)
        siblings = []
        for name, file in self.local_hub.repos[repo_id].items():
            row: dict[str, object] = {"rfilename": name}
            if with_sizes:
                row |= {"size": file.n_bytes, "blobId": file.etag[:40]}
                if file.large:
                    row["lfs"] = {"size": file.n_bytes, "sha256": file.etag, "pointerSize": 135}
            siblings.append(row)
        body = {
            "id": repo_id,
            "modelId": repo_id,
            "sha": COMMIT,
            "private": False,
            "tags": [],
            "siblings": siblings,
            "safetensors": {"parameters": {"BF16": 1234}, "total": 1234},
            **self.local_hub.facts.get(repo_id, {}),
        }
        self.reply(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _resolve(self, repo_id: str, revision: str, name: str) -> None:
        if self._refused(repo_id, revision, self.local_hub.gated | self.local_hub.gated_files):
            return
        file = self.local_hub.repos[repo_id].get(name)
        commit = {"X-Repo-Commit": COMMIT}
        if file is None:
            self.reply(404, b"Entry not found", {"X-Error-Code": "EntryNotFound", **commit})
        elif file.large:
            location = f"{self.local_hub.storage_url}/{repo_id}/{name}?signature=secret"
            linked = {"X-Linked-Size": str(file.n_bytes), "X-Linked-ETag": f'"{file.etag}"'}
            self.reply(302, b"", {"Location": location, **commit, **linked})
        else:
            self.send_file(file, {"ETag": f'"{file.etag[:40]}"', "Accept-Ranges": "bytes", **commit}, set())


class _StorageHandler(_Handler):
    server_label = "storage"

    def answer(self, path: str) -> None:
        if self.redirected():
            return
        match = re.fullmatch(r"/([^/]+/[^/]+)/(.+)", path)
        faults = self.local_hub.storage_faults
        if match is None or "forbidden" in faults:
            self.reply(403, b"<Error>expired</Error>", {})
            return
        file = self.local_hub.repos.get(match[1], {}).get(unquote(match[2]))
        if file is None:
            self.reply(404, b"<Error>not found</Error>", {})
            return
        self.send_file(file, {}, faults)
