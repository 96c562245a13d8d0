"""Finds one model under the many spellings that API hosts give it.

"meta-llama/Llama-3.3-70B-Instruct" is "llama-3.3-70b-versatile" at one host and "Meta-Llama-3_3-70B-Instruct" at
another. Names are cut into words and compared whole, so "GLM-5" is never taken for "GLM-5.2".
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache

_MAX_COMPARED_CHARS = 80  # likeness takes time with the square of the length
_VERSION_TAIL = re.compile(r"(?:-v?\d+)?:\d+$")  # "…-120b-1:0", as Amazon numbers them
_P_OR_UNDERSCORE = re.compile(r"(?<=\d)[p_](?=\d)")  # "glm-5p2", "Llama-3_3"
_DASHED_VERSION = re.compile(r"(?<![\d.])(\d)-(\d)(?![\w.])")  # "haiku-4-5"
_LOOSE_DOT = re.compile(r"(?<!\d)\.|\.(?!\d)")  # "openai.gpt", not "3.3"
_V_BEFORE_NUMBER = re.compile(r"(?<![a-z0-9])v(?=\d)")  # "llama-v3.1"

_OWNERS = frozenset(
    ("amazon", "anthropic", "apac", "cf", "databricks", "eu", "global", "google", "meta", "minimax", "mistral",
     "mistralai", "moonshotai", "nvidia", "openai", "qwen", "regional", "us", "zai")
)  # fmt: skip
_VARIANTS = frozenset(
    ("chat", "fp8", "hf", "instant", "instruct", "it", "latest", "maas", "specdec", "versatile")
)
_SPEEDS = frozenset(("fast", "turbo"))  # part of the name in "gpt-4-turbo", not in "…-Instruct-Turbo"


@lru_cache(maxsize=8192)  # the list has some 4,000 names, and every query meets them all
def words(name: str) -> tuple[str, ...]:
    """The words of a name, with versions written one way: "GLM-5p2" and "glm_5.2" are both ("glm", "5.2")."""
    text = _VERSION_TAIL.sub("", name.casefold())
    text = _P_OR_UNDERSCORE.sub(".", text)
    text = _DASHED_VERSION.sub(r"\1.\2", text)
    text = _V_BEFORE_NUMBER.sub("", _LOOSE_DOT.sub(" ", text))
    return tuple(word for word in re.split(r"[^\w.]+|_", text) if word)


@lru_cache(maxsize=8192)
def core(name: str) -> tuple[str, ...]:
    """The words that tell one model from another: without the owner's folder and without "instruct" and the like."""
    found = list(words(name.rsplit("/", 1)[-1]))
    if len(found) > 1 and found[-1] in _SPEEDS and found[-2] in _VARIANTS:
        found.pop()
    while len(found) > 1 and found[-1] in _VARIANTS:
        found.pop()
    return tuple(found)


def is_same(query: str, name: str) -> bool:
    """Whether two spellings mean the same model, serving variants aside."""
    wanted, found = core(query), core(name)
    surplus = len(found) - len(wanted)
    if surplus < 0 or not wanted:
        return False
    return found[surplus:] == wanted and all(word in _OWNERS for word in found[:surplus])


def is_within(query: str, name: str) -> bool:
    """Whether the words of a query stand in a name one after the other."""
    wanted, found = core(query), words(name)
    return bool(wanted) and any(
        found[start : start + len(wanted)] == wanted for start in range(len(found) - len(wanted) + 1)
    )


def nearest(query: str, names: Iterable[str], n: int = 3) -> tuple[str, ...]:
    """The names most like a query, for "did you mean"; none when nothing is like it."""
    spelled: dict[str, str] = {}
    for name in names:
        spelled.setdefault(" ".join(words(name)), name)
    return tuple(
        spelled[text]
        for text in get_close_matches(" ".join(words(query))[:_MAX_COMPARED_CHARS], spelled, n=n, cutoff=0.6)
    )
