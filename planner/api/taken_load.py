"""The part of a workload that an engine takes: requests no longer than it is told to hold."""

import sys
from typing import Final

from planner.errors import MissingFactError
from planner.model.opened_model import OpenedModel
from planner.sizing.sampled_load import SampledLoad

_LENGTH_STEP: Final = 1024
_TURNED_AWAY: Final = 0.05  # of the requests, at most


def taken_load(
    opened: OpenedModel, load: SampledLoad, asked: int | None
) -> tuple[SampledLoad, int, tuple[str, ...]]:
    """The requests that the engine takes, the longest one that it is told to take, and what is turned away.

    As long as asked, or as the longest drawn in whole 1,024 tokens; never more than the model holds.
    """
    longest = load.n_longest_tokens
    length = min(
        asked or -(-longest // _LENGTH_STEP) * _LENGTH_STEP, opened.network.context_tokens or sys.maxsize
    )
    if longest <= length:
        return load, length, ()
    taken = load.within(length)
    share = 1.0 if taken is None else 1.0 - len(taken.requests) / len(load.requests)
    if taken is None or share > _TURNED_AWAY:
        whose = "--context" if asked == length else f"which is all that {opened.name} holds"
        raise MissingFactError(
            f"{share * 100:.0f} % of the requests are longer than {length:,} tokens ({whose}), up to {longest:,}; give "
            "shorter prompts or answers, or a model that holds more"
        )
    note = f"{share * 100:.2g} % of the requests are longer than {length:,} tokens and are turned away, up to {longest:,}"
    return taken, length, (note,)
