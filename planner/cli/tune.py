"""`planner tune`."""

from typing import Any

import click

from planner import api
from planner.cli.options import (
    TOKENS,
    CommaList,
    assume_option,
    format_option,
    mendable_errors,
    on_option,
    reference_argument,
)
from planner.cli.progress import patient_progress
from planner.cli.render import render
from planner.engines.tuning.adapters import GROUPS, MODULES
from planner.engines.tuning.optimizers import OPTIMIZERS
from planner.engines.tuning.settings import BaseType, TuningSettings
from planner.report.tune_document import tune_document


@click.command("tune")
@reference_argument()
@on_option
@click.option(
    "--method",
    type=click.Choice(("full", "lora", "qlora")),
    default="lora",
    show_default=True,
    help="Train all weights, adapters on plain weights, or adapters on quantized ones.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 65536),
    default=1,
    show_default=True,
    help="Sequences per GPU and forward pass.",
)
@click.option(
    "--length", type=TOKENS, default=2048, show_default=True, help="Tokens per sequence, such as 8k."
)
@click.option(
    "--rank", type=click.IntRange(1, 4096), default=16, show_default=True, help="Rank of the adapters."
)
@click.option(
    "--targets",
    default="all-linear",
    show_default=True,
    type=CommaList(click.Choice((*GROUPS, *MODULES)), "NAME[,…]"),
    help="What gets an adapter: all-linear, attention, mlp, qv, or modules such as q_proj,v_proj.",
)
@click.option(
    "--expert-adapters/--no-expert-adapters",
    default=True,
    show_default=True,
    help="Whether routed experts get adapters where the targets take them in.",
)
@click.option(
    "--base",
    type=click.Choice(("bf16", "fp32", "fp8", "int8", "nf4", "nf4-dq")),
    default=None,
    help="Frozen weights; bf16 for lora and nf4-dq, NF4 with double quantization, for qlora.",
)
@click.option(
    "--keep-16-bit/--keep-fp32",
    "keep_16_bit",
    default=None,
    help="Embeddings, head and norms of a quantized base; peft's prepare_model_for_kbit_training makes "
    "them FP32, which is the default for qlora.",
)
@click.option(
    "--plain-experts",
    is_flag=True,
    help="Routed experts stay in 16 bits with qlora, as bitsandbytes in transformers 5 leaves them.",
)
@click.option(
    "--precision",
    type=click.Choice(("master", "bf16", "amp")),
    default="master",
    show_default=True,
    help="Of full tuning: 16 bits with FP32 master weights, all in bf16, or FP32 with autocast.",
)
@click.option(
    "--optimizer",
    type=click.Choice(tuple(OPTIMIZERS)),
    default="adamw",
    show_default=True,
    help="What steps the weights; its state is often the largest part of full tuning.",
)
@click.option(
    "--checkpointing/--no-checkpointing",
    default=True,
    show_default=True,
    help="Keep one input per layer and compute the rest again.",
)
@click.option(
    "--attention",
    type=click.Choice(("flash", "eager")),
    default="flash",
    show_default=True,
    help="Flash or SDPA kernels, or all scores in memory.",
)
@click.option(
    "--kernels",
    type=click.Choice(("transformers", "liger")),
    default="transformers",
    show_default=True,
    help="Liger's fused norms and MLPs keep less.",
)
@click.option(
    "--loss",
    type=click.Choice(("whole", "chunked")),
    default="whole",
    show_default=True,
    help="All logits at once, or a slice at a time (Liger, cut cross-entropy).",
)
@click.option(
    "--accumulate",
    type=click.IntRange(1, 65536),
    default=1,
    show_default=True,
    help="Forward passes before the optimizer steps.",
)
@click.option(
    "--gpus",
    type=click.IntRange(1, 4096),
    default=None,
    help="GPUs that train together; all of the machine when --shard is given, else one.",
)
@click.option(
    "--shard",
    type=click.Choice(("none", "zero1", "zero2", "zero3", "fsdp")),
    default="none",
    show_default=True,
    help="What is divided over the GPUs.",
)
@click.option(
    "--offload",
    type=CommaList(click.Choice(("optimizer", "weights", "checkpoints")), "WHAT[,…]"),
    default=None,
    help="What lies in RAM instead.",
)
@click.option("--explain", is_flag=True, help="Show every term in bytes, with its basis.")
@assume_option
@format_option
@mendable_errors
def command(ref: str, on: str | None, **options: Any) -> None:
    """Say what fine-tuning a model needs, whether it fits, and what would have to give.

    The answer is what one GPU needs at the largest moment of a training step.

    \b
    Examples:
      planner tune qwen3-8b --on "RTX 4090" --method qlora --length 4k
      planner tune qwen3-8b --on "8x H100 SXM" --method full --shard fsdp
      planner tune qwen3-30b-a3b --on "RTX 4090" --targets attention
    """  # fmt: skip
    settings = _settings(options)
    all_gpus = options["gpus"] is None and options["shard"] != "none"
    with patient_progress("Reading") as progress:
        answer = api.tune(
            ref,
            settings=settings,
            on=on,
            all_gpus=all_gpus,
            quantizes_experts=not options["plain_experts"],
            assume=options["assume"],
            progress=progress,
        )
    document = tune_document(
        answer.machine,
        answer.opened,
        answer.estimate,
        answer.gpus,
        answer.ram_bytes,
        answer.limits,
        answer.alternatives,
        answer.notes,
        explain=options["explain"],
    )
    render(document, options["output_format"])


def _settings(options: dict[str, Any]) -> TuningSettings:
    method = options["method"]
    base: BaseType = options["base"] or ("nf4-dq" if method == "qlora" else "bf16")
    keep_16_bit = options["keep_16_bit"]
    if keep_16_bit is False and method != "qlora":
        raise click.UsageError("--keep-fp32 speaks of a quantized base; add --method qlora")
    offload = options["offload"] or ()
    if "checkpoints" in offload and not options["checkpointing"]:
        raise click.UsageError("--offload checkpoints needs --checkpointing")
    if "weights" in offload and options["shard"] not in ("zero3", "fsdp"):
        raise click.UsageError(
            "--offload weights needs --shard zero3 or fsdp, which fetch layers as they come"
        )
    try:
        return TuningSettings(
            method=method,
            n_sequences=options["batch"],
            n_tokens=options["length"],
            rank=options["rank"],
            targets=options["targets"],
            expert_adapters=options["expert_adapters"],
            base_type=base,
            keep_fp32=method == "qlora" and not keep_16_bit,
            precision=options["precision"],
            optimizer=options["optimizer"],
            checkpointing=options["checkpointing"],
            attention=options["attention"],
            kernels=options["kernels"],
            chunked_loss=options["loss"] == "chunked",
            n_accumulated=options["accumulate"],
            n_gpus=options["gpus"] or 1,
            sharding=options["shard"],
            offload=offload,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
