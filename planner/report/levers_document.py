"""`planner cost levers` as a document: the whole range of what one answer costs."""

from collections.abc import Iterator

from planner.compare.levers import LEVERS, Levers, Setting
from planner.report.document import Document, Table, listed
from planner.report.outside_text import plain
from planner.report.quantities import usd

_WORDS = {
    "model": "the model",
    "n_samples": "samples",
    "thinking_tokens": "thinking",
    "context_tokens": "context",
}


def levers_document(found: Levers) -> Document:
    """Every setting, the cheapest first, and how far each lever goes alone."""
    return Document(
        schema="planner.cost-levers/1",
        title="What one answer costs",
        answer=tuple(_answer(found)),
        tables=(
            Table(
                title="",
                headers=("model", "samples", "thinking", "context", "$ an answer", "times the cheapest"),
                rows=tuple(_row(found, setting) for setting in found.settings),
                right=(1, 2, 3, 4, 5),
            ),
        ),
        notes=tuple(_notes(found)),
        data={
            "at": found.at.isoformat(),
            "output_tokens": found.output_tokens,
            "ratio": found.ratio,
            "alone": {lever: found.alone(lever) for lever in LEVERS},
            "settings": [
                {
                    "model": setting.model,
                    "n_samples": setting.n_samples,
                    "thinking_tokens": setting.thinking_tokens,
                    "context_tokens": setting.context_tokens,
                    "usd": setting.usd,
                }
                for setting in found.settings
            ],
        },
    )


def _answer(found: Levers) -> Iterator[str]:
    if not found.possible or found.ratio is None:
        yield "None of the models holds a context that was asked for."
        return
    cheapest, dearest = found.possible[0], found.possible[-1]
    yield (
        f"One answer of {found.output_tokens:,} tokens costs from {_small(cheapest.usd)} ({plain(cheapest.model, 80)}) to "
        f"{_small(dearest.usd)} ({plain(dearest.model, 80)}), {_times(found.ratio)} as much, at the prices of {found.at:%Y-%m-%d}."
    )
    alone = [
        f"{_WORDS[lever]} {_times(ratio)}" for lever in LEVERS if (ratio := found.alone(lever)) is not None
    ]
    if alone:
        yield f"Alone, from the cheapest setting on: {listed(alone)}."


def _notes(found: Levers) -> Iterator[str]:
    short = {setting.model: setting.price.context_tokens for setting in found.settings if setting.usd is None}
    for model, holds in short.items():
        yield f"{plain(model, 80)} holds {holds:,} tokens in all, so longer contexts have no cost"
    yield "each sample is a call of its own, which sends the whole context; nothing is read from a cache"
    for source in dict.fromkeys(setting.price.source for setting in found.settings):
        yield f"prices from {plain(source, 200)}"


def _row(found: Levers, setting: Setting) -> tuple[str | int | None, ...]:
    first = found.possible[0].usd if found.possible else None
    times = None if setting.usd is None or not first else _times(setting.usd / first)
    return (
        plain(setting.model, 80), setting.n_samples, f"{setting.thinking_tokens:,}", f"{setting.context_tokens:,}",
        _small(setting.usd), times,
    )  # fmt: skip


def _small(value: float | None) -> str | None:
    if value is None:
        return None
    return usd(value) if value >= 1 else f"${value:.3g}"


def _times(ratio: float) -> str:
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.2g} times"
