"""A choice among the catalogue's open models and the main closed ones, with what each way to them costs."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from hardware.spec import Basis
from planner.api.catalogue_table import fit_catalogue_table
from planner.api.workloads import workload_for
from planner.decide.answers import Answers
from planner.decide.candidate import Candidate, Commercial, Way
from planner.decide.decision import Decision, decide
from planner.estimate.catalogue_table import CatalogueTable
from planner.estimate.term import Interval
from planner.prices.api import ROUTERS, api_prices
from planner.prices.benchmark_score import benchmark_score
from planner.prices.call import CallTokens, call_price
from planner.prices.names import core
from planner.prices.price import ApiPrice
from planner.progress import Progress, stretch
from planner.workload.totals import TaskTotals, expected_task
from planner.workload.workload import Workload
from profiles.loader import benchmark_score_rows, licence_rows, model_feature_rows, model_rows
from profiles.schema import Row

_THIS: Final = "this"
_MAX_HOSTS: Final = 3
_FLAGS: Final[dict[str | None, bool]] = {"0": False, "1": True}
_COMMERCIAL: Final[dict[str | None, Commercial]] = {"yes": "yes", "terms": "terms", "no": "no"}


def choose(
    answers: Answers,
    *,
    at: datetime | None = None,
    progress: Progress | None = None,
) -> tuple[Decision, Workload]:
    """The short list, and the workload whose tokens a task was priced with; scores are the newest known on the day."""
    workload = workload_for(usual_workload(answers))
    task = expected_task(workload)
    table = None
    if answers.machine is not None:
        on = None if answers.machine.strip().casefold() == _THIS else answers.machine
        table = fit_catalogue_table(
            on=on, contexts=(answers.context_tokens,), progress=stretch(progress, 0.0, 0.7)
        )
    found = _candidates(answers, task, table, at or datetime.now(tz=UTC), workload.name)
    if progress is not None:
        progress(1.0, "done")
    return decide(answers, found), workload


def usual_workload(answers: Answers) -> str:
    """The preset that is most like the answers."""
    if answers.flow == "agent":
        return "coding-agent"
    return "chat" if answers.reasoning == "none" else "reasoning"


def _candidates(
    answers: Answers,
    task: TaskTotals,
    table: CatalogueTable | None,
    at: datetime,
    workload: str,
) -> list[Candidate]:
    hosts: dict[tuple[str, ...], list[ApiPrice]] = defaultdict(list)
    by_id: dict[tuple[str, str], ApiPrice] = {}
    for price in api_prices(at=at):
        if price.is_free or price.is_deprecated or price.provider in ROUTERS:
            continue
        by_id[price.provider, price.model_id] = price
        for key in {core(price.model_id), core(price.model_name)}:
            hosts[key].append(price)
    features = {row["catalogue_id"]: row for row in model_feature_rows() if row["catalogue_id"]}
    licences = {row["licence"]: _COMMERCIAL[row["commercial"]] for row in licence_rows()}
    own = {} if table is None else _own_ways(table, answers)
    found = []
    for entry in model_rows():
        prices = hosts.get(core(entry["hub_id"])) or hosts.get(core(entry["id"])) or []
        ways = _api_ways(prices, answers, task, at)
        if entry["id"] in own:
            ways.append(own[entry["id"]])
        else:
            ways.append(
                Way(kind="size", where="machines to find", command=f"planner size {entry['id']} --workload {workload}")
            )  # fmt: skip
        score = _score((entry["name"], entry["hub_id"]), at)
        found.append(_open(entry, features.get(entry["id"]), licences, ways, score))
    for row in model_feature_rows():
        offered = by_id.get((row["provider"] or "", row["model_id"] or ""))
        if row["is_open"] == "0" and offered is not None:
            score = _score((offered.model_id,), at)
            found.append(_closed(row, offered, _api_ways([offered], answers, task, at), score))
    return found


def _score(spellings: tuple[str, ...], at: datetime) -> float | None:
    found = benchmark_score(spellings, at.date())
    return None if found is None else found.score


def benchmarks_known(at: datetime | None = None) -> str | None:
    """The benchmark and its newest release that scores are of, as of a day; None where none is known."""
    day = (at or datetime.now(tz=UTC)).date().isoformat()
    known = [row for row in benchmark_score_rows() if (row["as_of"] or "") <= day]
    newest = max(known, key=lambda row: row["release"] or "", default=None)
    return None if newest is None else f"{newest['benchmark']}, up to the release of {newest['release']}"


def _open(
    entry: Mapping[str, Any],
    row: Row | None,
    licences: Mapping[str | None, Commercial],
    ways: list[Way],
    score: float | None,
) -> Candidate:
    return Candidate(
        id=entry["id"],
        name=entry["name"],
        is_open=True,
        modalities=tuple(entry["modalities"]),
        context_tokens=entry["context_tokens"],
        thinks=None if row is None else _FLAGS.get(row["reasoning"]),
        calls_tools=None if row is None else _FLAGS.get(row["tools"]),
        is_for_code=row is not None and row["code"] == "1",
        licence=entry["licence"],
        commercial=licences.get(entry["licence"]),
        n_parameters=entry["parameters"]["total"],
        released=entry["released"],
        score=score,
        ways=tuple(ways),
    )


def _closed(row: Row, price: ApiPrice, ways: list[Way], score: float | None) -> Candidate:
    return Candidate(
        id=f"{price.provider}/{price.model_id}",
        name=price.model_name,
        is_open=False,
        modalities=tuple((row["modalities"] or "").split(";")) if row["modalities"] else None,
        context_tokens=int(row["context_tokens"]) if row["context_tokens"] else price.context_tokens,
        thinks=_FLAGS.get(row["reasoning"]),
        calls_tools=_FLAGS.get(row["tools"]),
        is_for_code=False,
        licence=None,
        commercial="terms",
        n_parameters=None,
        released=None,
        score=score,
        ways=tuple(ways),
    )


def _api_ways(prices: list[ApiPrice], answers: Answers, task: TaskTotals, at: datetime) -> list[Way]:
    """The cheapest hosts: every call of a task is priced as the mean one."""
    call = task.call
    tokens = CallTokens(prompt=call.prompt, cached=call.cached, thinking=call.thinking, output=call.output)
    ways = [
        Way(
            kind="api",
            where=price.provider,
            command=f"planner price {price.model_id} --provider {price.provider}",
            usd_per_month=float(call_price(price, tokens, at).total_usd) * task.n_calls * answers.tasks_per_month,
            note=price.note,
        )
        for price in prices
    ]  # fmt: skip
    return sorted(ways, key=lambda way: (way.usd_per_month, way.where))[:_MAX_HOSTS]


def _own_ways(table: CatalogueTable, answers: Answers) -> dict[str, Way]:
    """Whole in the fastest memory of the machine, at the finest preset that fits."""
    where = answers.machine or ""
    option = "" if where.casefold() == _THIS else f' --on "{where}"'
    ways = {}
    for model in table.models:
        row = model.finest(0) if model.n_context_tokens else None
        if row is None:
            continue
        speed = None
        if model.decode is not None:
            low, expected, high = (
                float(np.atleast_1d(values)[row])
                for values in (model.decode.low, model.decode.expected, model.decode.high)
            )
            speed = Interval(low=low, expected=expected, high=high, basis=Basis.DERIVED, source="planner fit")
        preset = model.presets[row]
        ways[model.id] = Way(
            kind="own",
            where=table.machine.name,
            command=f"planner fit {model.id} --quant {preset} --context {answers.context_tokens}{option}",
            tokens_per_s=speed,
            note=preset,
        )
    return ways
