"""Flags, devices and split of a recorded load, as far as its row and its command line state them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Final, Literal

from hardware.accelerators import find_accelerator
from hardware.errors import HardwareError
from hardware.units import GIB
from planner.engines.ik_llama_cpp.command_line import CommandLine
from planner.engines.ik_llama_cpp.flags import IkFlags
from planner.engines.llama_cpp import LlamaCppFlags, Split, TensorOverride
from planner.errors import MissingFactError
from planner.estimate.described_model import DescribedModel
from planner.estimate.llama_cpp_rows.dated import ik_build, ollama_build
from planner.estimate.llama_cpp_rows.model import RowModel
from planner.estimate.llama_cpp_rows.row import LoadRow
from planner.estimate.memory import Device
from planner.model.storage import Storage

_FLOATS: Final = ("F16", "F32", "BF16")
_FUSED_SINCE_BUILD: Final = 3560  # -fmoe came with pull request 229, 2025-02-23
_REPACKING_UNTIL_BUILD: Final = 3850  # from mid-2025 on GPUs take experts from main memory for long prompts
_ROLLBACK: Final = re.compile(r"with (\d{1,2}) rs_seq|\(1\+(\d{1,2}) draft rollback\)", re.ASCII)
_INTERLEAVED: Final = re.compile(r"_R\d+$", re.ASCII)
_NESTED: Final = re.compile(r"[+*}]\)[+*{]", re.ASCII)
_MOST_SEQUENCES: Final = 1024
_NO_COMMAND: Final = CommandLine()
_DEFAULT_BATCH: Final = 2048
_DEFAULT_UBATCH: Final = 512
_PERPLEXITY_CONTEXT: Final = 512  # tools/perplexity/perplexity.cpp
_PERPLEXITY_LOG: Final = re.compile(r"/bench_ppl[^/]*$", re.ASCII)  # what the GGUF tool suite calls its logs
_UNKNOWN_MEMORY: Final = 65_536 * GIB  # of a device whose name says nothing; only shares of it count
# Of a card, what is free for weights before anything is loaded, at most: the driver takes the rest.
_USABLE_FRACTION: Final = 0.98
_LARGEST_UNNAMED: Final = 96 * GIB  # the largest card of a workstation, where nobody names it
_ALL_LAYERS_SINCE_BUILD: Final = 7325  # -ngl defaults to as many as fit (common/common.h, 2025-12)
_MODES: Final[dict[str, Literal["layer", "row", "none"]]] = {"layer": "layer", "row": "row", "none": "none"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPlacement:
    """Where the weights of a row lie; `unstated` says why nobody can tell it from the row, if so."""

    split: Split
    gpus: tuple[Device, ...]
    ram: Device
    unstated: str | None = None
    notes: tuple[str, ...] = ()


def row_flags(
    row: LoadRow, model: RowModel, storage: Storage, earlier_build: int | None = None
) -> LlamaCppFlags:
    """The settings of a row; raises MissingFactError where it does not say how long the context is.

    `earlier_build` is one that a log further up in the same place names: this one is no older.
    """
    command = row.command or _NO_COMMAND
    n_batch = row.whole("n_batch") or command.n_batch or _DEFAULT_BATCH
    n_context = row.whole("n_ctx_tokens")
    n_sequences = row.whole("n_seq_max") or _sequences(row, command, n_context, n_batch)
    if n_context is None:
        n_context, n_sequences = _context_of_command(command, n_batch, n_sequences)
    k_type = (row.text("kv_type_k") or command.k_type or "F16").upper()
    v_type = (row.text("kv_type_v") or command.v_type or "").upper()
    if not v_type:  # one cache for both, as latent attention keeps it, is printed with K's type alone
        v_type = k_type if row.whole("mla_attn_ik") else "F16"
    flash = row.flash_attention
    if flash is None:
        # Off by default in the fork of that time, but a quantized V cache needs it.
        asked = command.flash_attention not in (None, "off") or v_type not in _FLOATS
        flash = asked if row.engine == "ik_llama.cpp" else True
    unified = row.kv_unified
    flags = LlamaCppFlags(
        n_context_tokens=n_context,
        n_batch=n_batch,
        n_ubatch=min(row.whole("n_ubatch") or command.n_ubatch or _DEFAULT_UBATCH, n_batch),
        n_sequences=n_sequences,
        unified_cache=True if unified is None else unified,
        k_type=k_type,
        v_type=v_type if flash or v_type in _FLOATS else "F16",
        flash_attention=flash,
        swa_full=command.swa_full,
        rollback_sequences=_rollback(row.text("notes")),
        kv_offload=command.kv_offload is not False,
        op_offload=command.op_offload is not False,
        mmap=_is_mapped(row, command),
        repack=command.repack is not False,
        n_outputs=n_sequences if "llama-server" in (row.text("command") or "") else None,
        build=row.whole("build") or _ollama_build(row),
    )
    if row.engine != "ik_llama.cpp":
        return flags
    return _of_the_fork(row, model, storage, flags, earlier_build)


def _ollama_build(row: LoadRow) -> int | None:
    if row.engine != "ollama":
        return None
    return ollama_build(row.text("engine"), row.text("command"), prints_unified=row.kv_unified is not None)


def _of_the_fork(
    row: LoadRow, model: RowModel, storage: Storage, flags: LlamaCppFlags, earlier_build: int | None
) -> IkFlags:
    """The fork's own settings. Where no command line says otherwise, those that its guide tells everybody to use.

    github.com/ikawrakow/ik_llama.cpp/discussions/258: -fmoe for mixtures of experts, -rtr where experts in main
    memory are not stored interleaved already (then no file is mapped, which names of buffers show).
    """
    command = row.command or _NO_COMMAND
    build = flags.build or max(
        filter(None, (ik_build(row.text("source"), model.name_dates(row.name)), earlier_build)), default=None
    )
    unknown = row.command is None or command.is_cut
    experts = [weight.type_name for weight in storage.weights if weight.is_expert]
    fused, repacked = command.fused_moe, command.run_time_repack
    if unknown and fused is None and experts and (build or 0) >= _FUSED_SINCE_BUILD:
        fused = True
    is_early = build is not None and build < _REPACKING_UNTIL_BUILD
    if (
        unknown
        and is_early
        and experts
        and row.names_pinned_weights
        and not any(_INTERLEAVED.search(t) for t in experts)
    ):
        repacked = True
    shared = {field.name: getattr(flags, field.name) for field in fields(flags)}
    return IkFlags(
        **shared | {"build": build, "mmap": flags.mmap and not repacked and not row.names_pinned_weights},
        mla=row.whole("mla_attn_ik") if row.text("mla_attn_ik") else command.mla,
        attention_max_batch_mib=_first(row.whole("attn_max_b_ik_mib"), command.attention_max_batch_mib),
        fused_moe=fused,
        run_time_repack=repacked,
        pipeline_copies=row.whole("pipeline_n_copies"),
    )


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _sequences(row: LoadRow, command: CommandLine, n_context: int | None, n_batch: int) -> int:
    """Sequences where the log does not print them: as the programs set them.

    tools/perplexity reads windows side by side; the fork's server keeps one for the system prompt beside the slots.
    """
    stated = min(command.n_sequences or 1, _MOST_SEQUENCES)
    if command.program == "llama-perplexity" and n_context:
        return max(1, n_context // (command.n_context_tokens or _PERPLEXITY_CONTEXT))
    if row.command is None and n_context and _PERPLEXITY_LOG.search(row.text("source")):
        # A context beyond the batch was asked for; up to it, windows of the default fill the batch.
        n = max(1, n_context // _PERPLEXITY_CONTEXT) if n_context <= n_batch else 1
        return min(n, _MOST_SEQUENCES)
    if command.program == "llama-server" and row.engine == "ik_llama.cpp":
        return stated + 1
    return stated


def _context_of_command(command: CommandLine, n_batch: int, n_sequences: int) -> tuple[int, int]:
    """Context and sequences of a command line; llama-perplexity reads as many windows at once as a batch holds."""
    if command.program == "llama-perplexity":
        window = command.n_context_tokens or _PERPLEXITY_CONTEXT
        n = max(1, n_batch // window)
        return n * window, n
    if not command.n_context_tokens:
        raise MissingFactError("the row does not say how long the context is")
    return command.n_context_tokens, n_sequences


def _rollback(notes: str) -> int:
    """Copies of recurrent state for drafted tokens, where a note says how many."""
    found = _ROLLBACK.search(notes)
    return int(found[1] or found[2]) if found else 0


def _is_mapped(row: LoadRow, command: CommandLine) -> bool:
    """As the buffers' names say, else the command line; ik_llama.cpp names mapped buffers like others."""
    if row.engine == "ik_llama.cpp":
        return command.mmap is not False and not command.run_time_repack
    named = row.is_mapped
    return command.mmap is not False if named is None else named


