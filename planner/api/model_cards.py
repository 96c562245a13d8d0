"""A model with what its makers claim of it."""

from collections.abc import Sequence
from dataclasses import replace

from planner.model.opened_model import OpenedModel
from planner.progress import Progress
from planner.readers.assumptions import parse_assumptions
from planner.readers.carded_model import open_with_card
from planner.readers.hub.repository import DEFAULT_OPTIONS


def open_model_with_card(
    text: str, assume: Sequence[str] = (), progress: Progress | None = None
) -> OpenedModel:
    """What `open_model` opens, with its card, and its claims held against what was found.

    For a hub repository that is some requests more; a missing or malformed card is told in a note.
    """
    options = replace(DEFAULT_OPTIONS, progress=progress)
    return open_with_card(text, options=options, assumptions=parse_assumptions(assume))
