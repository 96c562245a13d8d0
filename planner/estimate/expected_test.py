"""What the planner expects of a benchmark's tests before anything was measured."""

from dataclasses import dataclass

from hardware.spec import Machine
from planner.estimate.described_model import DescribedModel
from planner.estimate.measurement import Measurement
from planner.estimate.placement import Placement
from planner.estimate.speed import SpeedEstimate, SpeedFacts, decode_speed, prefill_speed


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """A model where it will be measured, with what was known of the machine before."""

    model: DescribedModel
    placement: Placement
    machine: Machine
    facts: SpeedFacts

    def of(self, test: Measurement) -> SpeedEstimate | None:
        """The estimate of the same work; None for prompts behind others, and for other threads than the engine's own."""
        where = self.model, self.placement, self.machine, self.facts
        if test.n_threads is not None:
            return None
        if test.phase == "decode":
            # n tokens that are generated from a depth see that depth plus n/2 on average.
            middle = test.n_depth_tokens + test.n_generated_tokens // 2
            return decode_speed(*where, middle, test.n_sequences)
        if test.n_depth_tokens or test.n_sequences > 1:
            return None
        return prefill_speed(*where, test.n_prompt_tokens)

    def of_all(self, tests: tuple[Measurement, ...]) -> dict[str, SpeedEstimate]:
        """By name, of all tests that there is an estimate of."""
        found = ((test.name, self.of(test)) for test in tests)
        return {name: estimate for name, estimate in found if estimate is not None}
