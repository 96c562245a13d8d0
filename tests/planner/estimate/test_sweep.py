"""Arrays of estimates are the single estimates: every byte, and the speeds to the last digits."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from hardware.described import describe_machine
from planner.api.machines import speed_facts
from planner.engines.llama_cpp import LlamaCppFlags
from planner.engines.llama_cpp.server_command import as_served
from planner.estimate.described_model import DescribedModel
from planner.estimate.placement import place
from planner.estimate.preset_table import PresetTable, preset_table
from planner.estimate.speed import decode_speed
from planner.estimate.sweep import SweptModel, home_of, whole_decode, whole_memory
from planner.model.network import Network
from planner.model.presets import preset_storage
from planner.readers.config.network import network_from_config

PRESETS = ("F16", "Q8_0", "Q4_K_M", "IQ2_XS", "MXFP4_MOE")
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "tied": {
        "model_type": "llama", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 6,
        "num_attention_heads": 16, "num_key_value_heads": 4, "vocab_size": 32000, "tie_word_embeddings": True,
        "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "head_dim": 64,
    },
    "experts": {
        "model_type": "qwen3_moe", "hidden_size": 1024, "intermediate_size": 3072, "moe_intermediate_size": 512,
        "num_hidden_layers": 8, "num_attention_heads": 16, "num_key_value_heads": 4, "head_dim": 64,
        "vocab_size": 32000, "num_experts": 32, "num_experts_per_tok": 4, "max_position_embeddings": 32768,
        "tie_word_embeddings": False, "rms_norm_eps": 1e-6, "norm_topk_prob": True, "decoder_sparse_step": 1,
        "mlp_only_layers": [],
    },
    "windows": {
        "model_type": "gemma3_text", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 12,
        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 64000,
        "sliding_window": 1024, "sliding_window_pattern": 6, "max_position_embeddings": 65536,
        "rms_norm_eps": 1e-6,
    },
}  # fmt: skip
MACHINES = (
    "Ryzen 9 7950X, 64GiB DDR5-5600",
    "RTX 4090, 64GiB DDR5-5600",
    "2x RTX 4090, 128GiB",
    "RX 7900 XTX, 64GiB",
    "Apple M3 Max (40-core GPU), 64GiB",
)
CONTEXTS = np.array([512, 1000, 4096, 5000, 16384, 30000])


@pytest.fixture(scope="module", params=list(CONFIGS))
def swept(request: pytest.FixtureRequest) -> tuple[Network, PresetTable]:
    network = network_from_config(CONFIGS[request.param])
    return network, preset_table(request.param, network, PRESETS, (1, 4))


@pytest.mark.parametrize("text", MACHINES)
@pytest.mark.parametrize("n_sequences", [1, 4, 3])  # the last is not in the table
def test_a_sweep_is_what_single_estimates_say(
    swept: tuple[Network, PresetTable], text: str, n_sequences: int
) -> None:
    network, table = swept
    machine = describe_machine(text)
    facts, _ = speed_facts(machine)
    home = home_of(machine)
    memory = whole_memory(table, network, home, CONTEXTS, np.full(len(CONTEXTS), n_sequences))
    depths = CONTEXTS // n_sequences
    columns = SweptModel(table=table, network=network)
    rates = whole_decode(columns, home, machine, facts, depths, n_sequences)
    for row, preset in enumerate(table.presets):
        model = DescribedModel(name="x", network=network, storage=preset_storage(network, preset))
        for column, n in enumerate(CONTEXTS.tolist()):
            flags = as_served(LlamaCppFlags(n_context_tokens=n, n_sequences=n_sequences))
            placement = place(model, machine, flags)
            assert memory.needed_bytes[row, column] == placement.needed_bytes
            assert memory.fits[row, column]  # these networks are small
            single = decode_speed(model, placement, machine, facts, n // n_sequences, n_sequences)
            assert single.tokens_per_s is not None
            for name in ("low", "expected", "high"):
                assert getattr(rates, name)[row, column] == pytest.approx(
                    getattr(single.tokens_per_s, name), rel=1e-9
                )


def test_batches_may_differ_within_one_sweep(swept: tuple[Network, PresetTable]) -> None:
    network, table = swept
    machine = describe_machine("RTX 4090, 64GiB DDR5-5600")
    home = home_of(machine)
    both = whole_memory(table, network, home, np.array([8192, 8192]), np.array([1, 4]))
    for column, n in enumerate((1, 4)):
        alone = whole_memory(table, network, home, np.array([8192]), np.array([n]))
        assert (both.needed_bytes[:, column] == alone.needed_bytes[:, 0]).all()


def test_a_model_that_one_gpu_does_not_hold_does_not_fit(swept: tuple[Network, PresetTable]) -> None:
    network, table = swept
    machine = describe_machine("GTX 1650 4GB, 64GiB")
    memory = whole_memory(table, network, home_of(machine), np.array([32768]), np.array([64]))
    on_gpu = memory.needed_bytes - np.array(table.stores["host"].tables)[:, None]
    capacity = home_of(machine).device
    assert capacity is not None
    # Whatever is over the card's size does not fit; what lies in RAM is at most the tables and a few buffers.
    assert not memory.fits[on_gpu > capacity.capacity_bytes + 2**28].any()


def test_some_presets_of_a_table_are_the_table_of_those(swept: tuple[Network, PresetTable]) -> None:
    network, table = swept
    wanted = ("IQ2_XS", "Q8_0")
    some = table.only(wanted)
    assert some.presets == wanted
    machine = describe_machine("RTX 4090, 64GiB DDR5-5600")
    home, (facts, _) = home_of(machine), speed_facts(machine)
    rows = [table.presets.index(preset) for preset in wanted]
    ones = np.ones(len(CONTEXTS), dtype=np.int64)
    every = whole_memory(table, network, home, CONTEXTS, ones).needed_bytes[rows]
    assert (whole_memory(some, network, home, CONTEXTS, ones).needed_bytes == every).all()
    fast = whole_decode(SweptModel(table=some, network=network), home, machine, facts, CONTEXTS).expected
    assert fast == pytest.approx(
        whole_decode(SweptModel(table=table, network=network), home, machine, facts, CONTEXTS).expected[rows]
    )
