"""All of it for one model on one machine."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version

from hardware.spec import Machine
from planner.api.benchmarks import RATES_SHARE, BenchSettings, run_bench
from planner.api.inspecting import inspect
from planner.api.machines import bench_folder, machine_for, speed_facts
from planner.api.models import default_contexts, demo_model_path, described_models, open_model
from planner.bench.llama_cpp import engine_is_installed
from planner.bench.store import save_run
from planner.compare.own_capacity import capacity_tokens_per_month, sequential_tasks_per_s
from planner.compare.own_cost import own_cost
from planner.compare.token_mix import token_mix
from planner.engines.llama_cpp import LlamaCppFlags
from planner.estimate.expected_test import Expectation
from planner.estimate.fit import FitRow, fit_row
from planner.model.opened_model import OpenedModel
from planner.prices.api import reference_prices, same_model_prices
from planner.progress import Progress, stretch
from planner.report.full import FullReport, PricedApi, priced_api
from planner.workload.totals import expected_task
from planner.workload.workload import Workload

DEFAULT_TOKENS_PER_MONTH = 30_000_000.0
DEFAULT_OUTPUT_FRACTION = 0.25


def report(
    text: str | None = None,
    *,
    on: str | None = None,
    quant: str | None = None,
    tokens_per_month: float = DEFAULT_TOKENS_PER_MONTH,
    output_fraction: float = DEFAULT_OUTPUT_FRACTION,
    own_usd_per_month: float | None = None,
    power_w: float | None = None,
    usd_per_kwh: float | None = None,
    budget_s: float = 60.0,
    measure: bool = True,
    assume: Sequence[str] = (),
    progress: Progress | None = None,
) -> FullReport:
    """Inspects, reads, estimates, measures, prices and compares; the demo's model when none is named.

    Without an engine, without a local file or for a described machine nothing is measured, and the report
    says why.
    """
    moment = datetime.now(UTC)
    opened = open_model(text if text is not None else str(demo_model_path()), assume)
    machine = _report_machine(on, measure, progress)
    model = described_models(opened, (quant,) if quant else ())[0]
    contexts = default_contexts(opened)
    untouched = replace(speed_facts(machine)[0], local=None)
    before = fit_row(model, machine, LlamaCppFlags(n_context_tokens=contexts[0]), untouched)
    run, why_not = None, _why_not_measured(opened, is_here=on is None, measure=measure)
    if why_not is None and opened.path is not None:
        settings = BenchSettings(
            n_threads=None, budget_s=budget_s, n_gpu_layers=before.placement.split.n_gpu_layers
        )
        run = run_bench(model, opened.path, machine, settings, stretch(progress, RATES_SHARE, 0.95))
        save_run(run, bench_folder())
    expected = Expectation(model=model, placement=before.placement, machine=machine, facts=untouched)
    facts, notes = speed_facts(machine)
    rows = tuple(fit_row(model, machine, LlamaCppFlags(n_context_tokens=n), facts) for n in contexts)
    if progress is not None:
        progress(0.96, "pricing")
    workload = token_mix(tokens_per_month, output_fraction)
    own, own_note = own_cost(own_usd_per_month, power_w, usd_per_kwh)
    return FullReport(
        made_at=moment.isoformat(timespec="seconds"),
        planner_version=version("llm-capacity-planner"),
        machine=machine,
        opened=opened,
        before=before,
        rows=rows,
        run=run,
        workload=workload,
        capacity_tokens_per_month=_capacity(rows[0], workload),
        own_usd_per_month=own,
        own_cost_note=own_note,
        apis=_priced(workload, opened.name, moment),
        notes=(*opened.notes, *notes, *((why_not,) if why_not else ())),
        expected={} if run is None else expected.of_all(run.measurements),
    )


def _report_machine(on: str | None, measure: bool, progress: Progress | None) -> Machine:
    if on is not None:
        return machine_for(on)
    return inspect(measure=measure, progress=stretch(progress, 0.0, RATES_SHARE))


def _why_not_measured(opened: OpenedModel, *, is_here: bool, measure: bool) -> str | None:
    if not measure:
        return "nothing was measured, as asked"
    if not is_here:
        return "nothing was measured: the machine is described, not here"
    if opened.path is None:
        return f"nothing was measured: {opened.name} is not a GGUF file on this machine ({opened.source})"
    if not engine_is_installed():
        return "nothing was measured: the engine is missing; add it with `pip install llama-cpp-python`"
    return None


def _capacity(row: FitRow, workload: Workload) -> float | None:
    prefill, decode, full = (speed.tokens_per_s for speed in (row.prefill, row.decode, row.decode_full))
    if prefill is None or decode is None or full is None:
        return None
    task = expected_task(workload)
    rate = sequential_tasks_per_s(task, prefill, decode, full, row.placement.flags.n_context_tokens)
    return capacity_tokens_per_month(task, rate)


def _priced(workload: Workload, name: str, at: datetime) -> tuple[PricedApi, ...]:
    """Hosts of the same model, where there are any, and the reference prices."""
    chosen = {(price.provider, price.model_id): price for price in reference_prices(at=at)}
    chosen |= {(price.provider, price.model_id): price for price in same_model_prices(name, at=at)}
    found = [priced_api(price, workload, at) for price in chosen.values()]
    return tuple(sorted(found, key=lambda priced: priced.usd_per_month))
