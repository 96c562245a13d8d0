"""A million estimates, of memory and decode speed, over models, quantizations, contexts, batches and devices.

    python benchmarks/sweep.py [--check]

They go through the functions that `planner fit` without a model goes through. `--check` compares a few of them with
what `planner fit` says of the same single case.
"""

import os
import sys
import time

import numpy as np

from hardware.described import describe_machine
from planner.api.machines import speed_facts
from planner.engines.llama_cpp import LlamaCppFlags
from planner.engines.llama_cpp.server_command import as_served
from planner.estimate.described_model import DescribedModel
from planner.estimate.placement import place_whole
from planner.estimate.preset_table import TABLED_SEQUENCES
from planner.estimate.speed import decode_speed
from planner.estimate.sweep import SweptModel, home_of, whole_decode, whole_memory
from planner.model.presets import preset_storage
from planner.readers.catalogue_model import from_catalogue
from planner.readers.preset_table_file import packaged_table
from profiles.loader import model_entry

MODELS = (
    "qwen3-8b", "llama-3.1-8b-instruct", "gemma-3-27b-it", "gpt-oss-20b", "qwen3-30b-a3b", "llama-3.3-70b-instruct",
    "mistral-nemo-instruct-2407", "qwen3-32b", "qwen2.5-32b-instruct", "mixtral-8x7b-v0.1", "deepseek-r1",
    "glm-4.5-air",
)  # fmt: skip
MACHINES = ("RTX 4090, 64GiB DDR5-5600", "RTX 3060, 64GiB", "H100 SXM, 256GiB", "RX 7900 XTX, 64GiB",
            "A100 80GB SXM, 256GiB", "Apple M3 Max (40-core GPU), 64GiB")  # fmt: skip
N_CONTEXTS = 100


def main() -> None:
    """Sweeps, then says how long it took."""
    started, cpu_started = time.perf_counter(), time.process_time()
    contexts = np.repeat(np.linspace(1024, 32768, N_CONTEXTS).astype(np.int64), len(TABLED_SEQUENCES))
    sequences = np.tile(np.array(TABLED_SEQUENCES), N_CONTEXTS)
    machines = [describe_machine(text) for text in MACHINES]
    facts = [speed_facts(machine)[0] for machine in machines]
    n_estimates = n_fitting = 0
    answers = {}
    for name in MODELS:
        network = from_catalogue(model_entry(name), name).network
        table = packaged_table(name)
        if table is None:
            raise SystemExit(f"{name} is not in the packaged table")
        model = SweptModel(table=table, network=network)
        for machine, known in zip(machines, facts, strict=True):
            home = home_of(machine)
            memory = whole_memory(table, network, home, contexts, sequences)
            rates = whole_decode(model, home, machine, known, contexts // sequences, sequences)
            n_estimates += rates.expected.size
            n_fitting += int(memory.fits.sum())
            answers[name, machine.name] = (table, network, machine, known, memory, rates)
    took, cpu_took = time.perf_counter() - started, time.process_time() - cpu_started
    print(
        f"{n_estimates:,} estimates, {n_fitting:,} of them fitting: {took:.2f} s, {cpu_took:.2f} s of a processor; "
        f"load before {os.getloadavg()[0]:.1f}"
    )
    if "--check" in sys.argv[1:]:
        _check(answers, contexts, sequences)


def _check(answers: dict, contexts: np.ndarray, sequences: np.ndarray) -> None:  # type: ignore[type-arg]
    rng = np.random.default_rng(1)
    n_checked = 0
    for (name, _), (table, network, machine, known, memory, rates) in answers.items():
        q, i = int(rng.integers(len(table.presets))), int(rng.integers(len(contexts)))
        model = DescribedModel(name=name, network=network, storage=preset_storage(network, table.presets[q]))
        n, n_context = int(sequences[i]), int(contexts[i])
        flags = as_served(LlamaCppFlags(n_context_tokens=n_context, n_sequences=n))
        placement = place_whole(model, machine, flags)
        if placement is None or not memory.fits[q, i]:
            continue
        found = decode_speed(model, placement, machine, known, n_context // n, n).tokens_per_s
        assert placement.needed_bytes == memory.needed_bytes[q, i], (name, table.presets[q], n_context, n)
        assert found is not None and abs(found.expected / rates.expected[q, i] - 1) < 1e-9, (
            name,
            table.presets[q],
        )
        n_checked += 1
    print(f"{n_checked} of them the same as a single estimate")


if __name__ == "__main__":
    main()
