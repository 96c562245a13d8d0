"""Figures that a card's text states: numbers of parameters and context lengths, each with its place.

A figure counts only where words say what it is: a label before it, a table's header, or "parameters" and
the like beside it. What the words leave open stays open: several sizes of a family remain several.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from hardware.units import KB, KIB
from planner.model.card import Meaning, Place, StatedContext, StatedParameters
from planner.readers.card.names import Words, likeness, pieces_by_name
from planner.readers.card.tables import CardText, Row

_Figure = TypeVar("_Figure", bound=StatedParameters | StatedContext)

MAX_FIGURES = 60  # of a kind; a card that states more is a list of models
_MAX_READ = 1000  # figures read before like ones are dropped
_MAX_MATCHES = 40  # numbers looked at in one sentence or cell
_LEAST_TOKENS, _MOST_TOKENS = 256, 200_000_000

_NUMBER = r"(\d{1,3}(?:,\d{3}){1,5}|\d{1,6}(?:\.\d{1,4})?)"
_AMOUNT = re.compile(
    rf"(?<![\w.,/-])[~≈∼]?{_NUMBER}(?:[\s-]?(trillion|billion|million|[TBM])(?![A-Za-z0-9]))?(?![\w,]|\.\d)",
    re.IGNORECASE,
)
_POWERS = {"": 0, "m": 6, "b": 9, "t": 12}
_NOT_PARAMETERS = re.compile(r"\W{0,3}(?:tokens?|gpu|hours?|[gmt]i?b\b|samples?|images?|examples?|users?|downloads?|"
                             r"languages?|layers?|experts?|train\w{0,4}|documents?|times?)\b", re.IGNORECASE)  # fmt: skip
_COMPONENT = re.compile(r"\W{0,3}(?:\w+[\s-]+){0,4}?(?:vision|audio|image|speech|encoder|vit|draft|mtp|multi-token|"
                        r"adapter|lora|projector|tower|decoder)", re.IGNORECASE)  # fmt: skip
_WITHOUT_EMBEDDING_BEFORE = re.compile(
    r"(?:non|without|excluding|w/o)[\s-]{0,2}embed\w{0,6}[\s):=]{0,3}$", re.IGNORECASE
)
_WITHOUT_EMBEDDING = re.compile(
    r"(?:non|without|excluding|w/o)[\s-]{0,2}(?:the\s)?(?:token\s)?embed", re.IGNORECASE
)
_ACTIVE_AFTER = re.compile(r"\W{0,3}(?:\w+\s+){0,2}?(?:activ|per token|used for each token)", re.IGNORECASE)
_ACTIVE_BEFORE = re.compile(r"activ\w{0,8}\s*(?:param\w{0,8}\s*)?(?:of|only|just|about|around|is|are|[:=(,]|\s){0,5}$",
                            re.IGNORECASE)  # fmt: skip
_TOTAL_AFTER = re.compile(r"\W{0,3}(?:param\w{0,8}\s+)?(?:in\s+)?(?:total|overall)", re.IGNORECASE)
_TOTAL_BEFORE = re.compile(
    r"total\s*(?:param\w{0,8}\s*)?(?:of|about|around|is|are|[:=(]|\s){0,5}$", re.IGNORECASE
)
_PARAMETERS_AFTER = re.compile(r"[\s(-]{0,3}(?:[\w-]+[\s-]+){0,2}?param", re.IGNORECASE)
_LIST_GAP = re.compile(r"\s*(?:,|/|&|–|—|-|and|or|to|,\s*and|,\s*or)\s*", re.IGNORECASE)

_TOKENS = re.compile(rf"(?<![\w.,/-]){_NUMBER}\s?([KM])?(?![A-Za-z0-9,]|\.\d)", re.IGNORECASE)
_CONTEXT_AFTER = re.compile(r"[\s-]{0,2}(?:tokens?[\s-]{1,2})?(?:(?:of|long|input|native|maximum|max)[\s-]){0,2}context",
                            re.IGNORECASE)  # fmt: skip
_CONTEXT_BEFORE = re.compile(
    r"context(?:[\s-](?:lengths?|windows?|sizes?|capabilities|understanding|support|inputs?|of|up to|is|are|for)){0,4}"
    r"[\s:=(]{0,3}(?:(?:of|up to|to|is|extends? to|about|reaches)\s){0,2}$", re.IGNORECASE)  # fmt: skip
_EXTENDED_BEFORE = re.compile(r"yarn|rope[\s-]scaling|extrapolat|extend|extensib", re.IGNORECASE)
_EXTENDED_AFTER = re.compile(r"\W{0,3}(?:tokens?\W{1,3})?(?:(?:with|using|via|by|through|when)\s)?(?:yarn|rope|extrapol|"
                             r"extend)", re.IGNORECASE)  # fmt: skip
_NOT_CONTEXT = re.compile(r"\W{0,2}(?:generat|output|new tokens|vocab|train)", re.IGNORECASE)
_NOT_CONTEXT_BEFORE = re.compile(
    r"(?:generat\w{0,4}|output|vocab\w{0,6}|trained on)\W{0,3}(?:\w+\s){0,2}$", re.IGNORECASE
)

_LABELLED = re.compile(r"\W{0,6}([^:：=|]{2,70})\s{0,3}[:：=]\s{0,3}(.{1,300})")


def stated_parameters(text: CardText, variants: Sequence[Words]) -> tuple[StatedParameters, ...]:
    """Every number of parameters that the card states, at most `MAX_FIGURES`."""
    return _figures(text, variants, _parameters_label, _parameters_in)


def stated_contexts(text: CardText, variants: Sequence[Words]) -> tuple[StatedContext, ...]:
    """Every context length that the card states, at most `MAX_FIGURES`."""
    return _figures(text, variants, _context_label, _contexts_in)


def _figures(
    text: CardText,
    variants: Sequence[Words],
    meaning_of: Callable[[str], str | None],
    read: Callable[[str, str | None], Iterator[_Figure]],
) -> tuple[_Figure, ...]:
    found = [*islice(_from_tables(text.tables, variants, meaning_of, read), _MAX_READ)]
    for sentence in text.sentences:
        if len(found) > _MAX_READ:
            break
        labelled = _LABELLED.match(sentence)
        label = meaning_of(labelled[1]) if labelled else None
        if labelled and label:
            found += [replace(figure, place=Place.LABELLED) for figure in read(labelled[2], label)]
            continue
        for piece, ours in pieces_by_name(sentence, variants):
            place = Place.NAMED if ours else Place.PROSE
            found += [replace(figure, place=place) for figure in read(piece, None)]
    return tuple(dict.fromkeys(found))[:MAX_FIGURES]


def _from_tables(
    tables: Iterable[tuple[Row, ...]],
    variants: Sequence[Words],
    meaning_of: Callable[[str], str | None],
    read: Callable[[str, str | None], Iterator[_Figure]],
) -> Iterator[_Figure]:
    """Figures of labelled columns and rows; where a table names this model, those of other models are left out.

    The label most like the model's name decides: "Sea V3" is Sea-V3-Lite only while no table has Sea-V3-Lite.
    """
    groups: list[tuple[str, list[_Figure]]] = []
    for table in tables:
        of_meaning: dict[str, list[_Figure]] = {}
        for label, about, cell in _labelled_cells(table, meaning_of):
            figures = [replace(figure, about=about) for figure in islice(read(cell, label), _MAX_READ)]
            of_meaning.setdefault(label, []).extend(figures)
        groups += of_meaning.items()
    best: dict[str, int] = {}
    for label, figures in groups:
        likest = max((likeness(f.about or "", variants) for f in figures), default=0)
        best[label] = max(best.get(label, 0), likest)
    for label, figures in groups:
        if any(likeness(f.about or "", variants) for f in figures):
            ours = [f for f in figures if likeness(f.about or "", variants) == best[label]]
            yield from (replace(figure, place=Place.NAMED) for figure in ours)
        else:
            several = len({figure.about for figure in figures}) > 1
            yield from (replace(f, place=Place.PROSE if several else Place.LABELLED) for f in figures)


def _labelled_cells(
    table: tuple[Row, ...], meaning_of: Callable[[str], str | None]
) -> Iterator[tuple[str, str | None, str]]:
    """(meaning, the model it is about, cell) for each cell under a labelled header or beside a labelled name."""
    header, *rows = table
    for column, name in enumerate(header):
        label = meaning_of(name)
        # A header with a figure in it is a row of a table without header.
        if label is not None and column and not any(_AMOUNT.fullmatch(cell) for cell in header):
            about = None
            for row in rows:
                if column < len(row):
                    # An empty first cell belongs to the row above it.
                    about = next((cell for cell in row[:column] if cell), None) if row[0] else about
                    yield label, about, row[column]
        elif label is not None and not column and not any(meaning_of(row[0]) for row in rows if row):
            yield from ((label, None, row[0]) for row in rows if row)
    for row in table:
        for column, name in enumerate(row[:3]):
            label = meaning_of(name)
            if label is None or (row is header and not any(_AMOUNT.fullmatch(cell) for cell in row)):
                continue
            cells = [(i, cell) for i, cell in enumerate(row) if i > column and cell]
            for i, cell in cells:
                named = len(cells) > 1 and i < len(header) and row is not header
                yield label, header[i] or None if named else None, cell
            break


def _parameters_label(label: str) -> str | None:
    """What a label says its number counts; None for a label about something else."""
    low = label.lower()
    if not ("param" in low or re.fullmatch(r"\W{0,3}(?:model )?size\W{0,3}", low)) or "hyperparam" in low:
        return None
    if any(
        word in low
        for word in ("sampling", "generation", "vision", "encoder", "draft", "lora", "shared", "per ")
    ):
        return None
    if _WITHOUT_EMBEDDING.search(low) or "non-emb" in low:
        return Meaning.NON_EMBEDDING
    if "embed" in low:
        return None
    if "activ" in low:
        return Meaning.ACTIVE
    return Meaning.TOTAL if "total" in low else Meaning.UNSAID


def _parameters_in(text: str, label: str | None) -> Iterator[StatedParameters]:
    """Numbers of parameters in a cell or sentence, by the words around each; `label` decides where they do not."""
    amounts = list(_AMOUNT.finditer(text))[:_MAX_MATCHES]
    speaks_of_parameters = label is not None or "param" in text.lower()
    following: Meaning | None = None
    found: list[StatedParameters] = []
    for i in reversed(range(len(amounts))):
        amount = amounts[i]
        end = amounts[i + 1].start() if i + 1 < len(amounts) else len(text)
        start = amounts[i - 1].end() if i else 0
        gap = text[amount.end() : end]
        meaning = _meaning_of(
            text[max(start, amount.start() - 40) : amount.start()], gap[:60], label, speaks_of_parameters
        )
        if meaning is None and i + 1 < len(amounts) and _LIST_GAP.fullmatch(gap[:12]):
            meaning = following  # "8B and 70B parameters"
        following = meaning
        figure = _parameters_of(amount, meaning) if meaning else None
        if figure is not None:
            found.append(figure)
    yield from reversed(found)


def _meaning_of(before: str, after: str, label: str | None, speaks_of_parameters: bool) -> Meaning | None:
    if _NOT_PARAMETERS.match(after):
        return None
    if speaks_of_parameters and _ACTIVE_AFTER.match(after):
        return Meaning.ACTIVE
    if _WITHOUT_EMBEDDING.search(after[:30]) or _WITHOUT_EMBEDDING_BEFORE.search(before):
        return Meaning.NON_EMBEDDING
    if _COMPONENT.match(after) or after.lstrip(" -(").lower().startswith("embed"):
        return None
    if speaks_of_parameters:
        if _TOTAL_AFTER.match(after):
            return Meaning.TOTAL
        if _ACTIVE_BEFORE.search(before):
            return Meaning.ACTIVE
        if _TOTAL_BEFORE.search(before):
            return Meaning.TOTAL
    if label is not None:
        return Meaning(label)
    return Meaning.UNSAID if _PARAMETERS_AFTER.match(after) else None


def _parameters_of(amount: re.Match[str], meaning: Meaning) -> StatedParameters | None:
    number, unit = amount[1], (amount[2] or "")[:1].lower()
    plain = number.replace(",", "")
    if not unit and number.count(",") < 2:  # a bare number is a count only when it is written out
        return None
    power = _POWERS[unit]
    value = round(float(plain) * 10**power)
    if not 10**5 <= value <= 10**14:
        return None
    return StatedParameters(
        meaning=meaning,
        value=value,
        step=10.0 ** (power - len(plain.partition(".")[2])),
        text=" ".join(amount[0].split()),
        place=Place.PROSE,
    )


def _context_label(label: str) -> str | None:
    low = label.lower()
    known = "context" in low or "sequence length" in low or "max position" in low
    other = any(
        word in low for word in ("output", "local", "sliding", "benchmark", "long context", "in-context")
    )
    return "context" if known and not other else None


def _contexts_in(text: str, label: str | None) -> Iterator[StatedContext]:
    """Context lengths in a cell or sentence."""
    if label is None and "context" not in text.lower():
        return
    matches = list(_TOKENS.finditer(text))[:_MAX_MATCHES]
    for i, match in enumerate(matches):
        end = matches[i + 1].start() if i + 1 < len(matches) else len(text)
        before = text[max(matches[i - 1].end() if i else 0, match.start() - 60) : match.start()]
        after = text[match.end() : end][:40]
        if _NOT_CONTEXT.match(after) or _NOT_CONTEXT_BEFORE.search(before):
            continue
        if label is None and not (_CONTEXT_AFTER.match(after) or _CONTEXT_BEFORE.search(before)):
            continue
        figure = _context_of(match)
        if figure is not None:
            extended = _EXTENDED_AFTER.match(after) or _EXTENDED_BEFORE.search(before)
            yield replace(figure, extended=extended is not None)


def _context_of(match: re.Match[str]) -> StatedContext | None:
    unit = (match[2] or "").lower()
    number = float(match[1].replace(",", ""))
    power = ("", "k", "m").index(unit)
    least, most = round(number * KB**power), round(number * KIB**power)
    if not _LEAST_TOKENS <= most <= _MOST_TOKENS:
        return None
    return StatedContext(
        least_tokens=least, most_tokens=most, text=" ".join(match[0].split()), place=Place.PROSE
    )
