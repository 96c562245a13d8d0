"""`planner simulate`."""

from pathlib import Path
from typing import Any

import click

from hardware.errors import HardwareError
from hardware.interconnect import NetworkLink
from hardware.remote import parse_network
from planner import api
from planner.cli.apart_option import ApartWorkersType
from planner.cli.options import (
    TOKENS,
    assume_option,
    format_option,
    mendable_errors,
    on_option,
    reference_argument,
)
from planner.cli.progress import patient_progress
from planner.cli.render import render
from planner.cli.workload_options import WorkloadChoice, workload_options
from planner.engines.sharding import Parallel
from planner.model.presets import BASE_TYPES
from planner.report.simulation_document import simulation_document
from planner.sizing.question import Limits
from planner.sizing.simulated import SimulationQuestion


@click.command("simulate")
@reference_argument()
@on_option
@workload_options
@click.option("--engine", type=click.Choice(["vllm", "sglang", "llama.cpp"]), default="vllm", show_default=True,
              help="Whose scheduling and speed.")  # fmt: skip
@click.option("--replicas", type=click.IntRange(1, 10_000), default=1, show_default=True,
              help="Like deployments that share the load evenly.")  # fmt: skip
@click.option("--peak", is_flag=True, help="The busiest hour of the workload's week, not its mean.")
@click.option("--tp", type=click.IntRange(1, 1024), default=None,
              help="vllm, sglang: tensor-parallel GPUs; the fewest on which it starts when left out.")  # fmt: skip
@click.option("--pp", type=click.IntRange(1, 64), default=1, show_default=True,
              help="vllm, sglang: pipeline stages, beside --tp.")  # fmt: skip
@click.option("--apart", type=ApartWorkersType(), default=None,
              help="vllm, sglang: workers that read prompts and workers that decode, such as 1xtp4+2xtp8, in place of --tp.")  # fmt: skip
@click.option("--network", metavar="RATE ROUNDTRIP", default=None,
              help='The network between machines of --apart, such as "400Gbit/s 10us".')  # fmt: skip
@click.option("--quantize", type=click.Choice(["fp8"]), default=None,
              help="vllm: quantize 16-bit weights while loading.")  # fmt: skip
@click.option("--kv-cache-dtype", "cache_type", default="auto", show_default=True,
              help="vllm, sglang: the cache's type.")  # fmt: skip
@click.option("--max-seqs", type=click.IntRange(1, 65_536), default=None,
              help="vllm, sglang: requests in a batch at most; the engine's own when left out.")  # fmt: skip
@click.option("--max-batched-tokens", type=click.IntRange(1, 2_000_000), default=None,
              help="Tokens of a step at most (llama.cpp: -b); the engine's own when left out.")  # fmt: skip
@click.option("--slots", type=click.IntRange(1, 1024), default=None,
              help="llama.cpp: requests at once (-np); 4 when left out.")  # fmt: skip
@click.option("--unified", is_flag=True, help="llama.cpp: one cache for all slots (--kv-unified).")
@click.option("--quant", type=click.Choice(tuple(BASE_TYPES), case_sensitive=False), default=None,
              help="llama.cpp: the preset, where REF is not a GGUF.")  # fmt: skip
@click.option("--context", type=TOKENS, default=None,
              help="Longest request, prompt and answer; the workload's longest when left out.")  # fmt: skip
@click.option("--trace", type=click.Path(path_type=Path, dir_okay=False), default=None,
              help="A log's own requests at their own times, as many as --requests; --rps brings them closer or further apart.")  # fmt: skip
@click.option("--requests", "n_requests", type=click.IntRange(100, 200_000), default=2000, show_default=True,
              help="Requests of a run.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="The same tasks at the same times for the same seed.")  # fmt: skip
@assume_option
@format_option
@mendable_errors
def command(
    ref: str,
    on: str | None,
    workload: WorkloadChoice,
    engine: str,
    replicas: int,
    peak: bool,
    tp: int | None,
    pp: int,
    apart: Any,
    network: str | None,
    quantize: str | None,
    cache_type: str,
    max_seqs: int | None,
    max_batched_tokens: int | None,
    slots: int | None,
    unified: bool,
    quant: Any,
    context: int | None,
    trace: Path | None,
    n_requests: int,
    seed: int,
    assume: tuple[str, ...],
    output_format: str,
) -> None:
    """Serve a workload on a machine, simulated step by step.

    The engine's scheduler runs on the speed model's step times, at their low end, as expected and at their high end:
    times to the first token, per token and to the end, how full it is, whether the objectives hold, and the load at
    which they break.

    \b
    Examples:
      planner simulate llama-3.1-8b-instruct --on "H100 SXM" --workload chat --rps 6
      planner simulate llama-3.3-70b-instruct --on "4x H100 SXM" --tp 4 --users 64
      planner simulate llama-3.3-70b-instruct --on "8x H100 SXM" --apart 1xtp4+1xtp4 --rps 2
      planner simulate qwen3-8b --on "RTX 4090, 64GiB" --engine llama.cpp --slots 8 --rps 0.5
    """
    if engine == "llama.cpp":
        _refuse(engine, apart=apart, network=network)
        _refuse(engine, tp=tp, quantize=quantize, max_seqs=max_seqs, pp=None if pp == 1 else pp)
    else:
        _refuse(engine, slots=slots, unified=unified or None, quant=quant)
    if apart is not None and tp is not None:
        raise click.UsageError("--apart says how its workers are split; leave --tp out")
    if pp > 1 and tp is None:
        raise click.UsageError("--pp needs --tp beside it")
    question = SimulationQuestion(
        engine=engine,
        ranks=None if tp is None else Parallel(tensor=tp, pipeline=pp),
        apart=apart,
        quantize=quantize,
        cache_type=cache_type,
        limits=Limits(max_sequences=max_seqs, max_batched_tokens=max_batched_tokens),
        n_context_tokens=context,
        quant=quant,
        n_slots=slots or 4,
        unified_cache=unified,
        n_replicas=replicas,
        at_peak=peak,
        n_requests=n_requests,
        seed=seed,
    )
    with patient_progress("Simulating") as progress:
        answer = api.simulate(
            ref,
            workload.read(),
            question,
            on=on,
            network=_network(network),
            trace=trace,
            assume=assume,
            progress=progress,
        )
    render(simulation_document(answer), output_format)


def _network(text: str | None) -> NetworkLink | None:
    if text is None:
        return None
    try:
        return parse_network(text)
    except (ValueError, HardwareError) as error:
        raise click.UsageError(f"--network: {error}") from error


def _refuse(engine: str, **given: object) -> None:
    """Options of the other engines are no slip to pass over in silence."""
    wrong = [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None]
    if wrong:
        raise click.UsageError(f"{', '.join(wrong)} means nothing to {engine}; leave it out")
