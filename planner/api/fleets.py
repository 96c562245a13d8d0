"""One question asked of every kind of machine in a fleet."""

from collections.abc import Sequence
from pathlib import Path

from hardware.fleet import Fleet, MachineGroup, like_machines
from planner.api.catalogue_fit import CatalogueAnswer, fit_catalogue
from planner.api.fitting import FitAnswer, fit
from planner.engines.ik_llama_cpp.command_line import CommandLine
from planner.engines.llama_cpp import LlamaCppFlags
from planner.engines.llama_cpp.asked_drafting import AskedDrafting
from planner.engines.llama_cpp.given_split import FREE, GivenSplit
from planner.errors import MissingFactError
from planner.estimate.catalogue import CATALOGUE_CONTEXT
from planner.estimate.fit import FitRow
from planner.estimate.ranking import placement_rank
from planner.progress import Progress, stretch


def fit_fleet(
    text: str,
    *,
    fleet: Fleet,
    contexts: Sequence[int] = (),
    quants: Sequence[str] = (),
    flags: LlamaCppFlags | None = None,
    given: GivenSplit = FREE,
    command: CommandLine | None = None,
    mmproj: Path | None = None,
    drafting: AskedDrafting | None = None,
    assume: Sequence[str] = (),
    progress: Progress | None = None,
) -> tuple[tuple[MachineGroup, FitAnswer], ...]:
    """Whether and how a model fits each kind of machine: where it fits first, then where it runs fastest."""
    groups = _groups(fleet)
    found = []
    for index, group in enumerate(groups):
        part = stretch(progress, index / len(groups), (index + 1) / len(groups))
        answer = fit(
            text,
            on=group.machine,
            contexts=contexts,
            quants=quants,
            flags=flags,
            given=given,
            command=command,
            mmproj=mmproj,
            drafting=drafting,
            assume=assume,
            progress=part,
        )
        found.append((group, answer))
    return tuple(sorted(found, key=lambda pair: min(_rank(row) for row in pair[1].rows)))


def fit_catalogue_fleet(
    *, fleet: Fleet, n_context_tokens: int = CATALOGUE_CONTEXT, progress: Progress | None = None
) -> tuple[tuple[MachineGroup, CatalogueAnswer], ...]:
    """The catalogue's models that fit each kind of machine; the kind that most of them fit comes first."""
    groups = _groups(fleet)
    found = []
    for index, group in enumerate(groups):
        part = stretch(progress, index / len(groups), (index + 1) / len(groups))
        found.append(
            (group, fit_catalogue(on=group.machine, n_context_tokens=n_context_tokens, progress=part))
        )
    return tuple(sorted(found, key=lambda pair: -len(pair[1].rows)))


def _groups(fleet: Fleet) -> tuple[MachineGroup, ...]:
    groups = like_machines(fleet)
    if groups:
        return groups
    reasons = "; ".join(f"{member.name}: {member.problem}" for member in fleet.members[:5])
    raise MissingFactError(f"{fleet.source} holds no machine that can be planned with ({reasons or 'none'})")


def _rank(row: FitRow) -> tuple[bool, int, float]:
    """Sorts rows best first: fitting, not split, fast; a speed that nobody knows comes last."""
    speed = row.decode.tokens_per_s
    return not row.placement.fits, placement_rank(row.placement), -(speed.expected if speed else 0.0)
