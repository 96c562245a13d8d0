"""The Hugging Face hub: file lists, configurations, and headers of weight files by HTTP range.

Everything goes through the `huggingface_hub` client, which is imported only when a function is called, so its
settings hold: HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_OFFLINE. Weights are never downloaded.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hardware.units import GIB, format_bytes
from planner.errors import MalformedError, NotFoundError, ReadError
from planner.progress import Progress
from planner.quoting import quoted
from planner.readers.byte_source import ByteSource, ReadRange, local_source, read_bounded
from planner.readers.hub.errors import hub_errors, status_error
from planner.readers.local_json import MAX_JSON_BYTES, parse_json_object
from planner.readers.reference import is_repo_path
from planner.readers.repo_facts import base_models, created_on, stated_licence
from planner.readers.safetensors import (
    MAX_INDEX_BYTES,
    SAFETENSORS_FILE,
    SAFETENSORS_INDEX,
    StoredTensorInfo,
    join_shards,
    parse_safetensors_header,
    shard_names,
)
from planner.readers.web.http_range import FileWords, RangeReader, host_of, origin


@dataclass(frozen=True, slots=True, kw_only=True)
class HubOptions:
    """Where and how to ask; None leaves the choice to the client's own settings."""

    endpoint: str | None = None  # else HF_ENDPOINT, else https://huggingface.co
    cache_dir: Path | None = None  # else below HF_HOME
    token: str | bool | None = None  # else HF_TOKEN or the stored login; False sends none
    timeout_s: float = 10.0
    progress: Progress | None = None  # told of what takes more than two seconds


DEFAULT_OPTIONS = HubOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """One file of a repository; the size is None if the hub does not say."""

    path: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HubRepoInfo:
    """What the hub says about a repository at one commit.

    `stored_elements` counts the elements stored in safetensors by dtype, as the hub shows them; that is not
    always the number of parameters (packed 4-bit weights, scales, duplicate copies). `created` is the day the
    repository was made, which is not always the day the model was released.
    """

    repo_id: str
    url: str  # of its page
    commit: str | None
    files: tuple[HubFile, ...]
    stored_elements: Mapping[str, int] | None
    licence: str | None = None  # as the card states it; the licence's own name where it is "other"
    created: date | None = None
    base_models: tuple[str, ...] = ()  # repositories that the card says it was made from
    gated: bool | None = None
    card_metadata: Mapping[str, object] = field(default_factory=dict)  # public even where the card is gated


def _set_up_client() -> None:
    """To be called before the client is imported: it reads its settings then.

    Its telemetry is off unless the person has set it: it would report this environment, and for that fetch a
    list from the hub first, which costs seconds when the network is down.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def repo_info(
    repo_id: str, revision: str | None = None, *, options: HubOptions = DEFAULT_OPTIONS
) -> HubRepoInfo:
    """Commit and files of a repository, in one request."""
    _set_up_client()
    from huggingface_hub import HfApi

    with _errors("the file list", repo_id, options):
        api = HfApi(endpoint=options.endpoint, token=options.token)
        try:
            info = api.model_info(repo_id, revision=revision, files_metadata=True, timeout=options.timeout_s)
        except (
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
        ) as error:  # the client trusts the shape of the answer
            raise MalformedError(f"{_host(options)} does not answer like a Hugging Face hub") from error
    siblings = info.siblings or []
    stored = info.safetensors
    return HubRepoInfo(
        repo_id=repo_id,
        url=f"{_without_password(api.endpoint)}/{repo_id}",
        commit=info.sha,
        files=tuple(HubFile(path=str(item.rfilename), size_bytes=_size(item.size)) for item in siblings),
        stored_elements=dict(stored.parameters) if stored is not None else None,
        licence=stated_licence(info.card_data),
        created=created_on(info.created_at),
        base_models=base_models(info.tags),
        gated=None if info.gated is None else bool(info.gated),
        card_metadata={} if info.card_data is None else dict(vars(info.card_data)),
    )


def repo_files(
    repo_id: str, revision: str | None = None, *, options: HubOptions = DEFAULT_OPTIONS
) -> tuple[HubFile, ...]:
    """Files of a repository with their sizes, in one request."""
    return repo_info(repo_id, revision, options=options).files


def fetch_config(
    repo_id: str, revision: str | None = None, *, options: HubOptions = DEFAULT_OPTIONS
) -> dict[str, Any]:
    """The repository's config.json; from the local cache when offline."""
    return fetch_json(repo_id, "config.json", revision, options=options)


def fetch_json(
    repo_id: str,
    filename: str,
    revision: str | None = None,
    *,
    options: HubOptions = DEFAULT_OPTIONS,
    max_bytes: int = MAX_JSON_BYTES,
) -> dict[str, Any]:
    """A JSON object of a repository, through the client's cache; a file over `max_bytes` is not downloaded."""
    data = fetch_file(repo_id, filename, revision, options=options, max_bytes=max_bytes)
    return parse_json_object(data, quoted(f"{repo_id}/{filename}"))


def fetch_file(
    repo_id: str,
    filename: str,
    revision: str | None = None,
    *,
    options: HubOptions = DEFAULT_OPTIONS,
    max_bytes: int,
) -> bytes:
    """A small file of a repository, through the client's cache; a file over `max_bytes` is not downloaded."""
    _set_up_client()
    from huggingface_hub import hf_hub_download

    _check_filename(repo_id, filename)
    with _errors(filename, repo_id, options):
        offline = _is_offline()
        if not offline:
            offline = not _ask_size(repo_id, filename, revision, options, max_bytes)
        with _quiet_download():
            path = hf_hub_download(
                repo_id,
                filename,
                revision=revision,
                endpoint=options.endpoint,
                cache_dir=options.cache_dir,
                token=options.token,
                etag_timeout=options.timeout_s,
                local_files_only=offline,
            )
    return read_bounded(Path(path), max_bytes)


