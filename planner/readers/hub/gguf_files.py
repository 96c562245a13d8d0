"""GGUF models in hub repositories: which ones there are, which one is meant, and reading its header."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from planner.errors import NotFoundError
from planner.quoting import quoted
from planner.readers.gguf.file import GgufFile, parse_gguf_parts, split_part_names
from planner.readers.gguf.projector import is_projector_name
from planner.readers.hub.repository import DEFAULT_OPTIONS, HubFile, HubOptions, hub_source

_MAX_NAMED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class HubGguf:
    """One GGUF model of a repository: `name` is the path of its only or first file."""

    name: str
    parts: tuple[HubFile, ...]
    is_projector: bool  # the vision or audio part of a multimodal model, not a language model itself

    @property
    def size_bytes(self) -> int | None:
        """Bytes of all its files; None if the hub does not say."""
        sizes = [part.size_bytes for part in self.parts]
        return None if None in sizes else sum(size for size in sizes if size is not None)


def gguf_files(files: Sequence[HubFile]) -> tuple[HubGguf, ...]:
    """The GGUF models among a repository's files, parts of a split model joined, in order of their names."""
    groups: dict[str, list[HubFile]] = {}
    for file in sorted(files, key=lambda item: item.path):
        if file.path.lower().endswith(".gguf"):
            first = (split_part_names(file.path) or (file.path,))[0]
            groups.setdefault(first, []).append(file)
    return tuple(
        HubGguf(name=name, parts=tuple(parts), is_projector=is_projector_name(name.rpartition("/")[2]))
        for name, parts in groups.items()
    )


def choose_gguf(
    repo_id: str, files: Sequence[HubFile], *, filename: str | None = None, quant: str | None = None
) -> HubGguf:
    """The model meant by a file name or a quantization such as "Q4_K_M", or the only one of a repository."""
    models = gguf_files(files)
    if not models:
        raise NotFoundError(f"{quoted(repo_id)} holds no GGUF file")
    if filename is not None:
        wanted = (split_part_names(filename) or (filename,))[0]
        found = [model for model in models if wanted in (model.name, model.name.rpartition("/")[2])]
        asked = quoted(filename)
    else:
        found = [model for model in models if not model.is_projector]
        asked = "GGUF"
        if quant is not None:
            # A whole word: Q4_K is not Q4_K_M, and Q2_K is not IQ2_K.
            word = re.compile(rf"(?<![A-Za-z0-9]){re.escape(quant)}(?![A-Za-z0-9_])", re.IGNORECASE)
            found = [model for model in found if word.search(model.name)]
            asked = quoted(quant)
    if len(found) == 1:
        return found[0]
    shown = found or [model for model in models if not model.is_projector] or models
    names = ", ".join(quoted(model.name) for model in shown[:_MAX_NAMED])
    more = f" and {len(shown) - _MAX_NAMED} more" if len(shown) > _MAX_NAMED else ""
    problem = f"{len(found)} files match {asked}" if found else f"no file matches {asked}"
    raise NotFoundError(f"{quoted(repo_id)}: {problem}; name one of {names}{more} after {repo_id}:")


def read_hub_gguf(
    repo_id: str, filename: str, revision: str | None = None, *, options: HubOptions = DEFAULT_OPTIONS
) -> GgufFile:
    """The header of a GGUF on the hub, all parts of a split one; weights are not downloaded."""
    names = split_part_names(filename) or (filename,)
    # A list, so that a missing part is met before any header is fetched.
    return parse_gguf_parts([hub_source(repo_id, name, revision, options=options) for name in names])
