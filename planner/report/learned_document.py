"""`planner workload learn` as a document: what the log says, and how near the workload is to it."""

from pathlib import Path

from hardware.units import SECONDS_PER_HOUR
from planner.report.document import Document, Table
from planner.report.figures import percent
from planner.report.outside_text import plain
from planner.report.quantities import rate
from planner.report.workload_document import workload_data
from planner.workload.figures import workload_figures
from planner.workload.learned import Learned


def learned_document(learned: Learned, log: Path, out: Path | None) -> Document:
    """One learned workload."""
    workload = learned.workload
    ref = out.name if out is not None else "FILE"
    return Document(
        schema="planner.workload.learn/1",
        title=f"The workload of {plain(log.name)}",
        answer=_sentences(learned, out),
        tables=(_figures(learned), _nearness(learned)),
        commands=(f"planner simulate MODEL --on MACHINE --workload {ref}",) if out is not None else (),
        notes=learned.notes,
        data={
            **workload_data(workload),
            "n_requests": learned.n_requests,
            "n_left_out": learned.n_left_out,
            "span_s": learned.span_s,
            "distances": dict(learned.distances),
            "prompt_tokens_seen_before_fraction": learned.found_again,
            "cached_by_server_fraction": learned.cached_by_server,
            "file": None if out is None else str(out),
        },
    )


def _sentences(learned: Learned, out: Path | None) -> tuple[str, ...]:
    traffic = learned.workload.traffic
    left_out = f" ({learned.n_left_out:,} without an answer left out)" if learned.n_left_out else ""
    hours = f"{learned.span_s / SECONDS_PER_HOUR:,.3g} hours, {rate(traffic.tasks_per_s or 0.0)} per second"
    prompt, output = learned.workload.prompt.mean, learned.workload.output.mean
    lengths = f"prompts of {prompt:,.0f} tokens on average, answers of {output:,.0f}"
    said = [f"{learned.n_requests:,} requests{left_out} over {hours}: {lengths}."]
    if learned.found_again is not None:
        said.append(
            f"A prefix cache that forgets nothing would know {percent(learned.found_again)} of the prompts."
        )
    if learned.cached_by_server is not None:
        said.append(f"The server had {percent(learned.cached_by_server)} of the prompts in its cache.")
    if out is not None:
        said.append(f"Written to {plain(str(out))}.")
    else:
        said.append("Nothing was written; add --out FILE to use it.")
    return tuple(said)


def _figures(learned: Learned) -> Table:
    sources = {source.key: source for source in learned.workload.sources}
    return Table(
        title="Figures",
        headers=("key", "value", "basis"),
        rows=tuple(
            (key, plain(value), sources[key].basis if key in sources else "–")
            for key, value in workload_figures(learned.workload).items()
        ),
    )


def _nearness(learned: Learned) -> Table:
    return Table(
        title="Largest difference between the shares of lengths in the log and in the workload",
        headers=("length", "difference"),
        rows=tuple((name, percent(distance)) for name, distance in learned.distances),
        right=(1,),
    )