def hub_source(
    repo_id: str, filename: str, revision: str | None = None, *, options: HubOptions = DEFAULT_OPTIONS
) -> ByteSource:
    """A file of a repository as a source of byte ranges; the cached file itself when offline."""
    _set_up_client()
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    _check_filename(repo_id, filename)
    with _errors(filename, repo_id, options):
        if _is_offline():
            cached = try_to_load_from_cache(repo_id, filename, cache_dir=options.cache_dir, revision=revision)
            if isinstance(cached, str):
                return local_source(Path(cached))
        url = hf_hub_url(repo_id, filename, revision=revision, endpoint=options.endpoint)
        metadata = get_hf_file_metadata(
            url, token=options.token, timeout=options.timeout_s, endpoint=options.endpoint
        )
        headers = dict(build_hf_headers(token=options.token))
    if metadata.size is None:
        raise MalformedError(
            f"{_host(options)} does not say how large {quoted(filename)} of {quoted(repo_id)} is"
        )
    location = metadata.location or url
    if origin(location) != origin(url):
        # The token is for the hub; the storage host that the file is redirected to has no business with it.
        headers = {key: value for key, value in headers.items() if key.lower() != "authorization"}
    reader = RangeReader(
        location,
        _words(repo_id, filename, options),
        timeout_s=options.timeout_s,
        headers=headers,
        n_bytes=metadata.size,
        progress=options.progress,
    )
    return ByteSource(name=f"{repo_id}/{filename}", n_bytes=metadata.size, read=reader.read)


def ranged_reader(
    repo_id: str, filename: str, revision: str | None = None, *, options: HubOptions = DEFAULT_OPTIONS
) -> tuple[ReadRange, int]:
    """`read(offset, size)` for a file of a repository, and the file's size in bytes."""
    source = hub_source(repo_id, filename, revision, options=options)
    return source.read, source.n_bytes


def read_hub_safetensors(
    repo_id: str, revision: str | None = None, *, options: HubOptions = DEFAULT_OPTIONS
) -> tuple[StoredTensorInfo, ...]:
    """Tensors of a repository's safetensors, from the headers of all shards (two requests per shard)."""
    try:
        index = fetch_json(repo_id, SAFETENSORS_INDEX, revision, options=options, max_bytes=MAX_INDEX_BYTES)
    except NotFoundError:
        return parse_safetensors_header(hub_source(repo_id, SAFETENSORS_FILE, revision, options=options))
    shard_of = shard_names(index, quoted(f"{repo_id}/{SAFETENSORS_INDEX}"))
    shards = sorted(set(shard_of.values()))
    sources = {shard: hub_source(repo_id, shard, revision, options=options) for shard in shards}
    return join_shards(shard_of, sources)


def _words(repo_id: str, filename: str, options: HubOptions) -> FileWords:
    """How messages speak of a file of a repository."""

    def errors(host: str) -> AbstractContextManager[None]:
        return hub_errors(filename, repo_id=repo_id, host=host, timeout_s=options.timeout_s)

    def file_status_error(status: int, host: str) -> ReadError:
        return status_error(status, filename, repo_id=repo_id, host=host)

    return FileWords(
        file=f"{quoted(filename)} of {quoted(repo_id)}", errors=errors, status_error=file_status_error
    )


def _ask_size(repo_id: str, filename: str, revision: str | None, options: HubOptions, max_bytes: int) -> bool:
    """Check a file's size before it is downloaded; False when the hub cannot be asked but a cached file can do.

    Without this question the client would wait for minutes, trying again and again, when the network is down.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

    url = hf_hub_url(repo_id, filename, revision=revision, endpoint=options.endpoint)
    http_error: type[Exception] = HfHubHTTPError.__mro__[1]
    try:
        metadata = get_hf_file_metadata(
            url, token=options.token, timeout=options.timeout_s, endpoint=options.endpoint
        )
    except http_error as error:
        answered = isinstance(error, HfHubHTTPError | EntryNotFoundError)
        cached = try_to_load_from_cache(repo_id, filename, cache_dir=options.cache_dir, revision=revision)
        if answered or not isinstance(cached, str):
            raise
        return False
    if metadata.size is not None and metadata.size > max_bytes:
        raise MalformedError(
            f"{quoted(filename)} of {quoted(repo_id)} has {format_bytes(metadata.size)}; "
            f"at most {format_bytes(max_bytes)} are read for such a file"
        )
    return True


@contextmanager
def _quiet_download() -> Iterator[None]:
    """No progress bar for a file of some kilobytes, unless HF_HUB_DISABLE_PROGRESS_BARS asks for bars."""
    from huggingface_hub import constants
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if constants.HF_HUB_DISABLE_PROGRESS_BARS is not None or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _errors(what: str, repo_id: str, options: HubOptions) -> AbstractContextManager[None]:
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    with hub_errors(what, repo_id=repo_id, host=_host(options), timeout_s=options.timeout_s):
        validate_repo_id(repo_id)
    return hub_errors(what, repo_id=repo_id, host=_host(options), timeout_s=options.timeout_s)


def _check_filename(repo_id: str, filename: str) -> None:
    if not is_repo_path(filename):
        raise NotFoundError(
            f"{quoted(repo_id)} cannot hold {quoted(filename)}; name a file of the repository"
        )


def _is_offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _host(options: HubOptions) -> str:
    from huggingface_hub import constants

    return host_of(options.endpoint or constants.ENDPOINT)


def _without_password(url: str) -> str:
    """The URL as it may be shown and kept: what stands before "@" can be a secret."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _size(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < GIB * GIB else None
