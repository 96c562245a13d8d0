"""`planner fit`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hardware.remote import LentMachines
from planner import api
from planner.cli.drafting_options import drafting_options
from planner.cli.ollama_options import answer_ollama
from planner.cli.options import (
    TOKENS,
    CommaList,
    assume_option,
    format_option,
    mendable_errors,
    on_option,
    reference_argument,
)
from planner.cli.placement_options import Wanted, placement_options
from planner.cli.progress import patient_progress
from planner.cli.render import render
from planner.cli.rpc_options import rpc_options
from planner.cli.serving_options import ServingOptions, answer_serving, serving_options
from planner.engines.llama_cpp import LlamaCppFlags
from planner.estimate.catalogue import CATALOGUE_CONTEXT
from planner.model.presets import BASE_TYPES
from planner.progress import Progress
from planner.report.catalogue_table_document import catalogue_table_document
from planner.report.document import Document
from planner.report.engine_section import with_engine_answers
from planner.report.fit_document import SHOWN_MODELS, catalogue_document, fit_document
from planner.report.fleet_document import fleet_answers_document

if TYPE_CHECKING:  # a list of the catalogue needs little of what these are made of
    from planner.api.catalogue_fit import CatalogueAnswer
    from planner.api.fitting import FitAnswer
    from planner.engines.llama_cpp.asked_drafting import AskedDrafting

_UBATCH = 512
_EVERY = "all"  # quantization
_CACHE_TYPES = ("F16", "BF16", "F32", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "IQ4_NL")


@click.command("fit")
@reference_argument(required=False)
@on_option
@click.option(
    "--context",
    "contexts",
    type=CommaList(TOKENS, "TOKENS[,…]"),
    default=None,
    help="Contexts to size for, such as 8k,64k.",
)
@click.option(
    "--quant",
    "quants",
    default=None,
    type=CommaList(click.Choice((*BASE_TYPES, _EVERY), case_sensitive=False), "PRESET[,…]"),
    help="GGUF presets to predict, such as Q4_K_M,Q8_0; a GGUF file has its own. Without REF also: all but the ternary ones.",
)
@click.option(
    "--kv-type",
    type=click.Choice(_CACHE_TYPES, case_sensitive=False),
    default="F16",
    show_default=True,
    help="Type of the KV cache.",
)
@click.option(
    "--sequences",
    "--parallel",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Requests served at once; they share the context.",
)
@click.option(
    "--ubatch",
    type=click.IntRange(1, 65536),
    default=_UBATCH,
    show_default=True,
    help="Tokens computed at once while reading a prompt.",
)
@click.option(
    "--flash-attention/--no-flash-attention",
    default=True,
    show_default=True,
    help="Attention that never holds all scores at once; a quantized KV cache needs it.",
)
@mendable_errors  # above what reads a pasted command line, which may be at fault too
@serving_options
@placement_options
@click.option(
    "--mmproj",
    type=click.Path(path_type=Path),
    default=None,
    help="A projector file that is to run beside the model.",
)
@drafting_options
@rpc_options
@click.option(
    "--all", "show_all", is_flag=True, help="Without REF: show every model that fits, not the first 20."
)
@click.option("--explain", is_flag=True, help="Show the terms that each speed is made of.")
@click.option(
    "--exact",
    is_flag=True,
    help="Ask llama.cpp itself, without loading anything, and show its memory beside ours.",
)
@assume_option
@format_option
def command(
    ref: str | None,
    on: str | None,
    contexts: tuple[int, ...] | None,
    quants: tuple[str, ...] | None,
    kv_type: str,
    sequences: int,
    ubatch: int,
    flash_attention: bool,
    wanted: Wanted,
    mmproj: Path | None,
    drafting: "AskedDrafting | None",
    lent: LentMachines | None,
    show_all: bool,
    explain: bool,
    exact: bool,
    assume: tuple[str, ...],
    output_format: str,
    serving: ServingOptions,
) -> None:
    """Say whether a model fits, what lies where, how fast it runs and with which flags.

    Without REF: the catalogue's models that fit, best first. With several contexts or quantizations: all of them at
    each (at every quantization, unless some are named), whole in RAM or on the fastest GPU.

    \b
    Examples:
      planner fit
      planner fit --context 4k,16k,64k,128k --on "RTX 4090, 64GiB"
      planner fit qwen3-30b-a3b --on "RTX 4090, 64GiB DDR5-5600" --context 8k,64k
      planner fit qwen3-30b-a3b --on fleet:machines/
      planner fit model.gguf --exact --on "2x RTX 4090, 64GiB"
      planner fit qwen3-30b-a3b --engine ollama --on "RTX 4090, 64GiB"
      planner fit llama-3.3-70b-instruct --engine vllm --on "4x H100 SXM"
      planner fit qwen3-30b-a3b --on "RTX 3060, 64GiB" --n-cpu-moe 30
      planner fit qwen2.5-32b-instruct --on "RTX 4090" --draft qwen2.5-0.5b-instruct --draft-quant Q8_0
      planner fit llama-3.1-8b-instruct --on "RTX 4090" --parallel 8
      planner fit llama-3.3-70b-instruct --on "RTX 4090, 64GiB" --rpc "RTX 3090" --network "10GbE 0.2ms"
      planner fit --command "llama-server -m model.gguf -c 32768 -ngl 20"
    """
    if exact and (mmproj is not None or drafting is not None):
        raise click.UsageError("--exact asks about the model alone; leave out --mmproj, --draft and --mtp")
    if (
        lent is not None
        and lent.machines
        and (serving.is_serving or serving.engine == "ollama" or exact or ref is None)
    ):
        raise click.UsageError(
            "--rpc is llama.cpp's, for one named model, and --exact asks about one machine"
        )
    if serving.is_serving:
        if exact or wanted != Wanted():
            raise click.UsageError(
                "--exact, placement options and --command are llama.cpp's; leave them out with --engine"
            )
        network = None if lent is None else lent.network
        render(answer_serving(ref, on, contexts or (), assume, serving, network), output_format)
        return
    if serving.engine == "ollama":
        document = answer_ollama(
            ref, on, contexts or (), quants or (), wanted, serving.engine_version, assume
        )
        render(document, output_format)
        return
    fleet = api.fleet_for(on)
    if fleet is not None and lent is not None:
        raise click.UsageError("--rpc adds machines to one; name that machine with --on")
    if ref is None and wanted.command is not None:
        ref = wanted.command.model
        if ref is None:
            raise click.UsageError("the command line names no model with -m; give REF")
    if ref is None:
        if exact:
            raise click.UsageError("--exact asks about one model; name it")
        if assume or not wanted.given.is_free:
            raise click.UsageError("--assume and placement options speak of one model; name it")
        if quants or (contexts is not None and len(contexts) > 1):
            if fleet is not None:
                raise click.UsageError(
                    "several contexts or quantizations of the catalogue are for one machine"
                )
            if kv_type != "F16" or ubatch != _UBATCH or not flash_attention:
                raise click.UsageError(
                    "the catalogue is planned with the engine's usual options; name a model"
                )
            with patient_progress("Catalogue") as progress:
                table = api.fit_catalogue_table(
                    on=on,
                    contexts=contexts or (CATALOGUE_CONTEXT,),
                    quants=() if _EVERY in (quants or ()) else quants or (),
                    n_sequences=sequences,
                    progress=progress,
                )
            render(
                catalogue_table_document(
                    table, n_shown=None if show_all else SHOWN_MODELS, whole=output_format == "json"
                ),
                output_format,
            )
            return
        n = contexts[0] if contexts else CATALOGUE_CONTEXT

        def listing(found: "CatalogueAnswer") -> Document:
            return catalogue_document(
                found.machine,
                found.n_context_tokens,
                found.rows,
                found.n_too_large,
                found.notes,
                n_shown=None if show_all else SHOWN_MODELS,
            )

        with patient_progress("Catalogue") as progress:
            if fleet is None:
                document = listing(api.fit_catalogue(on=on, n_context_tokens=n, progress=progress))
            else:
                kinds = api.fit_catalogue_fleet(fleet=fleet, n_context_tokens=n, progress=progress)
                document = fleet_answers_document(fleet, [(group, listing(found)) for group, found in kinds])
    else:
        if show_all:
            raise click.UsageError("--all is for the catalogue; leave out the model's name")
        if _EVERY in (quants or ()):
            raise click.UsageError("all quantizations at once are for the catalogue; name some")
        if not flash_attention and kv_type not in ("F16", "BF16", "F32"):
            raise click.UsageError("a quantized KV cache needs flash attention")
        if wanted.given.mode == "tensor" and (not flash_attention or kv_type not in ("F16", "BF16", "F32")):
            raise click.UsageError(
                "--split-mode tensor needs flash attention and a KV cache that is not quantized"
            )
        flags = LlamaCppFlags(
            n_context_tokens=1, n_ubatch=ubatch, n_sequences=sequences, k_type=kv_type, v_type=kv_type,
            flash_attention=flash_attention,
        )  # fmt: skip

        def one(answer: "FitAnswer", progress: Progress) -> Document:
            document = fit_document(
                answer.machine,
                answer.opened,
                answer.rows,
                answer.notes,
                own_choices=answer.own_choices,
                concessions=answer.concessions,
                explain=explain,
            )
            if not exact:
                return document
            found = api.exact(answer, progress=progress)
            return with_engine_answers(document, found.rows, found.decision)

        with patient_progress("Reading") as progress:
            if fleet is None:
                document = one(
                    api.fit(
                        ref,
                        on=on,
                        contexts=contexts or (),
                        quants=quants or (),
                        flags=flags,
                        given=wanted.given,
                        command=wanted.command,
                        mmproj=mmproj,
                        drafting=drafting,
                        lent=lent,
                        assume=assume,
                        progress=progress,
                    ),
                    progress,
                )
            else:
                answers = api.fit_fleet(
                    ref,
                    fleet=fleet,
                    contexts=contexts or (),
                    quants=quants or (),
                    flags=flags,
                    given=wanted.given,
                    command=wanted.command,
                    mmproj=mmproj,
                    drafting=drafting,
                    assume=assume,
                    progress=progress,
                )
                document = fleet_answers_document(
                    fleet, [(group, one(found, progress)) for group, found in answers]
                )
    render(document, output_format)
