"""The `llama-server` command line of a plan, and the plan of a command line."""

from dataclasses import replace

from planner.engines.ik_llama_cpp.command_line import ALL_LAYERS, CommandLine
from planner.engines.llama_cpp.flags import LlamaCppFlags
from planner.engines.llama_cpp.given_split import GivenSplit
from planner.engines.llama_cpp.split import Split, TensorOverride
from planner.errors import MalformedError, MissingFactError

PROGRAM = "llama-server"
_DEFAULT_UBATCH = 512
_DEFAULT_BATCH = 2048
# tools/server/server.cpp: without -np, four slots share one cache.
_DEFAULT_SLOTS = 4


def as_served(flags: LlamaCppFlags) -> LlamaCppFlags:
    """The flags as `llama-server` runs them: it asks for the logits of one token of every sequence, not of a batch.

    `server_output_limits` in tools/server/server-context.cpp, for models that write text and draft nothing.
    """
    return flags if flags.n_outputs is not None else replace(flags, n_outputs=flags.n_sequences)


def server_line(
    flags: LlamaCppFlags, split: Split, n_layers: int, *, model_file: str, has_gpu: bool
) -> CommandLine:
    """The arguments that give this plan.

    Everything that decides memory is written out where a newer or older build may have another default. All
    layers are written as 999, because files with extra prediction layers count those too.
    """
    line = CommandLine(
        program=PROGRAM,
        model=model_file,
        n_context_tokens=flags.n_context_tokens,
        n_sequences=flags.n_sequences,
        # With -np given, the server would give every slot a cache of its own.
        kv_unified=True if flags.n_sequences > 1 and flags.unified_cache else None,
        n_batch=None if flags.n_batch == _DEFAULT_BATCH else flags.n_batch,
        n_ubatch=None if flags.n_ubatch == _DEFAULT_UBATCH else flags.n_ubatch,
        k_type=None if flags.k_type == "F16" else flags.k_type,
        v_type=None if flags.v_type == "F16" else flags.v_type,
        swa_full=flags.swa_full,
        mmap=None if flags.mmap else False,
        repack=None if flags.repack else False,
        kv_offload=None if flags.kv_offload else False,
        op_offload=None if flags.op_offload else False,
        flash_attention="on" if flags.flash_attention else "off",
    )
    if not has_gpu:
        return line
    return replace(
        line,
        n_gpu_layers=ALL_LAYERS if split.n_gpu_layers > n_layers else split.n_gpu_layers,
        n_cpu_moe=split.n_cpu_moe or None,
        tensor_split=split.tensor_split or (),
        split_mode=None if split.mode == "layer" else split.mode,
        main_gpu=split.main_gpu if split.mode == "none" else split.main_gpu or None,
        overrides=tuple((override.pattern, override.device) for override in split.overrides),
    )


def flags_of(line: CommandLine, base: LlamaCppFlags, trained_tokens: int | None) -> LlamaCppFlags:
    """The flags that a command line gives, over `base` where it says nothing.

    Raises MissingFactError for a context of 0 (the model's own) when nobody knows what it was trained for.
    """
    n_context = line.n_context_tokens
    if n_context == 0:
        if trained_tokens is None:
            raise MissingFactError(
                "-c 0 means the context the model was trained for, which is unknown here; give it"
            )
        n_context = trained_tokens
    n_sequences = line.n_sequences or _DEFAULT_SLOTS
    return replace(
        base,
        n_context_tokens=base.n_context_tokens if n_context is None else n_context,
        n_sequences=n_sequences,
        unified_cache=bool(line.kv_unified) or line.n_sequences is None or n_sequences == 1,
        n_outputs=n_sequences,
        n_batch=line.n_batch or base.n_batch,
        n_ubatch=min(line.n_ubatch or base.n_ubatch, line.n_batch or base.n_batch),
        k_type=line.k_type or base.k_type,
        v_type=line.v_type or base.v_type,
        swa_full=line.swa_full,
        mmap=base.mmap if line.mmap is None else line.mmap,
        repack=base.repack if line.repack is None else line.repack,
        kv_offload=base.kv_offload if line.kv_offload is None else line.kv_offload,
        op_offload=base.op_offload if line.op_offload is None else line.op_offload,
        flash_attention=base.flash_attention
        if line.flash_attention is None
        else line.flash_attention != "off",
    )


def given_split_of(line: CommandLine) -> GivenSplit:
    """What a command line fixes about the placement; raises MalformedError for a mode the planner does not know."""
    mode = line.split_mode
    if mode == "graph":  # ik_llama.cpp's name for what mainline calls tensor
        mode = "tensor"
    if mode not in (None, "none", "layer", "row", "tensor"):
        raise MalformedError(
            f"-sm {mode} is not a split that is modelled; there are none, layer, row, tensor and graph"
        )
    return GivenSplit(
        n_gpu_layers=line.n_gpu_layers,
        n_cpu_moe=ALL_LAYERS if line.cpu_moe else line.n_cpu_moe,
        tensor_split=line.tensor_split or None,
        mode=mode,  # type: ignore[arg-type]
        main_gpu=line.main_gpu,
        overrides=tuple(TensorOverride(pattern=pattern, device=device) for pattern, device in line.overrides),
    )
