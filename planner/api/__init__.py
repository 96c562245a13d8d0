"""What the planner can do, one function per use case: joins the readers and probes to the formulas.

Every function takes plain arguments and returns frozen records; nothing here prints or formats.
`progress`, where there is one, is called with the part done (0 to 1) and a short text.

Each use case lives in a module of its own, imported when it is first asked for: `planner fit` should not
wait for the benchmark and the price list to load.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planner.api.benchmarks import BenchAnswer, BenchSettings, bench
    from planner.api.catalogue import list_models
    from planner.api.catalogue_fit import CatalogueAnswer, fit_catalogue
    from planner.api.catalogue_table import fit_catalogue_table
    from planner.api.comparing import CompareQuestion, compare_costs
    from planner.api.cost_questions import cost_agent, cost_levers, cost_pipeline, cost_solved
    from planner.api.deciding import benchmarks_known, choose
    from planner.api.deploying import buying, emit, proof_command
    from planner.api.engine_plans import exact
    from planner.api.evaluating import evaluate
    from planner.api.fitting import FitAnswer, fit
    from planner.api.fleet_sources import gather_fleet
    from planner.api.fleets import fit_catalogue_fleet, fit_fleet
    from planner.api.inspecting import inspect
    from planner.api.llama_cpp_factors import speed_factors, speed_spreads
    from planner.api.load_testing import keep_load, load_test
    from planner.api.machine_offers import offered_machines
    from planner.api.machines import (
        bench_folder,
        fleet_for,
        machine_for,
        speed_facts,
    )
    from planner.api.measurement_files import Given
    from planner.api.model_cards import open_model_with_card
    from planner.api.models import default_contexts, demo_model_path, described_models, open_model
    from planner.api.ollama_bench import bench_in_ollama
    from planner.api.ollama_fit import fit_ollama
    from planner.api.own_calibration import (
        calibrate_own,
        choose_calibration,
        list_calibrations,
        own_run_files,
    )
    from planner.api.own_models import add_model, remove_model, update_models
    from planner.api.price_updating import update_prices
    from planner.api.pricing import price_history, price_of_call, price_table, prices
    from planner.api.reporting import DEFAULT_OUTPUT_FRACTION, DEFAULT_TOKENS_PER_MONTH, report
    from planner.api.serving_apart_fit import fit_apart
    from planner.api.serving_fit import fit_sglang, fit_vllm
    from planner.api.simulating import simulate
    from planner.api.sizing import size
    from planner.api.speed_calibration import calibrate_speed, write_speed_calibration
    from planner.api.stored_runs import (
        StoredLoad,
        StoredRun,
        import_runs,
        list_loads,
        list_runs,
        remove_runs,
        stored_run,
        this_machine,
    )
    from planner.api.sweeping import sweep_sizes, swept_models
    from planner.api.synthetic import DEFAULT_DISK_BYTES, bench_synthetic, plan_synthetic_bench
    from planner.api.tuning import TuneAnswer, tune
    from planner.api.validating import MemoryValidation, validate_memory
    from planner.api.validating_speed import SpeedValidation, validate_speed
    from planner.api.workloads import learn_workload, list_workloads, workload_for, workload_names
    from planner.estimate.catalogue import CATALOGUE_CONTEXT

_MODULES = {
    "inspect": "inspecting",
    "machine_for": "machines",
    "fleet_for": "machines",
    "gather_fleet": "fleet_sources",
    "fit_fleet": "fleets",
    "fit_catalogue_fleet": "fleets",
    "speed_facts": "machines",
    "bench_folder": "machines",
    "open_model": "models",
    "open_model_with_card": "model_cards",
    "demo_model_path": "models",
    "default_contexts": "models",
    "described_models": "models",
    "CATALOGUE_CONTEXT": "catalogue_fit",
    "CatalogueAnswer": "catalogue_fit",
    "FitAnswer": "fitting",
    "evaluate": "evaluating",
    "fit": "fitting",
    "exact": "engine_plans",
    "fit_catalogue": "catalogue_fit",
    "fit_catalogue_table": "catalogue_table",
    "list_models": "catalogue",
    "add_model": "own_models",
    "update_models": "own_models",
    "update_prices": "price_updating",
    "remove_model": "own_models",
    "BenchAnswer": "benchmarks",
    "BenchSettings": "benchmarks",
    "bench": "benchmarks",
    "keep_load": "load_testing",
    "load_test": "load_testing",
    "bench_in_ollama": "ollama_bench",
    "DEFAULT_DISK_BYTES": "synthetic",
    "plan_synthetic_bench": "synthetic",
    "bench_synthetic": "synthetic",
    "StoredLoad": "stored_runs",
    "StoredRun": "stored_runs",
    "list_loads": "stored_runs",
    "import_runs": "stored_runs",
    "list_runs": "stored_runs",
    "stored_run": "stored_runs",
    "remove_runs": "stored_runs",
    "this_machine": "stored_runs",
    "fit_ollama": "ollama_fit",
    "fit_apart": "serving_apart_fit",
    "fit_sglang": "serving_fit",
    "fit_vllm": "serving_fit",
    "benchmarks_known": "deciding",
    "choose": "deciding",
    "CompareQuestion": "comparing",
    "compare_costs": "comparing",
    "cost_agent": "cost_questions",
    "cost_levers": "cost_questions",
    "cost_pipeline": "cost_questions",
    "cost_solved": "cost_questions",
    "buying": "deploying",
    "emit": "deploying",
    "proof_command": "deploying",
    "offered_machines": "machine_offers",
    "size": "sizing",
    "price_history": "pricing",
    "price_of_call": "pricing",
    "price_table": "pricing",
    "prices": "pricing",
    "DEFAULT_OUTPUT_FRACTION": "reporting",
    "DEFAULT_TOKENS_PER_MONTH": "reporting",
    "report": "reporting",
    "Given": "measurement_files",
    "calibrate_own": "own_calibration",
    "choose_calibration": "own_calibration",
    "list_calibrations": "own_calibration",
    "own_run_files": "own_calibration",
    "simulate": "simulating",
    "calibrate_speed": "speed_calibration",
    "speed_factors": "llama_cpp_factors",
    "speed_spreads": "llama_cpp_factors",
    "write_speed_calibration": "speed_calibration",
    "TuneAnswer": "tuning",
    "tune": "tuning",
    "MemoryValidation": "validating",
    "SpeedValidation": "validating_speed",
    "validate_memory": "validating",
    "validate_speed": "validating_speed",
    "sweep_sizes": "sweeping",
    "swept_models": "sweeping",
    "learn_workload": "workloads",
    "workload_for": "workloads",
    "workload_names": "workloads",
    "list_workloads": "workloads",
}
__all__ = [
    "CATALOGUE_CONTEXT",
    "DEFAULT_DISK_BYTES",
    "DEFAULT_OUTPUT_FRACTION",
    "DEFAULT_TOKENS_PER_MONTH",
    "BenchAnswer",
    "BenchSettings",
    "CatalogueAnswer",
    "CompareQuestion",
    "FitAnswer",
    "Given",
    "MemoryValidation",
    "SpeedValidation",
    "StoredLoad",
    "StoredRun",
    "TuneAnswer",
    "add_model",
    "bench",
    "bench_folder",
    "bench_in_ollama",
    "bench_synthetic",
    "benchmarks_known",
    "buying",
    "calibrate_own",
    "calibrate_speed",
    "choose",
    "choose_calibration",
    "compare_costs",
    "cost_agent",
    "cost_levers",
    "cost_pipeline",
    "cost_solved",
    "default_contexts",
    "demo_model_path",
    "described_models",
    "emit",
    "evaluate",
    "exact",
    "fit",
    "fit_apart",
    "fit_catalogue",
    "fit_catalogue_fleet",
    "fit_catalogue_table",
    "fit_fleet",
    "fit_ollama",
    "fit_sglang",
    "fit_vllm",
    "fleet_for",
    "gather_fleet",
    "import_runs",
    "inspect",
    "keep_load",
    "learn_workload",
    "list_calibrations",
    "list_loads",
    "list_models",
    "list_runs",
    "list_workloads",
    "load_test",
    "machine_for",
    "offered_machines",
    "open_model",
    "open_model_with_card",
    "own_run_files",
    "plan_synthetic_bench",
    "price_history",
    "price_of_call",
    "price_table",
    "prices",
    "proof_command",
    "remove_model",
    "remove_runs",
    "report",
    "simulate",
    "size",
    "speed_factors",
    "speed_facts",
    "speed_spreads",
    "stored_run",
    "sweep_sizes",
    "swept_models",
    "this_machine",
    "tune",
    "update_models",
    "update_prices",
    "validate_memory",
    "validate_speed",
    "workload_for",
    "workload_names",
    "write_speed_calibration",
]


def __getattr__(name: str) -> Any:
    """Looks a use case up in its module (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"planner.api.{_MODULES[name]}"), name)
