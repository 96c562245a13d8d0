"""Finding models of the catalogue by what people call them: exactly, by words, or nearly."""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher, get_close_matches
from typing import Any

Model = Mapping[str, Any]

_MAX_CHARS = 80  # of a text that near names are looked for; comparing longer ones takes minutes
_LEAST_SQUASHED = 4  # "8b" without its hyphen would be found in "18b"
_CUTOFF = 0.5  # how alike two names must be, 0 to 1


def spellings(model: Model) -> Iterator[str]:
    """Everything a model goes by: id, name, hub id and aliases."""
    yield model["id"]
    yield model["name"]
    if model["hub_id"] is not None:
        yield model["hub_id"]
    yield from model["aliases"]


def name_index(models: Iterable[Model]) -> dict[str, str]:
    """Every spelling, case-folded, to the model's id; an id beats names of others, earlier models beat later ones."""
    found: dict[str, str] = {}
    ids = {}
    for model in models:
        ids[model["id"].casefold()] = model["id"]
        for spelling in spellings(model):
            found.setdefault(spelling.casefold(), model["id"])
    return found | ids


def search(text: str, models: Iterable[Model]) -> tuple[Model, ...]:
    """The models of which every word of the text stands in a spelling or the family, in any case.

    Hyphens, dots and the like may be left out: "llama3.1" finds "Llama 3.1".
    """
    words = text.casefold().split()
    return tuple(model for model in models if _has_words(model, words))


def _has_words(model: Model, words: Iterable[str]) -> bool:
    texts = [text.casefold() for text in (*spellings(model), model["family"])]
    squashed = [_squashed(text) for text in texts]
    return all(
        any(word in text for text in texts)
        or (len(bare := _squashed(word)) >= _LEAST_SQUASHED and any(bare in text for text in squashed))
        for word in words
    )


def nearest(text: str, models: Iterable[Model], n: int = 3) -> tuple[str, ...]:
    """Ids of up to n models whose names are nearest to a text that names none, nearest first."""
    wanted = text.strip().casefold()[:_MAX_CHARS]
    known = {model["id"]: model for model in models}
    index = name_index(known.values())
    bare = _squashed(wanted)
    same = [id_ for spelling, id_ in index.items() if bare and _squashed(spelling) == bare]
    holding = [model["id"] for model in search(wanted, known.values())] if bare else []
    holding.sort(key=lambda id_: -SequenceMatcher(None, id_, wanted).ratio())
    alike = [index[spelling] for spelling in get_close_matches(wanted, list(index), n=2 * n, cutoff=_CUTOFF)]
    return tuple(dict.fromkeys([*same, *holding, *alike]))[:n]


def _squashed(text: str) -> str:
    return re.sub(r"[\W_]+", "", text)
