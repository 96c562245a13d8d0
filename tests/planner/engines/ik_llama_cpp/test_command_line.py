"""A command line says what it says, whatever was pasted around it, and survives the way out and back."""

import random
from dataclasses import fields
from typing import Any

import pytest

from planner.engines.ik_llama_cpp.command_line import (
    ALL_LAYERS,
    CommandLine,
    arguments,
    merged,
    parse,
    parse_tokens,
    quoted,
)
from planner.errors import MalformedError


def test_a_pasted_line_with_prompt_environment_and_quotes() -> None:
    # ik_llama.cpp discussion 357, shortened: a variable in front, patterns in quotes, flags without values.
    line = parse(
        'CUDA_VISIBLE_DEVICES="0" ./build/bin/llama-sweep-bench -m /a/Qwen3-235B.gguf -c 16384 -t 48 -fa -rtr '
        r'-fmoe -ctk q8_0 -ctv q8_0 -ngl 99 -ot "blk\.(0|1)\.ffn.*=CUDA0" -ot "exps=CPU"'
    )
    assert line == CommandLine(
        program="llama-sweep-bench",
        model="/a/Qwen3-235B.gguf",
        n_context_tokens=16384,
        flash_attention="on",
        run_time_repack=True,
        fused_moe=True,
        k_type="Q8_0",
        v_type="Q8_0",
        n_gpu_layers=99,
        overrides=((r"blk\.(0|1)\.ffn.*", "CUDA0"), ("exps", "CPU")),
        visible_devices=("0",),
    )


def test_a_windows_path_keeps_its_backslashes() -> None:
    line = parse(r"PS C:\neuro\build> .\llama-server.exe -t 7 -c 4096 -m F:\llm\Qwen3-30B-A3B-Q5_K_M.gguf")
    assert (line.program, line.model) == ("llama-server", r"F:\llm\Qwen3-30B-A3B-Q5_K_M.gguf")


def test_lines_over_several_rows_and_markup_are_one_line() -> None:
    line = parse("> `llama-server -ngl 3 \\\n  -b 31 -ub 31`")
    assert (line.n_gpu_layers, line.n_batch, line.n_ubatch) == (3, 31, 31)


@pytest.mark.parametrize("text", ['llama-server -c 512 -ot "blk\\.1', "llama-server -c 512 -ot"])
def test_a_line_that_was_cut_off_says_so_and_keeps_the_rest(text: str) -> None:
    line = parse(text)
    assert line.is_cut and line.n_context_tokens == 512 and line.overrides == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("-fa", "on"), ("-fa on", "on"), ("-fa off", "off"), ("--flash-attn auto", "auto"), ("-no-fa", "off"),
     ("-fa -c 5", "on"), ("--flash-attn=off", "off"), ("-c 5", None)],
)  # fmt: skip
def test_flash_attention_may_stand_alone_or_with_a_word(text: str, expected: str | None) -> None:
    assert parse(text).flash_attention == expected


def test_shares_may_be_parted_by_slashes_and_layers_may_be_all() -> None:
    line = parse("-ts 24/24,12.5 -ngl all -np -1")
    assert line.tensor_split == (24.0, 24.0, 12.5)
    assert line.n_gpu_layers == ALL_LAYERS
    assert line.n_sequences is None  # the engine decides


def test_later_values_replace_earlier_ones_but_overrides_add_up() -> None:
    line = parse("-c 1 -c 2 -ot a=CPU,b=CUDA1 -ot c=CUDA0")
    assert line.n_context_tokens == 2
    assert line.overrides == (("a", "CPU"), ("b", "CUDA1"), ("c", "CUDA0"))


def test_a_value_that_is_no_number_is_named() -> None:
    with pytest.raises(MalformedError, match="-ub wants a number and was given 'many'"):
        parse("llama-server -ub many")


def test_merging_keeps_what_the_second_does_not_say() -> None:
    both = merged(parse("-c 4096 -mla 2 -rtr"), parse("-mla 3"))
    assert (both.n_context_tokens, both.mla, both.run_time_repack) == (4096, 3, True)


def _random_line(rng: random.Random) -> CommandLine:
    choices: dict[str, list[object]] = {
        "program": [None, "llama-server"],
        "model": [None, "/models/a b.gguf", r"C:\m\x.gguf", "it's.gguf"],
        "tensor_split": [(), (1.0, 2.5)],
        "split_mode": [None, "graph"],
        "devices": [(), ("CUDA0", "CUDA1")],
        "overrides": [(), ((r"blk\.(1|2)\..*_exps", "CPU"), ("output", "CUDA1"))],
        "flash_attention": [None, "on", "off", "auto"],
        "k_type": [None, "Q8_0"],
        "v_type": [None, "F16"],
        "mmproj": [None, "p.gguf"],
        "draft_model": [None, "d.gguf"],
        "spec_type": [None, "draft-mtp"],
        "rpc": [None, "a:50052,b:50052"],
        "offload_policy": [None, "26,0,27,0"],
        "visible_devices": [None],
        "is_cut": [False],
        "fit": [None, True, False],
    }
    switches_on_only = {"cpu_moe", "mlock", "swa_full", "run_time_repack", "merge_qkv", "merge_up_gate_experts",
                        "k_hadamard", "v_hadamard", "swa_compress", "sparse_attention", "multi_token_prediction"}  # fmt: skip
    switches_both = {"mmap", "kv_offload", "op_offload", "repack", "kv_unified", "fused_moe", "grouped_expert_routing"}  # fmt: skip
    made: dict[str, Any] = {}
    for field in fields(CommandLine):
        if field.name in choices:
            made[field.name] = rng.choice(choices[field.name])
        elif field.name in switches_on_only:
            made[field.name] = rng.choice([False, True])
        elif field.name in switches_both:
            made[field.name] = rng.choice([None, True, False])
        else:
            made[field.name] = rng.choice([None, 1, 7, 512])
    return CommandLine(**made)


def test_arguments_read_back_as_the_same_record() -> None:
    rng = random.Random(5)
    for _ in range(300):
        line = _random_line(rng)
        assert parse_tokens(arguments(line)) == line
        if "'" not in (line.model or ""):  # a quote within quotes is for shells, not for pasted text
            assert parse(quoted(line)) == line
