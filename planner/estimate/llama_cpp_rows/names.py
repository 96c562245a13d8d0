"""Which model a log of a GGUF file means: the file's and the model's name, without the words for how it is stored."""

import re
from collections.abc import Iterator
from typing import Final

_BRACKETS: Final = re.compile(r"(.*?)\[(.+)\]\s*$", re.ASCII | re.DOTALL)
_PART: Final = re.compile(r"-\d{5}-of-\d{5}$", re.ASCII)
# From here on a name says how the weights are stored.
_STORED: Final = re.compile(
    r"[-._ ](?:UD-|i1-|mix-|imat-)?(?:I?Q\d[\w-]*|TQ\d\w*|BF16\b.*|F16\b.*|F32\b.*|MXFP4.*|iMat.*|THIREUS.*|GGUF.*|"
    r"256x21B.*|CPU-I?Q.*)$",
    re.IGNORECASE | re.ASCII,
)
_LEADING: Final = re.compile(
    r"^(?:Models |Mistralai |unsloth_|opensourcerelease_|[A-Za-z]+_(?=[A-Z])|Meta[ -_])+", re.ASCII
)
_TRAILING: Final = re.compile(
    r"[- ](?:\d{5}|128K|abliterated|bf16|safetensors|UD|latest)$", re.IGNORECASE | re.ASCII
)


def file_name(text: str) -> str | None:
    """The file that a log's name gives, without folders; None where it gives none."""
    found = _BRACKETS.match(text)
    name = found[2] if found else text
    last = name.replace("\\", "/").rpartition("/")[2]
    return last if last.lower().endswith(".gguf") else None


def n_files(text: str) -> int:
    """In how many files the model comes, by the name of one of them."""
    found = re.search(r"-of-(\d{5})(?=\.gguf)", text, re.ASCII)
    return max(1, int(found[1])) if found else 1


def stored_as(text: str) -> str | None:
    """The quantization that a file's name ends in, in the engine's words: "Q4_K_M"."""
    name = file_name(text)
    if name is None:
        return None
    stem = _PART.sub("", name[: -len(".gguf")])
    found = re.search(
        r"(?:^|[-._ ])((?:I?Q|TQ)\d[A-Z0-9_]*|BF16|F16|F32|MXFP4_MOE)$", stem, re.IGNORECASE | re.ASCII
    )
    return found[1].upper() if found else None


def names(text: str) -> Iterator[str]:
    """Names to look up, the file's before the model's."""
    found = _BRACKETS.match(text)
    parts = [found[2], found[1]] if found else [text]
    for part in parts:
        last = part.replace("\\", "/").rpartition("/")[2].strip()
        if last.lower().endswith(".gguf"):
            last = last[: -len(".gguf")]
        last = _PART.sub("", last)
        yield from _shorter(last)


def _shorter(name: str) -> Iterator[str]:
    while name:
        yield name
        bare = _LEADING.sub("", name)
        if bare and bare != name:
            yield bare
        next_ = _STORED.sub("", name)
        if next_ == name:
            next_ = _TRAILING.sub("", name)
        if next_ == name:
            return
        name = next_


def squashed(name: str) -> str:
    """Letters and digits alone, in lower case."""
    return re.sub(r"[\W_]+", "", name.casefold())
