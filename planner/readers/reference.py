"""What a person means by a model's name: a file, a folder, a hub repository, an Ollama model, a catalogue row.

Only looks at the file system to see what exists; nothing is opened over the network.
"""

import difflib
import itertools
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from planner.errors import MalformedError, NotFoundError
from planner.quoting import quoted
from planner.readers.byte_source import open_regular_file
from planner.readers.gguf.file import split_part_names
from planner.readers.web.http_range import checked_url


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalGguf:
    """A GGUF file on this machine."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFolder:
    """A folder on this machine that holds config.json and usually safetensors."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalConfig:
    """A config.json on this machine, under any name."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    """A repository on the Hugging Face hub; for GGUF repositories a file or a quantization may be named."""

    repo_id: str
    revision: str | None = None
    filename: str | None = None
    quant: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlGguf:
    """A GGUF file at a web address."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlConfig:
    """A config.json, a .safetensors file or a safetensors index at a web address."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaReference:
    """A model that Ollama knows, as `ollama run` would be given it."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueName:
    """A bare name, to be looked up in the planner's own catalogue."""

    name: str


Reference = (
    LocalGguf | LocalFolder | LocalConfig | HubModel | UrlGguf | UrlConfig | OllamaReference | CatalogueName
)

_FORMS = "a path, ORG/NAME of a hub repository, a web address, ollama:NAME or a catalogue name"
_FILE_ENDINGS = (".gguf", ".json", ".safetensors")
_HUB_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
# The rules of huggingface_hub.utils.validate_repo_id, repeated so that parsing a name stays cheap.
_REPO_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.\-]{0,94}[A-Za-z0-9_])?")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./\-]{0,199}")
_QUANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-.]{0,63}")
_CATALOGUE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+\-]{0,95}")
_MAX_LISTED = 2000


def parse_reference(text: str, cwd: Path | None = None, home: Path | None = None) -> Reference:
    """What `text` refers to; something that exists at that path wins over every other meaning."""
    text = text.strip()
    if not text or not text.isprintable() or len(text) > 4096:
        raise NotFoundError(f"{quoted(text)} names no model; write {_FORMS}")
    path = _path(text, cwd, home)
    # A URL is never a path, although a folder named "https:" could exist.
    if "://" not in text and _exists(path):
        return _local(path)
    if text.startswith("ollama:"):
        return OllamaReference(name=text.removeprefix("ollama:").removeprefix("//"))
    if "://" in text:
        return _from_url(text)
    if _looks_like_path(text, cwd, home):
        raise _missing(text, path)
    if "/" in text:
        return _hub(text, text)
    if _CATALOGUE_NAME.fullmatch(text):
        return CatalogueName(name=text)
    raise NotFoundError(f"{quoted(text)} names no model; write {_FORMS}")


def _path(text: str, cwd: Path | None, home: Path | None) -> Path:
    if text == "~" or text.startswith("~/"):
        return (home or Path.home()) / text[2:]
    return (cwd or Path()) / text


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for the file system, or a folder that may not be entered
        return False


def _local(path: Path) -> Reference:
    if path.is_dir():
        return _folder(path)
    suffix = path.suffix.lower()
    if suffix == ".gguf":
        return LocalGguf(path=path)
    if suffix == ".json":
        return LocalConfig(path=path)
    if suffix == ".safetensors":
        return LocalFolder(path=path.parent)
    with open_regular_file(path) as file:  # blobs of Ollama and of the hub's cache have no suffix
        magic = file.read(4)
    if magic == b"GGUF":
        return LocalGguf(path=path)
    raise MalformedError(
        f"{quoted(path)} is neither GGUF nor JSON nor safetensors; name a .gguf file, a config.json or a folder"
    )


def _folder(path: Path) -> Reference:
    """A folder of a checkpoint, or the one GGUF model that a folder without config.json holds."""
    if (path / "config.json").exists():
        return LocalFolder(path=path)
    names = [
        name for name in _listing(path) if name.lower().endswith(".gguf") and "mmproj" not in name.lower()
    ]
    models = sorted({(split_part_names(name) or (name,))[0] for name in names})
    if len(models) == 1:
        return LocalGguf(path=path / models[0])
    if models:
        raise NotFoundError(
            f"{quoted(path)} holds {len(models)} GGUF models; name one of them, for example {quoted(models[0])}"
        )
    return LocalFolder(path=path)


