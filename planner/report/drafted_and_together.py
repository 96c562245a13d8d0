"""Several people at once, drafted tokens and energy: the tables and the data of what a step of a placed model gives."""

from typing import Any

from planner.estimate.energy import Energy, wh_per_mtok
from planner.estimate.fit import FitRow
from planner.estimate.speculation import SpeculativeSpeed
from planner.estimate.term import Interval
from planner.estimate.together_speed import TogetherSpeed
from planner.report.document import Table
from planner.report.estimate_terms import interval_data
from planner.report.figures import seconds
from planner.report.quantities import interval, rate

_KINDS = {"draft": "a draft model", "mtp": "its own prediction layers"}


def step_tables(row: FitRow) -> tuple[Table, ...]:
    """The tables of one row that fits; none for what was not asked for."""
    if not row.placement.fits:
        return ()
    found = []
    if row.together:
        found.append(_together_table(row))
    if row.speculative is not None and row.speculative.tokens_per_s is not None:
        found.append(_speculative_table(row.speculative))
    if row.energy.decode_j is not None:
        found.append(_energy_table(row.energy))
    return tuple(found)


def step_notes(row: FitRow) -> tuple[str, ...]:
    """What is missing for them, a line each; of a processor's power nothing is known, which the data say."""
    if not row.placement.fits:
        return ()
    notes = []
    if row.speculative is not None and row.speculative.missing:
        notes.append(f"drafting: {row.speculative.missing}")
    if row.energy.missing and any(load.device.is_gpu and load.terms for load in row.placement.loads):
        notes.append(f"energy: {row.energy.missing}")
    return tuple(notes)


def step_data(row: FitRow) -> dict[str, Any]:
    """The same as data, each key with its unit."""
    return {
        "together": [_together_data(one) for one in row.together],
        "speculative": None if row.speculative is None else _speculative_data(row.speculative),
        "energy": _energy_data(row.energy),
    }


def _together_table(row: FitRow) -> Table:
    share = row.placement.flags.n_context_tokens // row.placement.flags.n_sequences
    return Table(
        title=f"Several at once, each with {share:,} tokens of context",
        headers=("at once", "tok/s in all", "each", "in all, contexts full", "each"),
        rows=tuple(
            (
                str(one.n_sequences),
                interval(one.tokens_per_s),
                rate(one.each_tokens_per_s),
                interval(one.tokens_per_s_full),
                rate(one.each_tokens_per_s_full),
            )
            for one in row.together
        ),
        right=(0, 1, 2, 3, 4),
    )


def _together_data(one: TogetherSpeed) -> dict[str, Any]:
    return {
        "n_sequences": one.n_sequences,
        "tokens_per_s": interval_data(one.tokens_per_s),
        "tokens_per_s_each": one.each_tokens_per_s,
        "tokens_per_s_full_context": interval_data(one.tokens_per_s_full),
        "tokens_per_s_each_full_context": one.each_tokens_per_s_full,
    }


def _speculative_table(found: SpeculativeSpeed) -> Table:
    assert found.tokens_per_s is not None
    assert found.tokens_per_step is not None
    accepted = found.acceptance
    shown = f"{accepted.expected:.2f}"
    if accepted.low < accepted.high:
        shown += f" ({accepted.low:.2f}–{accepted.high:.2f})"
    return Table(
        title=f"Drafting with {_KINDS[found.kind]}",
        headers=("drafted", "accepted", "tokens a step", "draft", "verify", "decode", "times as fast"),
        rows=(
            (
                str(found.n_draft_tokens),
                shown,
                f"{found.tokens_per_step:.2f}",
                seconds(found.draft_s or 0.0),
                seconds(found.verify_s or 0.0),
                interval(found.tokens_per_s),
                f"{found.speedup or 0.0:.2f}",
            ),
        ),
        right=(0, 1, 2, 3, 4, 5, 6),
    )


def _speculative_data(found: SpeculativeSpeed) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "n_draft_tokens": found.n_draft_tokens,
        "acceptance_fraction": interval_data(found.acceptance),
        "tokens_per_step": found.tokens_per_step,
        "draft_s": found.draft_s,
        "verify_s": found.verify_s,
        "tokens_per_s": interval_data(found.tokens_per_s),
        "speedup_ratio": found.speedup,
        "missing": found.missing,
    }


def _energy_table(found: Energy) -> Table:
    lines = (("decode", found.decode_j), ("prompt", found.prompt_j))
    return Table(
        title="Energy of the GPUs",
        headers=("of", "J a token", "Wh per million tokens"),
        rows=tuple(
            (name, interval(joules), interval(_per_million(joules)))
            for name, joules in lines
            if joules is not None
        ),
        right=(1, 2),
    )


def _per_million(joules: Interval) -> Interval:
    return Interval(
        low=wh_per_mtok(joules.low),
        expected=wh_per_mtok(joules.expected),
        high=wh_per_mtok(joules.high),
        basis=joules.basis,
        source=joules.source,
    )


def _energy_data(found: Energy) -> dict[str, Any]:
    return {
        "decode_j_per_token": interval_data(found.decode_j),
        "decode_wh_per_mtok": None if found.decode_j is None else interval_data(_per_million(found.decode_j)),
        "prompt_j_per_token": interval_data(found.prompt_j),
        "prompt_wh_per_mtok": None if found.prompt_j is None else interval_data(_per_million(found.prompt_j)),
        "missing": found.missing,
    }
