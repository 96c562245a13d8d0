"""Does it fit, how fast, with which flags: one row per model, quantization and context."""

from dataclasses import dataclass

from hardware.spec import Machine
from planner.engines.llama_cpp import LlamaCppFlags
from planner.estimate.described_model import DescribedModel
from planner.estimate.placement import Placement, largest_context, place
from planner.estimate.speed import SpeedEstimate, SpeedFacts, decode_speed, prefill_speed

PROMPT_TOKENS = 512  # the prompt length that prompt speed is quoted for, as llama-bench does


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRow:
    """One model at one quantization and context on one machine."""

    model: DescribedModel
    placement: Placement
    decode: SpeedEstimate  # from an empty context, as llama-bench's tg tests
    decode_full: SpeedEstimate  # with the context full
    prefill: SpeedEstimate  # a prompt of PROMPT_TOKENS
    largest_context_tokens: int | None
    command: tuple[str, ...]


def fit_row(model: DescribedModel, machine: Machine, flags: LlamaCppFlags, facts: SpeedFacts) -> FitRow:
    """Places the model, then times it there."""
    placement = place(model, machine, flags)
    n_prompt = min(PROMPT_TOKENS, flags.n_context_tokens)
    return FitRow(
        model=model,
        placement=placement,
        decode=decode_speed(model, placement, machine, facts),
        decode_full=decode_speed(model, placement, machine, facts, flags.n_context_tokens),
        prefill=prefill_speed(model, placement, machine, facts, n_prompt),
        largest_context_tokens=largest_context(model, machine, flags, placement.split),
        command=server_command(model, placement),
    )


def server_command(model: DescribedModel, placement: Placement) -> tuple[str, ...]:
    """The `llama-server` arguments that give this placement."""
    flags = placement.flags
    file_name = model.file_name
    if file_name is None:  # the usual form, for a file that is not here yet
        file_name = f"{'-'.join(model.name.rpartition('/')[2].split())}-{model.storage.label}.gguf"
    words = ["llama-server", "-m", file_name]
    words += ["-c", str(flags.n_context_tokens), "-np", str(flags.n_sequences)]
    if flags.n_sequences > 1 and flags.unified_cache:
        words.append("-kvu")  # with -np given, the server would give every slot a cache of its own
    if any(load.device.is_gpu for load in placement.loads):
        words += ["-ngl", str(placement.split.n_gpu_layers)]
        if placement.split.n_cpu_moe:
            words += ["--n-cpu-moe", str(placement.split.n_cpu_moe)]
    if flags.n_ubatch != 512:
        words += ["-ub", str(flags.n_ubatch)]
    for option, type_name in (("-ctk", flags.k_type), ("-ctv", flags.v_type)):
        if type_name != "F16":
            words += [option, type_name.lower()]
    words += ["-fa", "on" if flags.flash_attention else "off"]
    return tuple(words)
