"""Options of speculative decoding: a draft model or the model's own prediction layers, and what is known of them."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from planner.engines.llama_cpp.asked_drafting import AskedDrafting
from planner.model.presets import BASE_TYPES

F = TypeVar("F", bound=Callable[..., Any])
_MOST = 64


def drafting_options(command: F) -> F:
    """--draft, --draft-quant, --mtp, --acceptance and --draft-tokens, as one `drafting`."""

    @click.option("--draft", metavar="REF", default=None,
                  help="A draft model that guesses tokens which the model verifies.")  # fmt: skip
    @click.option("--draft-quant", type=click.Choice(tuple(BASE_TYPES), case_sensitive=False), default=None,
                  help="The draft's preset, where REF is not a GGUF.")  # fmt: skip
    @click.option("--mtp", is_flag=True,
                  help="Let the model's own extra prediction layers guess tokens.")  # fmt: skip
    @click.option("--acceptance", type=click.FloatRange(0, 1, min_open=True), default=None,
                  help="Share of drafted tokens accepted while those before them are; published ranges when left out.")  # fmt: skip
    @click.option("--draft-tokens", type=click.IntRange(1, _MOST), default=None,
                  help="Tokens drafted in a step; the fastest number when left out.")  # fmt: skip
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        draft: str | None,
        draft_quant: str | None,
        mtp: bool,
        acceptance: float | None,
        draft_tokens: int | None,
        **kwargs: Any,
    ) -> Any:
        if draft is not None and mtp:
            raise click.UsageError("--draft and --mtp are two ways to guess tokens; take one")
        if draft is None and not mtp and (acceptance is not None or draft_tokens is not None):
            raise click.UsageError(
                "--acceptance and --draft-tokens speak of --draft REF or of --mtp; add one"
            )
        if draft_quant is not None and draft is None:
            raise click.UsageError("--draft-quant is the preset of --draft REF; add it")
        asked = None
        if draft is not None or mtp:
            asked = AskedDrafting(
                draft=draft, draft_quant=draft_quant, acceptance=acceptance, n_draft_tokens=draft_tokens
            )
        return command(*args, drafting=asked, **kwargs)

    return wrapped  # type: ignore[return-value]
