"""A plan for the fork survives the way to a command line and back."""

import random

from planner.engines.ik_llama_cpp.command_line import ALL_LAYERS, arguments, parse, parse_tokens
from planner.engines.ik_llama_cpp.flags import IkFlags
from planner.engines.ik_llama_cpp.server_command import ik_flags_of, ik_server_line
from planner.engines.llama_cpp.server_command import given_split_of
from planner.engines.llama_cpp.split import Split, TensorOverride

BASE = IkFlags(n_context_tokens=4096)


def test_the_printed_command_gives_the_same_plan() -> None:
    rng = random.Random(3)
    for _ in range(200):
        flash = rng.random() < 0.7
        repack = rng.random() < 0.3
        flags = IkFlags(
            n_context_tokens=rng.choice([512, 32_768, 163_840]),
            n_batch=rng.choice([512, 2048, 4096]),
            n_ubatch=rng.choice([256, 512]),
            n_sequences=rng.choice([1, 2, 4]),
            k_type=rng.choice(["F16", "Q8_0", "Q6_0"]),
            v_type=rng.choice(["F16", "Q8_0"]) if flash else "F16",
            flash_attention=flash,
            mmap=False if repack else rng.random() < 0.5,
            kv_offload=rng.random() < 0.8,
            mla=rng.choice([None, 0, 1, 2, 3]),
            attention_max_batch_mib=rng.choice([None, 0, 512]),
            fused_moe=rng.choice([None, True, False]),
            run_time_repack=repack,
        )
        split = Split(
            n_gpu_layers=rng.choice([0, 20, 62]),
            n_cpu_moe=rng.choice([0, 58]),
            tensor_split=rng.choice([None, (1.0, 2.5)]),
            overrides=rng.choice([(), (TensorOverride(pattern=r"blk\.3\..*_exps", device="CUDA0"),)]),
        )
        line = ik_server_line(flags, split, 61, model_file="m.gguf", has_gpu=True)
        read = parse_tokens(arguments(line))
        assert read == line
        assert ik_flags_of(read, BASE, None) == flags
        assert given_split_of(read).settled(61) == split
        assert "-kvu" not in arguments(line) and "--no-repack" not in arguments(line)


def test_a_bare_command_takes_the_builds_defaults() -> None:
    now = ik_flags_of(parse("llama-server -m a -c 8192 -ngl 99"), BASE, None)
    assert now.flash_attention and now.fused_moe_used and now.mla_used == 3
    assert now.attention_max_batch_used_mib == 256
    # Before build 3928 (2025-10-25) flash attention and -fmoe were asked for, before 3983 -mla was 0.
    before = ik_flags_of(parse("llama-server -m a -c 8192"), IkFlags(n_context_tokens=1, build=3900), None)
    assert not before.flash_attention and not before.fused_moe_used and before.mla_used == 0
    assert before.n_sequences == 1


def test_all_layers_are_written_as_more_than_any_model_has() -> None:
    line = ik_server_line(BASE, Split(n_gpu_layers=62), 61, model_file="m", has_gpu=True)
    assert line.n_gpu_layers == ALL_LAYERS
