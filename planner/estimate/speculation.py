"""How fast a placed model decodes when a draft model, or its own prediction layers, guess tokens that it verifies.

A step drafts γ tokens one after another, then runs the model once over them and the token before:
    tokens per second = (1 + α + … + α^γ) / (γ · draft step + step of γ + 1 tokens)
Sampling and the bookkeeping of caches on the processor are not in it.
"""

import math
from dataclasses import dataclass
from typing import Literal

from hardware.spec import Basis, Machine
from planner.engines.llama_cpp import Split
from planner.engines.llama_cpp.draft import draft_flags
from planner.errors import MissingFactError
from planner.estimate.beside_memory import draft_loads
from planner.estimate.described_model import DescribedModel
from planner.estimate.modelled_speed import decode_case, placed_layout
from planner.estimate.placement import Placement
from planner.estimate.speed import SpeedEstimate, SpeedFacts, decode_speed
from planner.estimate.term import Interval
from planner.speed.drafting import expected_tokens
from planner.speed.extra_layers import extra_layer_work
from planner.speed.operators import Layout

MOST_DRAFT_TOKENS = 16
DraftKind = Literal["draft", "mtp"]

# Share of drafted tokens that are accepted while those before them are, where nobody says it: 80 % ranges.
_ACCEPTANCES = {
    "draft": Interval(
        low=0.55, expected=0.71, high=0.82, basis=Basis.ASSUMED,
        source="Leviathan et al. 2023, arXiv 2211.17192, table 3: drafts of 77M to 8B for T5 and LaMDA, at temperatures "
        "0 and 1 (recalled); text as it comes, code is accepted more often",
    ),
    "mtp": Interval(
        low=0.72, expected=0.81, high=0.88, basis=Basis.ASSUMED,
        source="18 tasks of Qwen3.6 27B and Gemma 4 31B, llama.cpp pull requests 24340 and 23398; DeepSeek-V3's report "
        "has 0.85 to 0.90",
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Drafting:
    """How tokens are to be guessed, and what a person knows of it; None is for the planner to choose or assume."""

    kind: DraftKind
    model: DescribedModel | None = None  # of kind "draft"
    acceptance: float | None = None
    n_draft_tokens: int | None = None

    @property
    def acceptance_interval(self) -> Interval:
        """The rate that was given, which then has no width, or a published range."""
        if self.acceptance is None:
            return _ACCEPTANCES[self.kind]
        given = self.acceptance
        return Interval(low=given, expected=given, high=given, basis=Basis.GIVEN, source="--acceptance")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculativeSpeed:
    """Decoding with so many drafted tokens a step, the seconds of a step, and how it compares; or what is missing."""

    kind: DraftKind
    acceptance: Interval
    n_draft_tokens: int | None = None
    tokens_per_step: float | None = None
    draft_s: float | None = None  # of all drafted tokens
    verify_s: float | None = None
    tokens_per_s: Interval | None = None
    plain_tokens_per_s: Interval | None = None
    missing: str | None = None

    @property
    def speedup(self) -> float | None:
        """Times as fast as without drafting."""
        if self.tokens_per_s is None or self.plain_tokens_per_s is None:
            return None
        return self.tokens_per_s.expected / self.plain_tokens_per_s.expected


def speculative_speed(
    model: DescribedModel,
    placement: Placement,
    machine: Machine,
    facts: SpeedFacts,
    drafting: Drafting,
    depth_tokens: int = 0,
) -> SpeculativeSpeed:
    """The speed with as many drafted tokens as were asked for, or as are fastest."""
    acceptance = drafting.acceptance_interval
    counts = range(1, MOST_DRAFT_TOKENS + 1)
    if drafting.n_draft_tokens is not None:
        counts = range(drafting.n_draft_tokens, drafting.n_draft_tokens + 1)
    try:
        plain = _known(decode_speed(model, placement, machine, facts, depth_tokens))
        each_s = _draft_step_s(model, placement, machine, facts, drafting, depth_tokens, plain)
        found = [
            _with(
                n,
                acceptance,
                each_s,
                _known(decode_speed(model, placement, machine, facts, depth_tokens, 1, n + 1)),
            )
            for n in counts
        ]
    except MissingFactError as error:
        return SpeculativeSpeed(kind=drafting.kind, acceptance=acceptance, missing=str(error))
    n, draft_s, verify_s, rate = max(found, key=lambda one: one[3].expected)
    return SpeculativeSpeed(
        kind=drafting.kind,
        acceptance=acceptance,
        n_draft_tokens=n,
        tokens_per_step=expected_tokens(acceptance.expected, n),
        draft_s=draft_s,
        verify_s=verify_s,
        tokens_per_s=rate,
        plain_tokens_per_s=plain,
    )


def _known(estimate: SpeedEstimate) -> Interval:
    if estimate.tokens_per_s is None:
        raise MissingFactError(estimate.missing or "the decode speed is unknown")
    return estimate.tokens_per_s


def _with(
    n_drafted: int, acceptance: Interval, draft_step_s: float, verified: Interval
) -> tuple[int, float, float, Interval]:
    """One number of drafted tokens: seconds of drafting and verifying, and tokens per second.

    Acceptance and speed are unsure independently: their logarithms add up as squares.
    """
    draft_s = n_drafted * draft_step_s
    verify_s = (n_drafted + 1) / verified.expected
    expected = expected_tokens(acceptance.expected, n_drafted)

    def apart(rate: float, bound: float) -> float:
        tokens = math.log(expected_tokens(rate, n_drafted) / expected)
        return math.hypot(tokens, math.log(bound / verified.expected))

    rate = expected / (draft_s + verify_s)
    interval = Interval(
        low=rate * math.exp(-apart(acceptance.low, verified.low)),
        expected=rate,
        high=rate * math.exp(apart(acceptance.high, verified.high)),
        basis=acceptance.basis,
        source=f"acceptance: {acceptance.source}; {verified.source}",
    )
    return n_drafted, draft_s, verify_s, interval


def _draft_step_s(
    model: DescribedModel,
    placement: Placement,
    machine: Machine,
    facts: SpeedFacts,
    drafting: Drafting,
    depth_tokens: int,
    plain: Interval,
) -> float:
    """Seconds of one drafted token, off from the model of operators by as much as the target here is."""
    flags = draft_flags(placement.flags)
    main = placed_layout(placement, machine)
    if drafting.model is not None:
        work = drafting.model.work
        layout = placed_layout(_placed_draft(drafting.model, placement), machine)
    else:
        work = extra_layer_work(model.network, model.storage, model.work)
        n = len(work.layers)
        layout = Layout(
            gpus=main.gpus, host=main.host, layers=(main.head,) * n, experts=(main.head,) * n, head=main.head
        )
    drafted = sum(facts.factors.seconds(decode_case(work, layout, flags, depth_tokens, 1)))
    target = sum(facts.factors.seconds(decode_case(model.work, main, placement.flags, depth_tokens, 1)))
    return float(drafted / (target * plain.expected))


def _placed_draft(draft: DescribedModel, placement: Placement) -> Placement:
    """The draft where llama.cpp puts it by itself: on all GPUs, layer by layer."""
    gpus = [load.device for load in placement.loads if load.device.is_gpu]
    ram = next((load.device for load in placement.loads if not load.device.is_gpu), None)
    split = Split(n_gpu_layers=draft.network.n_layers + 1 if gpus else 0)
    return Placement(
        split=split,
        flags=draft_flags(placement.flags),
        loads=draft_loads(draft, placement.flags, split, gpus, ram),
        n_layers=draft.network.n_layers,
    )
