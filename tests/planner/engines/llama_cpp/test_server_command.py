"""The command line of a plan, read back, is the same plan."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.engines.ik_llama_cpp.command_line import arguments, parse, parse_tokens, quoted
from planner.engines.llama_cpp import LlamaCppFlags, Split, TensorOverride
from planner.engines.llama_cpp.given_split import FREE
from planner.engines.llama_cpp.server_command import as_served, flags_of, given_split_of, server_line
from planner.errors import MalformedError, MissingFactError

N_LAYERS = 48
BASE = LlamaCppFlags(n_context_tokens=4096)

FLAGS = st.builds(
    LlamaCppFlags,
    n_context_tokens=st.integers(1, 1 << 20),
    n_batch=st.sampled_from((2048, 4096)),
    n_ubatch=st.sampled_from((128, 512, 2048)),
    n_sequences=st.integers(1, 16),
    unified_cache=st.booleans(),
    k_type=st.sampled_from(("F16", "Q8_0")),
    v_type=st.sampled_from(("F16", "BF16")),
    flash_attention=st.booleans(),
    swa_full=st.booleans(),
    kv_offload=st.booleans(),
    op_offload=st.booleans(),
    mmap=st.booleans(),
    repack=st.booleans(),
).filter(lambda flags: flags.unified_cache or flags.n_sequences > 1)  # alike for one sequence
SPLITS = st.builds(
    Split,
    n_gpu_layers=st.integers(0, N_LAYERS + 1),
    n_cpu_moe=st.integers(0, N_LAYERS),
    tensor_split=st.none() | st.just((3.0, 1.0)) | st.just((12.0, 0.0, 37.0)),
    mode=st.sampled_from(("layer", "row", "none")),
    main_gpu=st.integers(0, 3),
    overrides=st.just(()) | st.just((TensorOverride(pattern=r"blk\.(1|2)\.ffn_.*_exps", device="CPU"),)),
)


@given(flags=FLAGS, split=SPLITS)
def test_the_printed_command_read_back_is_the_same_plan(flags: LlamaCppFlags, split: Split) -> None:
    line = server_line(flags, split, N_LAYERS, model_file="a model.gguf", has_gpu=True)
    for back in (parse_tokens(arguments(line)), parse(quoted(line))):
        assert back.model == "a model.gguf"
        assert flags_of(back, BASE, None) == as_served(flags)
        assert given_split_of(back).settled(N_LAYERS) == split


def test_without_a_gpu_nothing_is_said_of_gpus() -> None:
    line = server_line(BASE, Split(n_gpu_layers=0), N_LAYERS, model_file="m.gguf", has_gpu=False)
    assert arguments(line) == ("llama-server", "-m", "m.gguf", "-c", "4096", "-np", "1", "-fa", "on")
    assert given_split_of(line) == FREE


def test_a_server_without_np_has_four_slots_of_one_cache() -> None:
    # tools/server/server.cpp: n_parallel is set to auto, using n_parallel = 4 and kv_unified = true
    flags = flags_of(parse("llama-server -m m.gguf -c 8192"), BASE, None)
    assert (flags.n_sequences, flags.unified_cache) == (4, True)
    flags = flags_of(parse("llama-server -m m.gguf -c 8192 -np 2"), BASE, None)
    assert (flags.n_sequences, flags.unified_cache) == (2, False)


def test_a_context_of_zero_is_what_the_model_was_trained_for() -> None:
    line = parse("llama-server -m m.gguf -c 0 -np 1")
    assert flags_of(line, BASE, 40960).n_context_tokens == 40960
    with pytest.raises(MissingFactError, match="-c 0 means the context the model was trained for"):
        flags_of(line, BASE, None)


def test_all_experts_in_ram_is_every_layer() -> None:
    assert given_split_of(parse("llama-server -m m.gguf --cpu-moe")).settled(N_LAYERS).n_cpu_moe == N_LAYERS


def test_a_split_that_is_not_modelled_is_named() -> None:
    with pytest.raises(MalformedError, match="-sm attn is not a split that is modelled"):
        given_split_of(parse("llama-server -m m.gguf -sm attn"))


def test_the_fork_s_graph_split_is_the_tensor_split_of_mainline() -> None:
    assert given_split_of(parse("llama-server -m m.gguf -sm graph")).mode == "tensor"
    assert given_split_of(parse("llama-server -m m.gguf -sm tensor")).mode == "tensor"
