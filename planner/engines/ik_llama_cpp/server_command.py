"""The `llama-server` command line of a plan for ik_llama.cpp, and the plan of a command line."""

from dataclasses import replace

from planner.engines.ik_llama_cpp.command_line import CommandLine
from planner.engines.ik_llama_cpp.flags import IkFlags
from planner.engines.llama_cpp.server_command import flags_of, server_line
from planner.engines.llama_cpp.split import Split


def ik_server_line(
    flags: IkFlags, split: Split, n_layers: int, *, model_file: str, has_gpu: bool
) -> CommandLine:
    """The arguments that give this plan: llama.cpp's without those that the fork lacks, and its own.

    All sequences share one cache here, so nothing needs saying of that; weights are repacked only by -rtr.
    """
    line = server_line(flags, split, n_layers, model_file=model_file, has_gpu=has_gpu)
    return replace(
        line,
        kv_unified=None,
        repack=None,
        op_offload=None,
        swa_full=False,
        mmap=None if flags.run_time_repack else line.mmap,
        mla=flags.mla,
        attention_max_batch_mib=flags.attention_max_batch_mib,
        fused_moe=flags.fused_moe,
        run_time_repack=flags.run_time_repack,
    )


def ik_flags_of(line: CommandLine, base: IkFlags, trained_tokens: int | None) -> IkFlags:
    """The flags that a command line gives, over `base` where it says nothing; one sequence without -np.

    Raises MissingFactError for a context of 0 (the model's own) when nobody knows what it was trained for.
    """
    shared = flags_of(replace(line, n_sequences=line.n_sequences or 1), base, trained_tokens)
    if not isinstance(shared, IkFlags):
        raise TypeError("flags_of keeps the kind of its base")
    flash = line.flash_attention
    on = shared.era.fast_by_default if flash is None else flash != "off"
    return replace(
        shared,
        unified_cache=True,
        n_outputs=base.n_outputs,  # the fork's server sets no limit
        flash_attention=on,
        v_type=shared.v_type if on or shared.v_type in ("F16", "F32", "BF16") else "F16",
        mmap=shared.mmap and not line.run_time_repack,
        mla=base.mla if line.mla is None else line.mla,
        attention_max_batch_mib=(
            base.attention_max_batch_mib
            if line.attention_max_batch_mib is None
            else line.attention_max_batch_mib
        ),
        fused_moe=base.fused_moe if line.fused_moe is None else line.fused_moe,
        run_time_repack=line.run_time_repack,
    )
