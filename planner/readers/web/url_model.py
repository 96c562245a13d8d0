"""Models at any web address: GGUF headers, all parts of a split one, and checkpoints with their config.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from planner.errors import NotFoundError
from planner.quoting import quoted
from planner.readers.gguf.file import GgufFile, parse_gguf_parts, split_part_names
from planner.readers.hub.repository import DEFAULT_OPTIONS, HubOptions
from planner.readers.safetensors import (
    LENGTH_BYTES,
    MAX_INDEX_BYTES,
    SAFETENSORS_INDEX,
    StoredTensorInfo,
    is_shard_name,
    join_shards,
    parse_safetensors_header,
    shard_names,
)
from planner.readers.web.url_source import fetch_url_json, sibling_url, url_file_name, url_label, url_source


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlCheckpoint:
    """A checkpoint at a web address: its config.json, and its tensors if the address named weights."""

    config: Mapping[str, Any]
    tensors: tuple[StoredTensorInfo, ...] | None


def read_url_gguf(url: str, *, options: HubOptions = DEFAULT_OPTIONS) -> GgufFile:
    """The header of a GGUF at a web address, all parts of a split one; weights are not downloaded."""
    name = url_file_name(url)
    names = split_part_names(name)
    urls = [url] if names is None else [url if part == name else sibling_url(url, part) for part in names]
    # A list, so that a missing part is met before any header is fetched.
    return parse_gguf_parts([url_source(part_url, options=options) for part_url in urls])


def read_url_checkpoint(url: str, *, options: HubOptions = DEFAULT_OPTIONS) -> UrlCheckpoint:
    """A checkpoint by the address of its config.json, of a .safetensors file or of a safetensors index.

    The config.json of weights lies next to them. A config under any other name ending in .json is read as one.
    """
    name = url_file_name(url)
    if name.endswith((".safetensors", ".safetensors.index.json")):
        config = fetch_url_json(sibling_url(url, "config.json"), options=options)
        return UrlCheckpoint(config=config, tensors=read_url_safetensors(url, options=options))
    return UrlCheckpoint(config=fetch_url_json(url, options=options), tensors=None)


def read_url_safetensors(url: str, *, options: HubOptions = DEFAULT_OPTIONS) -> tuple[StoredTensorInfo, ...]:
    """Tensors of a .safetensors file or of all shards of an index, from their headers alone."""
    name = url_file_name(url)
    if is_shard_name(name):
        try:
            return read_url_safetensors(sibling_url(url, SAFETENSORS_INDEX), options=options)
        except NotFoundError as error:
            raise NotFoundError(
                f"{quoted(url_label(url))} is one shard of several, and the index that names the others is not "
                f"next to it: {error}"
            ) from error
    if name.endswith(".safetensors"):
        return parse_safetensors_header(url_source(url, options=options, first_bytes=LENGTH_BYTES))
    index = fetch_url_json(url, options=options, max_bytes=MAX_INDEX_BYTES)
    shard_of = shard_names(index, quoted(url_label(url)))
    sources = {
        shard: url_source(sibling_url(url, shard), options=options, first_bytes=LENGTH_BYTES)
        for shard in sorted(set(shard_of.values()))
    }
    return join_shards(shard_of, sources)