def _looks_like_path(text: str, cwd: Path | None, home: Path | None) -> bool:
    if text.startswith(("./", "../", "/", "~")) or text in (".", "..") or "\\" in text:
        return True
    segments = text.split("/")
    if text.lower().endswith(_FILE_ENDINGS) and ":" not in text:
        # ORG/NAME/FILE.gguf is a hub file unless its first folder is here, where a typo is likelier.
        return len(segments) < 3 or _exists(_path(segments[0], cwd, home))
    return False


def _missing(text: str, path: Path) -> NotFoundError:
    folder = path.parent
    if not folder.is_dir():
        return NotFoundError(f"{quoted(text)} does not exist, nor does its folder; check the path")
    near = difflib.get_close_matches(path.name, _listing(folder), n=1, cutoff=0.5)
    if near:
        return NotFoundError(f"{quoted(text)} does not exist; did you mean {quoted(folder / near[0])}?")
    return NotFoundError(f"{quoted(text)} does not exist; check the path")


def _listing(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in itertools.islice(entries, _MAX_LISTED)]
    except OSError:  # a folder that may be entered but not listed has no suggestions to give
        return []


def _from_url(text: str) -> Reference:
    scheme, _, rest = text.partition("://")
    if scheme == "hf":
        return _hub(rest, text)
    try:
        url = urlsplit(text)
        host = url.hostname
    except ValueError:
        host = None
    if scheme not in ("http", "https") or host is None:
        raise NotFoundError(f"{quoted(text)} is not a web address; write {_FORMS}")
    if host not in _HUB_HOSTS:
        return _elsewhere(text, url.path)
    segments = [unquote(segment) for segment in url.path.split("/") if segment]
    repo = "/".join(segments[:2])
    if len(segments) > 3 and segments[2] in ("blob", "resolve", "raw", "tree"):
        filename = "/".join(segments[4:])
        return _checked(repo, revision=segments[3], filename=filename or None, text=text)
    return _checked(repo, revision=None, filename="/".join(segments[2:]) or None, text=text)


def _elsewhere(text: str, path: str) -> Reference:
    """A file at an address that is not of the hub."""
    try:
        url = checked_url(text)
    except MalformedError as error:
        raise NotFoundError(str(error)) from error
    name = unquote(path).lower()
    if name.endswith(".gguf"):
        return UrlGguf(url=url)
    if name.endswith((".json", ".safetensors")):
        return UrlConfig(url=url)
    raise NotFoundError(
        f"{quoted(text)} is neither a page of huggingface.co nor the address of a .gguf, .safetensors or "
        "config.json file; name the file itself"
    )


def _hub(body: str, text: str) -> HubModel:
    """ORG/NAME, ORG/NAME@REV, ORG/NAME/FILE, ORG/NAME:FILE.gguf or ORG/NAME:QUANT."""
    body, colon, selector = body.partition(":")
    repo, at, revision = body.partition("@")
    filename = None
    if at and "/" in revision and revision.lower().endswith(_FILE_ENDINGS):
        revision, _, filename = revision.partition("/")
    segments = repo.strip("/").split("/")
    if len(segments) > 2:
        filename = "/".join(segments[2:])
    quant = None
    if colon and selector.lower().endswith(".gguf"):
        filename = selector
    elif colon:
        quant = selector
    return _checked(
        "/".join(segments[:2]), revision=revision if at else None, filename=filename, quant=quant, text=text
    )


def _checked(
    repo_id: str, *, revision: str | None, filename: str | None, text: str, quant: str | None = None
) -> HubModel:
    parts = repo_id.split("/")
    is_repo = len(parts) == 2 and all(_REPO_PART.fullmatch(part) for part in parts)
    if not is_repo or "--" in repo_id or ".." in repo_id or repo_id.endswith(".git"):
        raise NotFoundError(f"{quoted(text)} is no path here and no hub repository ORG/NAME; write {_FORMS}")
    if revision is not None and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise NotFoundError(
            f"{quoted(text)} names the revision {quoted(revision)}; write a branch, tag or commit"
        )
    if filename is not None and not is_repo_path(filename):
        raise NotFoundError(f"{quoted(text)} names the file {quoted(filename)}, which no repository can hold")
    if quant is not None and not _QUANT.fullmatch(quant):
        raise NotFoundError(
            f"{quoted(text)} names neither a .gguf file nor a quantization such as Q4_K_M after ':'"
        )
    return HubModel(repo_id=repo_id, revision=revision, filename=filename, quant=quant)


def is_repo_path(filename: str) -> bool:
    """Whether a name is a plain relative path: no empty, "." or ".." part, nothing unprintable."""
    parts = filename.split("/")
    return (
        filename.isprintable()
        and "\\" not in filename
        and len(filename) <= 1024
        and all(part not in ("", ".", "..") for part in parts)
    )
