"""What benchmarks on this machine teach the speed model: their tests as operators, and effects after them.

A run keeps the ideal seconds of its tests, at the rates that the machine had when it ran, so that its file need not be
there any more.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from hardware.spec import Machine
from planner.engines.llama_cpp import LlamaCppFlags
from planner.errors import MissingFactError
from planner.estimate.described_model import DescribedModel
from planner.estimate.local import same_place
from planner.estimate.measurement import BenchRun, IdealTime, Measurement
from planner.estimate.modelled_speed import (
    decode_case,
    machine_layout,
    placed_layout,
    prefill_case,
    working_threads,
)
from planner.estimate.placement import place
from planner.speed.factors import Case, Factors
from planner.speed.operator_facts import OPERATORS
from planner.speed.operator_time import OperatorTime
from planner.speed.operators import Layout
from planner.speed.sample import Sample
from planner.speed.setting import Setting
from planner.speed.updating import updated

_MOST_RUNS = 24  # the newest of each file and place; more would add little and take longer


def with_operators(run: BenchRun, model: DescribedModel, machine: Machine) -> BenchRun:
    """The run with the operators of its tests.

    As it was where the speed model does not know the device, or estimates are for another place or number of threads.
    """
    flags = LlamaCppFlags(
        n_context_tokens=run.n_context_tokens, n_ubatch=run.n_ubatch, flash_attention=run.flash_attention
    )
    placement = place(model, machine, flags)
    on_processor = not placement.split.n_gpu_layers
    other_threads = machine.cpu is not None and run.n_threads != working_threads(machine.cpu)
    if not same_place(run, placement) or (on_processor and other_threads):
        return run
    try:
        layout = placed_layout(placement, machine)
    except MissingFactError:
        return run
    measurements = tuple(
        replace(item, operators=_ideal_times(_case(item, model, layout, flags)))
        if _teaches(item, on_processor=on_processor)
        else item
        for item in run.measurements
    )
    return replace(
        run, measurements=measurements, model_key=model.work.key, architecture=model.work.architecture
    )


def taught_by_runs(factors: Factors, runs: Sequence[BenchRun], machine: Machine) -> Factors:
    """Effects after the benchmarks of this machine; the same where none of them says anything."""
    newest: dict[tuple[str, str, bool], BenchRun] = {}
    for run in runs:
        key = (run.model_fingerprint, run.backend, run.n_gpu_layers == 0)
        # What a server took says less of the operators than what the library took.
        if run.model_key and (key not in newest or newest[key].is_served or not run.is_served):
            newest[key] = run if key not in newest else _with_tests_of(run, newest[key])
    samples = [sample for run in list(newest.values())[-_MOST_RUNS:] for sample in _samples(run, machine)]
    if not samples:
        return factors
    effects = factors.effects
    for phase in ("decode", "prefill"):
        of_phase = [sample for sample in samples if sample.case.phase == phase]
        if of_phase:
            effects = updated(effects, of_phase)
    return replace(factors, effects=effects, before=factors)


def _with_tests_of(run: BenchRun, before: BenchRun) -> BenchRun:
    """A run with those tests of an earlier one that it did not repeat; a server's are worth less than none."""
    if before.is_served and not run.is_served:
        return run
    names = {item.name for item in run.measurements}
    older = tuple(
        item
        for item in before.measurements
        if item.name not in names and _teaches(item, on_processor=_on_processor(before))
    )
    return replace(run, measurements=(*run.measurements, *older))


def _teaches(item: Measurement, *, on_processor: bool) -> bool:
    """Whether it was measured, with the run's own threads, of one sequence or on a processor.

    There several sequences go through the same kernels; on GPUs what they cost was fitted apart (`batched_fit`).
    """
    return (item.n_sequences == 1 or on_processor) and item.n_threads is None and item.low_s is None


def _on_processor(run: BenchRun) -> bool:
    return run.backend == "CPU" or run.n_gpu_layers == 0


def _case(item: Measurement, model: DescribedModel, layout: Layout, flags: LlamaCppFlags) -> Case:
    if item.phase == "decode":
        depth = item.n_depth_tokens + item.n_generated_tokens // 2
        return decode_case(model.work, layout, flags, depth, item.n_sequences)
    return prefill_case(model.work, layout, flags, item.n_prompt_tokens, item.n_depth_tokens)


def _ideal_times(case: Case) -> tuple[IdealTime, ...]:
    return tuple(
        IdealTime(
            operator=time.operator, type_class=time.type_class, gpu=time.device, ideal_s=float(time.ideal_s)
        )
        for time in case.operators
    )


def _samples(run: BenchRun, machine: Machine) -> list[Sample]:
    try:
        layout = machine_layout(machine, on_gpu=not _on_processor(run))
    except MissingFactError:
        return []
    found = []
    for item in run.measurements:
        if (
            not item.operators
            or not _teaches(item, on_processor=_on_processor(run))
            or not all(_is_known(time, layout) for time in item.operators)
        ):
            continue
        case = Case(
            phase=item.phase,
            operators=tuple(
                OperatorTime(
                    device=time.gpu, operator=time.operator, type_class=time.type_class, ideal_s=time.ideal_s
                )
                for time in item.operators
            ),
            layout=layout,
            setting=Setting(flash_attention=run.flash_attention),
            model_key=run.model_key,
            architecture=run.architecture,
        )
        n_tokens = item.n_prompt_tokens if item.phase == "prefill" else item.n_sequences
        found.append(
            Sample(
                case=case,
                measured_s=n_tokens / item.quartile_tokens_per_s,
                cell=f"{run.model_fingerprint} {run.backend} {item.phase}",
                device=run.machine_fingerprint,
            )
        )
    return found


def _is_known(time: IdealTime, layout: Layout) -> bool:
    """Whether this planner has the operator, and the machine the device; files of other times may have others."""
    where = -1 <= time.gpu < len(layout.gpus) and (time.gpu >= 0 or layout.host is not None)
    # Runs of before 2026-11-28 put four types in one class, whose kernels on processors are five times apart.
    told_apart = time.gpu >= 0 or time.type_class != "legacy"
    return time.operator in OPERATORS and where and told_apart and 0 <= time.ideal_s < math.inf
