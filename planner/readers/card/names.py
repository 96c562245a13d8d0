"""A model's name in a card's words: which table row, column or sentence speaks of this model."""

import re
from collections.abc import Iterator, Sequence

from planner.model.card import Meaning, Place, StatedParameters
from planner.readers.card.quantization_words import is_quantization_word

Words = tuple[str, ...]

_WORD = re.compile(r"[a-z]+|\d+")
_BRACKETS = re.compile(r"\([^()]{0,100}\)")
_SIZE_IN_NAME = re.compile(
    r"(?<![A-Za-z0-9.])(A?)(\d{1,4}(?:\.\d{1,3})?)([BMT])(?![A-Za-z0-9])", re.IGNORECASE
)
_POWERS = {"m": 6, "b": 9, "t": 12}
# What a variant's name adds without changing what the network is.
_VARIANT_WORDS = frozenset(
    ("instruct", "base", "chat", "it", "thinking", "hf", "preview", "pt", "gguf", "i1")
)


def name_variants(names: Sequence[str]) -> tuple[Words, ...]:
    """The words of each name, and of each name without the quantization or variant at its end."""
    found: dict[Words, None] = {}
    for name in names:
        parts = [part for part in re.split(r"[-_ ]", name.rpartition("/")[2][:200]) if part]
        found[_words("-".join(parts))] = None
        while len(parts) > 1 and (parts[-1].lower() in _VARIANT_WORDS or is_quantization_word(parts[-1])
                                  or (parts[-1].isdigit() and len(parts[-1]) == 4)):  # fmt: skip
            parts.pop()
            found[_words("-".join(parts))] = None
    return tuple(words for words in found if len(words) > 1)


def likeness(label: str, variants: Sequence[Words]) -> int:
    """How many words of a table's label are a model's name from its start; 0 when the label is another's.

    "Llama 4 Scout (17Bx16E)" is Llama-4-Scout-17B-16E-Instruct; "Llama 4 Maverick" is not.
    """
    words = _words(_BRACKETS.sub("", label))
    if len(words) < 2 or not any(variant[: len(words)] == words for variant in variants):
        return 0
    return len(words) + any(variant == words for variant in variants)


def pieces_by_name(sentence: str, variants: Sequence[Words]) -> Iterator[tuple[str, bool]]:
    """A sentence cut where it names the model or a longer name of its family; True after the model's own.

    "GLM-4.5 has 355B parameters, GLM-4.5-Air has 106B": for GLM-4.5 only the first figure follows its name.
    """
    shortest = min(variants, key=len, default=())
    if not shortest or f" {' '.join(shortest)} " not in f" {' '.join(_words(sentence))} ":
        yield sentence, False
        return
    name = re.compile(
        rf"(?<![A-Za-z0-9]){'[^A-Za-z0-9]{0,2}'.join(shortest)}(?:[-_.]?[A-Za-z0-9]{{1,20}}){{0,8}}",
        re.IGNORECASE,
    )
    ours, start = False, 0
    for match in name.finditer(sentence):
        yield sentence[start : match.start()], ours
        ours, start = _words(match[0]) in variants, match.start()
    yield sentence[start:], ours


def sizes_in_name(name: str) -> tuple[StatedParameters, ...]:
    """What a repository's own name promises: "Qwen3-30B-A3B" 30 B, of which 3 B are active.

    "8x7B" and "E4B" promise neither. Millions beside billions are a context ("7B-Instruct-1M").
    """
    found = _SIZE_IN_NAME.findall(name.rpartition("/")[2][:200])
    units = {unit.lower() for _, _, unit in found}
    return tuple(
        StatedParameters(
            meaning=Meaning.ACTIVE if active else Meaning.UNSAID,
            value=float(number) * 10.0 ** _POWERS[unit.lower()],
            step=10.0 ** (_POWERS[unit.lower()] - len(number.partition(".")[2])),
            text=f"{number}{unit}",
            place=Place.NAME,
        )
        for active, number, unit in found
        if unit.lower() != "m" or units == {"m"}
    )


def _words(text: str) -> Words:
    return tuple(_WORD.findall(text.lower()))
