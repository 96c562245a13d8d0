"""A llama-server as the simulation runs it: where the model lies, its slots, its steps, and the command that starts it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from hardware.spec import Machine
from planner.api.machines import speed_facts
from planner.api.models import described_models, open_model
from planner.engines.llama_cpp import LlamaCppFlags
from planner.errors import MissingFactError
from planner.estimate.described_model import DescribedModel
from planner.estimate.fit import FitRow, fit_row
from planner.estimate.local import LocalRates
from planner.estimate.placement import Placement
from planner.estimate.slot_timer import Bound, SlotTimer, slot_timer
from planner.estimate.speed import SpeedFacts, decode_speed
from planner.model.opened_model import OpenedModel
from planner.progress import Progress
from planner.simulate.llama_server import slot_policy
from planner.simulate.policy import Policy

# Sampling and what is around it: 70.9 ms for 511 tokens (llama.cpp pull request 17382, 2025-11) of a vocabulary that it
# does not name; current ones have some 150,000 entries.
SAMPLE_S_PER_ENTRY: Final = 1e-9


@dataclass(frozen=True, kw_only=True)
class SlotReplica:
    """One llama-server with a model on a machine."""

    opened: OpenedModel
    row: FitRow
    machine: Machine
    facts: SpeedFacts
    token_s: float  # of the server itself, for each token made
    notes: tuple[str, ...]

    @property
    def policy(self) -> Policy:
        """Its limits and rules."""
        return slot_policy(self.row.placement.flags)

    def timer(self, bound: Bound = "expected") -> SlotTimer:
        """Its steps, at an end of the speed model's interval."""
        return slot_timer(
            self.row.model, self.row.placement, self.machine, self.facts, bound=bound, sample_s=self.token_s
        )


def slot_replica(
    text: str,
    machine: Machine,
    flags: LlamaCppFlags,
    *,
    quant: str | None = None,
    assume: Sequence[str] = (),
    progress: Progress | None = None,
) -> SlotReplica:
    """The fastest placement with these flags; raises MissingFactError where it does not fit or cannot be timed."""
    opened = open_model(text, assume, progress)
    facts, notes = speed_facts(machine)
    facts, served = _by_program(facts)
    models = described_models(opened, () if quant is None else (quant,))
    row = fit_row(models[0], machine, flags, facts, with_largest_context=False)
    if not row.placement.fits:
        raise MissingFactError(
            f"{opened.name} at {row.model.storage.label} with {flags.n_context_tokens:,} tokens of context in "
            f"{flags.n_sequences} slots does not fit {machine.name}: planner fit says what would"
        )
    return SlotReplica(
        opened=opened,
        row=row,
        machine=machine,
        facts=facts,
        token_s=server_token_s(row.model, row.placement, machine, facts, served),
        notes=(*opened.notes, *notes),
    )


def server_token_s(
    model: DescribedModel, placement: Placement, machine: Machine, facts: SpeedFacts, served: SpeedFacts
) -> float:
    """What the server spends on each token beside the step that makes it.

    By benchmarks of this very file here, in the library (`facts`) and in llama-server (`served`); otherwise by what
    sampling from the vocabulary takes.
    """
    usual = SAMPLE_S_PER_ENTRY * model.network.vocab_size
    alone = replace(placement, flags=replace(placement.flags, n_sequences=1))
    rates = []
    for one in (served, facts):
        if one.local is None or one.local.of_file("decode", model, alone) is None:
            return usual
        rates.append(decode_speed(model, alone, machine, one).tokens_per_s)
    if rates[0] is None or rates[1] is None:
        return usual
    return max(0.0, 1 / rates[0].expected - 1 / rates[1].expected)


def _by_program(facts: SpeedFacts) -> tuple[SpeedFacts, SpeedFacts]:
    """The facts with the benchmarks of the library or llama-bench, and with those of llama-server.

    Where only the server was measured, its own time is within the steps already.
    """
    runs = () if facts.local is None else facts.local.runs
    of_server = tuple(run for run in runs if run.is_served)
    others = tuple(run for run in runs if not run.is_served)
    if not of_server:
        return facts, replace(facts, local=None)
    steps = LocalRates(runs=others or of_server)
    return replace(facts, local=steps), replace(facts, local=LocalRates(runs=of_server))