def row_placement(row: LoadRow, model: DescribedModel) -> RowPlacement:
    """Devices and split of a row, with what had to be supposed."""
    command = row.command or _NO_COMMAND
    gpus = _gpus(row)
    ram = Device(name="host", is_gpu=False, capacity_bytes=_UNKNOWN_MEMORY)
    n_all = model.network.n_layers + 1
    n_gpu_layers, unstated = _offloaded(row, command, gpus)
    notes: list[str] = []
    overrides = tuple(
        TensorOverride(pattern=p, device=_device_name(d)) for p, d in command.overrides if _is_pattern(p)
    )
    if len(overrides) < len(command.overrides):
        unstated = unstated or "an override of the command line is no pattern that can be read"
    n_cpu_moe = model.network.n_layers if command.cpu_moe else command.n_cpu_moe or 0
    if (
        not overrides
        and not n_cpu_moe
        and n_gpu_layers
        and gpus
        and _is_too_large(model, gpus, n_gpu_layers, n_all)
    ):
        n_cpu_moe = model.network.n_layers
        unstated = unstated or "the row does not say which tensors stay in main memory"
        notes.append("experts taken to lie in main memory, because the GPUs named cannot hold the file")
    elif (
        overrides
        and command.is_cut
        and (
            any(override.device == "CPU" for override in overrides)
            or _is_too_large(model, gpus, n_gpu_layers, n_all)
        )
    ):
        whole = any("ffn" in override.pattern and "exps" not in override.pattern for override in overrides)
        overrides = (*overrides, TensorOverride(pattern=r"\.ffn_" if whole else r"_exps\.", device="CPU"))
        notes.append(
            f"{'feed-forward blocks' if whole else 'experts'} that no override names taken to lie in main memory, "
            "because the command is cut off"
        )
    if command.is_cut and n_gpu_layers and gpus:
        unstated = unstated or "the command line is cut off, so that where tensors lie is not known in full"
    shares = command.tensor_split or None
    used = row.buffer_devices
    if shares is None and len(gpus) > 1 and n_gpu_layers:
        left_out = [gpu.name not in used for gpu in gpus]
        if used and any(left_out) and not all(left_out):
            shares = tuple(
                0.0 if out else float(gpu.capacity_bytes) for gpu, out in zip(gpus, left_out, strict=True)
            )
        if row.command is None or command.is_cut:
            unstated = unstated or "the row does not say how the layers are shared among the GPUs"
    return RowPlacement(
        split=Split(
            n_gpu_layers=n_gpu_layers,
            n_cpu_moe=n_cpu_moe,
            tensor_split=shares,
            mode="row" if "row split" in row.backend else _MODES.get(command.split_mode or "layer", "layer"),
            main_gpu=command.main_gpu or 0,
            overrides=overrides,
        ),
        gpus=gpus,
        ram=ram,
        unstated=unstated,
        notes=tuple(notes),
    )


