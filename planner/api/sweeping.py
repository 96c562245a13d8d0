"""Sizing many models on many machines for many workloads: one question each, on all cores or a cluster."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import hardware
import planner
import profiles
from hardware.inspect import inspect_machine
from hardware.store import data_folder
from planner.api.machine_offers import named_machines, priced_machines
from planner.api.sizing import size
from planner.errors import PlannerError
from planner.progress import Progress
from planner.readers.workload_file import workload_of
from planner.readers.workload_writer import workload_fields
from planner.report.size_data import plan_data
from planner.sizing.offer import Deal
from planner.sizing.option import Plan
from planner.sizing.question import Quantization, SizingQuestion
from planner.sweep.cell import Answered, Cell, Data
from planner.sweep.foundations import Foundations
from planner.sweep.journal import Journal
from planner.sweep.processes import Processes
from planner.sweep.ray_cluster import RayCluster
from planner.sweep.runner import OneProcess, Runner, sweep
from planner.workload.workload import Workload
from profiles.loader import USER_FOLDER_VARIABLE, model_rows, user_folder

_KEPT: Final = (
    "machine", "accelerator", "n_gpus_per_machine", "n_machines", "n_spare_machines", "n_replicas", "n_gpus", "engine",
    "checkpoint", "storage", "quantization", "tensor_parallel", "pipeline_parallel", "expert_parallel",
    "attention_replicas", "capacity", "headroom", "utilisation_at_peak", "seen", "usd_per_month", "command",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepQuestion:
    """What is swept over; machines as for --on, none for all that have a price."""

    models: tuple[str, ...]
    workloads: tuple[Workload, ...]
    machines: tuple[str, ...] = ()
    deal: Deal = "on-demand"
    engines: tuple[str, ...] = ("vllm",)
    quantizations: tuple[Quantization, ...] = ("published", "fp8")
    n_spare_machines: int = 0
    n_requests: int = SizingQuestion().n_requests


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepWays:
    """Who works it out, and where answers are kept. No workers: all cores."""

    n_workers: int | None = None
    ray: str | None = None
    journal: Path | None = None


def sweep_sizes(
    question: SweepQuestion, ways: SweepWays | None = None, progress: Progress | None = None
) -> tuple[Answered, ...]:
    """One answer for each model, workload and machine, in that order; the same whoever works it out."""
    ways = ways or SweepWays()
    with ExitStack() as stack:
        journal = None
        if ways.journal is not None:
            journal = stack.enter_context(Journal(ways.journal, {"foundations": _foundations().digest()}))
        return sweep(_runner(ways), answer_cell, cells_of(question), journal, progress)


def cells_of(question: SweepQuestion) -> tuple[Cell, ...]:
    """Cells of one model stand together, so that a worker opens it once."""
    machines = question.machines or tuple(one.offer.description for one in priced_machines(question.deal))
    return tuple(
        Cell(
            question={
                "model": model,
                "workload": workload_fields(workload),
                "machine": machine,
                "deal": question.deal,
                "engines": list(question.engines),
                "quantizations": list(question.quantizations),
                "n_spare_machines": question.n_spare_machines,
                "n_requests": question.n_requests,
            }
        )
        for model in question.models
        for workload in question.workloads
        for machine in machines
    )


def answer_cell(question: Data) -> dict[str, Any]:
    """Sizes one model for one workload on one kind of machine: what workers run."""
    plan = size(
        question["model"],
        workload_of(question["workload"], "the workload"),
        SizingQuestion(
            engines=tuple(question["engines"]),
            quantizations=tuple(question["quantizations"]),
            n_spare_machines=question["n_spare_machines"],
            n_requests=question["n_requests"],
        ),
        machines=named_machines([question["machine"]], question["deal"]),
        are_named=True,
    )
    return _answer(plan)


def _answer(plan: Plan) -> dict[str, Any]:
    if plan.best is None:
        reasons = list(dict.fromkeys(f"{one.layout}: {one.reason}" for one in plan.rejections))
        return {"option": None, "reasons": reasons}
    option = plan_data(plan)["options"][0]
    return {"option": {key: option[key] for key in _KEPT}, "reasons": []}


def _runner(ways: SweepWays) -> Runner:
    if ways.ray is not None:
        if ways.n_workers is not None:
            raise PlannerError(
                "--ray gives the work to a cluster, --jobs to this machine's cores; give one of them"
            )
        return RayCluster(ways.ray, _foundations())
    n = ways.n_workers
    if n is None:
        cpu = inspect_machine().cpu
        n = 1 if cpu is None else cpu.n_usable_threads
    return OneProcess() if n == 1 else Processes(n)


def _foundations() -> Foundations:
    return Foundations(
        packages=[Path(package.__path__[0]) for package in (hardware, planner, profiles)],
        own={USER_FOLDER_VARIABLE: user_folder(), "PLANNER_DATA_DIR": data_folder()},
    )


def swept_models(texts: Sequence[str]) -> tuple[str, ...]:
    """Names of models, where a `*` stands for any letters of the catalogue's names; each once, in order."""
    all_models = [row["id"] for row in model_rows()]
    found: dict[str, None] = {}
    for text in texts:
        if "*" not in text:
            found[text] = None
            continue
        matching = [name for name in all_models if _matches(text, name)]
        if not matching:
            raise PlannerError(
                f"no model of the catalogue is called {text[:80]!r}; `planner models` lists them"
            )
        found |= dict.fromkeys(matching)
    return tuple(found)


def _matches(pattern: str, name: str) -> bool:
    return fnmatchcase(name, pattern.casefold())
