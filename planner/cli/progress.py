"""A progress bar on standard error, with time left; a line every so often where there is no terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import click

from planner.progress import Progress

_STEPS = 1000
_SILENT_STEP = 0.1  # of the work between two lines when nobody watches a terminal


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """Yields a function that takes the part done (0 to 1) and what is going on."""
    if not sys.stderr.isatty():
        yield _lines(label)
        return
    with click.progressbar(
        length=_STEPS, label=label, file=sys.stderr, show_eta=True, item_show_func=lambda text: text or ""
    ) as bar:

        def show(done: float, text: str) -> None:
            step = round(max(0.0, min(1.0, done)) * _STEPS) - bar.pos
            bar.update(max(0, step), text)

        yield show


@contextmanager
def patient_progress(label: str, patience_s: float = 2.0) -> Iterator[Progress]:
    """A progress bar for work that is mostly over at once: nothing is shown before it has taken this long."""
    started = time.monotonic()
    with ExitStack() as stack:
        shown: Progress | None = None

        def show(done: float, text: str) -> None:
            nonlocal shown
            if shown is None and time.monotonic() - started > patience_s:
                shown = stack.enter_context(progress_bar(label))
            if shown is not None:
                shown(done, text)

        yield show


def _lines(label: str) -> Progress:
    last = -1.0

    def show(done: float, text: str) -> None:
        nonlocal last
        if done - last >= _SILENT_STEP:
            last = done
            click.echo(f"{label}: {done:.0%} {text}", err=True)

    return show