def _is_pattern(text: str) -> bool:
    """Whether it is a regular expression, and none whose nested repeats could take for ever."""
    if _NESTED.search(text):
        return False
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def _device_name(name: str) -> str:
    return "CPU" if name.upper().startswith("CPU") else name


def _gpus(row: LoadRow) -> tuple[Device, ...]:
    """The GPUs that the row names, in the engine's order; those alone that buffers are named after where it does not."""
    backend = row.backend.partition("(")[0].strip()
    if backend in ("", "CPU", "AMX"):
        return ()
    prefix = {"Metal": "MTL"}.get(backend, backend)
    named = row.devices
    used = row.buffer_devices
    if backend == "Metal" and "Metal" in used:  # what it was called before builds of late 2025
        return (_device("Metal", named[0] if named else "", "metal"),)
    indices = [
        int(name[len(prefix) :]) for name in used if name.startswith(prefix) and name[len(prefix) :].isdigit()
    ]
    n = max(len(named), max(indices, default=-1) + 1, 1)
    found = tuple(
        _device(f"{prefix}{i}", named[i] if i < len(named) else "", backend.lower()) for i in range(n)
    )
    if any(
        gpu.capacity_bytes == _UNKNOWN_MEMORY for gpu in found
    ):  # then nobody knows their shares: equal ones
        return tuple(replace(gpu, capacity_bytes=_UNKNOWN_MEMORY) for gpu in found)
    return found


def _device(name: str, sold_as: str, kind: str) -> Device:
    memory = _UNKNOWN_MEMORY
    if sold_as:
        try:
            memory = int(find_accelerator(sold_as).memory_bytes * _USABLE_FRACTION)
        except HardwareError:
            memory = _UNKNOWN_MEMORY
    return Device(name=name, is_gpu=True, capacity_bytes=memory, kind=kind)


def _offloaded(row: LoadRow, command: CommandLine, gpus: Sequence[Device]) -> tuple[int, str | None]:
    """Layers on the GPUs, and why that cannot be told, if so."""
    stated = row.whole("layers_offloaded")
    if stated is not None:
        return stated, None
    if not gpus:
        return 0, None
    if command.n_gpu_layers is not None:
        return command.n_gpu_layers, None
    build = row.whole("build")
    if build is not None and build >= _ALL_LAYERS_SINCE_BUILD and row.engine != "ik_llama.cpp":
        return 999, None
    return 999, "the row does not say how many layers are on the GPUs"


def _is_too_large(model: DescribedModel, gpus: Sequence[Device], n_gpu_layers: int, n_all: int) -> bool:
    if not any(layer.expert_bytes for layer in model.layers) or n_gpu_layers < n_all:
        return False
    room = sum(min(gpu.capacity_bytes, _LARGEST_UNNAMED) for gpu in gpus)
    return model.storage.total_bytes - model.embedding_bytes > room
