"""Which model a log means: hub ids, cache folders and local paths, with the words for how it is stored taken off."""

import re
from collections.abc import Iterator
from typing import Final

# Endings that say how weights are stored, not what the model is.
_STORED: Final = re.compile(
    r"[-_. ](awq|gptq|int[48]|w[48]a(?:8|16|4)|[48]bit|fp8|nvfp4|mxfp4|bf16|fp16|dynamic|block|quantized|qat|quarot|"
    r"per-channel|autoround|static|mindie|bnb|bitsandbytes|marlin|g128|modelopt|quantized\.w[48]a(?:8|16))$",
    re.IGNORECASE | re.ASCII,
)
_HUB_FOLDER: Final = re.compile(r"models--([^/]+?)--([^/]+)/snapshots/[0-9a-f]+", re.ASCII)


def bare_name(text: str) -> str:
    """The name that a log gives a model: the last two parts of a path, a hub cache's folder read as its id."""
    name = text.partition(" (")[0].strip().rstrip("/")
    folder = _HUB_FOLDER.search(name)
    if folder is not None:
        return f"{folder[1]}/{folder[2]}"
    return name


def candidates(text: str) -> Iterator[tuple[str, bool]]:
    """Names to look up, nearest to the text first; the flag says whether words for the storage were taken off.

    Each must be a whole spelling of a catalogue entry: a name is never matched by a part of it.
    """
    name = bare_name(text)
    seen: set[str] = set()
    for stripped, found in ((False, name), (True, _without_storage(name))):
        last = found.rpartition("/")[2]
        for spelled in (*_last_two(found), last, last.removeprefix("Meta-"), f"{last}-Instruct",
                        last.replace("-Embedding", "") + "-Instruct"):  # fmt: skip
            key = spelled.casefold()
            if spelled and key not in seen:
                seen.add(key)
                yield spelled, stripped


def _last_two(name: str) -> tuple[str, ...]:
    parts = [part for part in name.split("/") if part]
    return ("/".join(parts[-2:]),) if len(parts) > 1 else ()


def _without_storage(name: str) -> str:
    while True:
        shorter = _STORED.sub("", name)
        if shorter == name:
            return name
        name = shorter
