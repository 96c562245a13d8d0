"""One progress bar over several steps: each step reports 0 to 1, the bar shows its stretch of the whole."""

from collections.abc import Callable

Progress = Callable[[float, str], None]  # the part done, 0 to 1, and what is going on


def stretch(progress: Progress | None, start: float, end: float) -> Progress | None:
    """A step's own progress, mapped to the stretch of the bar from start to end."""
    if progress is None:
        return None

    def mapped(done: float, text: str) -> None:
        progress(start + (end - start) * done, text)

    return mapped


def named_stretch(
    progress: Progress | None, start: float, end: float, text: str
) -> Callable[[float], None] | None:
    """The same for a step that reports only how far it is."""
    mapped = stretch(progress, start, end)
    return None if mapped is None else lambda done: mapped(done, text)
