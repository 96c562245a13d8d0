"""What answers, agents' tasks, pipelines and solved tasks cost."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from planner.api.comparing import CompareQuestion, own_options, price_named, stated_figures
from planner.api.machines import machine_for
from planner.api.own_capacity import OwnCapacity, own_capacity
from planner.compare.agent_cost import AgentCost, agent_cost
from planner.compare.api_task import api_option
from planner.compare.levers import ANSWER_TOKENS, CONTEXT_TOKENS, SAMPLES, THINKING_TOKENS, Levers, levers
from planner.compare.month_load import SECONDS_PER_MONTH
from planner.compare.options import TASKS, TASKS_PER_S, ApiOption, OwnOption, Scenario
from planner.compare.pipeline import PipelineChoice, Stage, pipelines, visits
from planner.compare.scenario import STATED_UNITS, scenario_for
from planner.compare.solved import (
    DearerPays,
    EvaluationResult,
    Repair,
    Solved,
    cheapest_first,
    dearer_pays,
    solved_cost,
)
from planner.errors import MissingFactError, PriceError
from planner.prices.call import CallTokens, call_price
from planner.prices.figure import assumed_figures, stated
from planner.progress import Progress
from planner.readers.evaluations.file import read_evaluation
from planner.readers.pipeline_file import StageAsk, read_pipeline
from planner.workload.workload import Traffic, Workload

# Of the small and the frontier model that the levers are shown for when nobody names others.
LEVER_MODELS = ("google/gemini-2.5-flash-lite", "openai/gpt-5.5-pro")


def cost_levers(
    models: Sequence[str] = (),
    *,
    at: datetime | None = None,
    price_file: Path | None = None,
    samples: Sequence[int] = SAMPLES,
    thinking_tokens: Sequence[int] = THINKING_TOKENS,
    context_tokens: Sequence[int] = CONTEXT_TOKENS,
    output_tokens: int = ANSWER_TOKENS,
) -> Levers:
    """One answer at every setting of the four levers, at the prices of a day."""
    moment = at or datetime.now(UTC)
    prices = [price_named(name, moment, price_file) for name in models or LEVER_MODELS]
    return levers(
        prices, moment, samples=samples, thinking_tokens=thinking_tokens, context_tokens=context_tokens,
        output_tokens=output_tokens,
    )  # fmt: skip


def cost_agent(
    workload: Workload,
    apis: Sequence[str],
    *,
    at: datetime | None = None,
    price_file: Path | None = None,
    spend_limit_usd: float | None = None,
    seed: int = 0,
) -> tuple[AgentCost, ...]:
    """A task of an agent at each API, the cheapest first."""
    moment = at or datetime.now(UTC)
    found = [
        agent_cost(price_named(name, moment, price_file), workload, moment, spend_limit_usd, seed=seed)
        for name in apis
    ]
    return tuple(sorted(found, key=lambda cost: cost.mean_usd))


def cost_pipeline(
    path: Path, question: CompareQuestion | None = None, *, progress: Progress | None = None
) -> PipelineChoice:
    """The pipeline of a file, each stage on each of its options."""
    asked = read_pipeline(path)
    question = question or CompareQuestion(same_hosts=0)
    assumed = assumed_figures()
    rate = asked.tasks_per_month / SECONDS_PER_MONTH
    traffic = Traffic(tasks_per_s=rate, growth_per_year=asked.growth_per_year)
    given = stated_figures(question, assumed)
    scenario = scenario_for(_workload(asked.stages[0], traffic), assumed, given, n_months=1)
    scenario = replace(scenario, figures=scenario.figures.with_values({TASKS: asked.tasks_per_month}))
    calls = visits({one.name: one.passes for one in asked.stages})
    stages: list[Stage] = []
    notes: list[str] = []
    for index, one in enumerate(asked.stages):
        if progress is not None:
            progress(index / len(asked.stages), one.name)
        options, missing = _options(one, calls[one.name], traffic, scenario, question)
        stages.append(Stage(name=one.name, options=options, passes=one.passes))
        notes.extend(missing)
    if progress is not None:
        progress(1.0, "done")
    return PipelineChoice(
        name=asked.name,
        calls=calls,
        months=pipelines(stages, scenario),
        notes=tuple(dict.fromkeys(notes)),
    )


def cost_solved(
    paths: Sequence[Path],
    *,
    minutes: float | None = None,
    usd_per_hour: float | None = None,
    usd_per_attempt: Mapping[str, float] | None = None,
    price_of: Mapping[str, str] | None = None,
    at: datetime | None = None,
    price_file: Path | None = None,
) -> Solved:
    """What each model's solved tasks cost, from files of evaluation results.

    An attempt costs what the file says, or is stated for the model, or its tokens at the price of PROVIDER/MODEL (`price_of`, or the
    model's own name where it is one). Minutes of a failure are those of the file, or as stated; the wage is stated or assumed.
    """
    moment = at or datetime.now(UTC)
    wage = assumed_figures().value("user_usd_per_hour") if usd_per_hour is None else usd_per_hour
    found = []
    for path in paths:
        for result in read_evaluation(path):
            spent = minutes if minutes is not None else result.people_minutes
            if spent is None:
                raise MissingFactError(
                    f"how long a person takes to repair a failure of {result.model} is not known; state it with --minutes"
                )
            usd = _usd_of_attempt(result, usd_per_attempt or {}, price_of or {}, moment, price_file)
            found.append(solved_cost(result, usd, Repair(minutes=spent, usd_per_hour=wage)))
    duels: list[DearerPays] = []
    for evaluation in dict.fromkeys(cost.result.evaluation for cost in found):
        alike = sorted(
            (cost for cost in found if cost.result.evaluation == evaluation),
            key=lambda cost: cost.usd_per_attempt,
        )
        duels.extend(dearer_pays(alike[0], dear) for dear in alike[1:])
    return Solved(costs=cheapest_first(found), duels=tuple(duels))


def _usd_of_attempt(
    result: EvaluationResult,
    stated_usd: Mapping[str, float],
    price_of: Mapping[str, str],
    at: datetime,
    price_file: Path | None,
) -> float:
    if result.model in stated_usd:
        return stated_usd[result.model]
    if result.usd_per_attempt is not None:
        return result.usd_per_attempt
    if result.prompt_tokens is None or result.output_tokens is None:
        raise MissingFactError(
            f"{result.source} does not say how many tokens {result.model} used; state what an attempt costs with "
            f"--usd '{result.model}=0.002'"
        )
    try:
        price = price_named(price_of.get(result.model, result.model), at, price_file)
    except PriceError as error:
        raise PriceError(
            f"{error}; or name its price with --price-as '{result.model}=PROVIDER/MODEL'"
        ) from error
    tokens = CallTokens(prompt=result.prompt_tokens, output=result.output_tokens)
    return float(call_price(price, tokens, at).total_usd)


def _workload(stage: StageAsk, traffic: Traffic) -> Workload:
    """One call of a stage as a workload."""
    return Workload(
        name=stage.name,
        prompt=stage.prompt,
        output=stage.output,
        thinking=stage.thinking,
        shared_prefix_tokens=min(stage.shared_prefix_tokens, stage.prompt.low),
        samples=stage.samples,
        objectives=stage.objectives,
        traffic=traffic,
    )


def _options(
    stage: StageAsk, calls: float, traffic: Traffic, scenario: Scenario, question: CompareQuestion
) -> tuple[tuple[OwnOption | ApiOption, ...], tuple[str, ...]]:
    """What may run a stage, priced for one of its calls, its machines sized for as many of them as come."""
    at = question.at or datetime.now(UTC)
    workload = _workload(stage, replace(traffic, tasks_per_s=(traffic.tasks_per_s or 0.0) * max(calls, 1e-9)))
    found: list[OwnOption | ApiOption] = [
        api_option(price_named(name, at, question.price_file), workload, at) for name in stage.apis
    ]
    notes: list[str] = []
    deals = stage.deals or question.deals
    for text in stage.machines:
        machine = machine_for(text)
        if stage.tasks_per_s is not None:
            speed = stated(TASKS_PER_S, stage.tasks_per_s, scenario.figures, STATED_UNITS)
            capacity = OwnCapacity(tasks_per_s=speed, layout="speed as stated")
        else:
            capacity = own_capacity(stage.model or "", machine, workload, question.engine)
        asked = replace(question, deals=tuple(deal for deal in question.deals if deal in deals))
        options, missing = own_options(machine, capacity, scenario, (), asked)
        found.extend(options)
        notes.extend((*capacity.notes, *missing))
    if not found:
        reasons = f": {'; '.join(notes[:2])}" if notes else ""
        raise PriceError(f"nothing is left that could run the stage {stage.name!r}{reasons}")
    return tuple(found), tuple(notes)
