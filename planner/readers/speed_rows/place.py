"""A row as a case of the speed model: devices, layout, setting, operators; or why it cannot be one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from hardware.spec import Accelerator
from planner.estimate.llama_cpp_rows.dated import ik_build
from planner.estimate.speed_validation import SpeedClass
from planner.model.ggml_types import type_by_name
from planner.readers.speed_rows.bench_row import BenchRow
from planner.readers.speed_rows.devices import row_devices
from planner.readers.speed_rows.models import UnplacedError, find_model
from planner.readers.speed_rows.storage import stored_row
from planner.speed.effects import Phase
from planner.speed.factors import Case
from planner.speed.operators import (
    HOST,
    Layout,
    decode_operators,
    prefill_operators,
)
from planner.speed.setting import Setting
from planner.speed.work import ModelWork

_OVERRIDE = re.compile(r"(?:-ot|--override-tensor)[ =]+[\"']?([^\s\"'=]+)=(\w+)")
_CACHE_TYPE = re.compile(r"-ctk (\w+)")
_BATCH = re.compile(r"(?:^|[\s'\"])-b (\d+)")
_DEFAULT_UBATCH = 512
# Tables that name no build, of a time that their own logs name: 2797 to 2843.
_BUILDS_OF_ORIGINS = {"XiongjieDai README": 2824}
_FIRST_NUMBERED_BUILD = 1000  # a build that somebody made alone counts from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedRow:
    """A row with its case, the seconds it took, and the classes it is scored in."""

    row: BenchRow
    case: Case
    measured_s: float
    speed_class: SpeedClass
    model: str  # catalogue id
    preset: str
    n_tokens: int

    @property
    def cell(self) -> str:
        """What counts once: device, backend, model, type, phase, and whether RAM holds a part.

        A prompt of one token is a step of decoding, and so in one cell with it.
        """
        row = self.row
        kind = self.speed_class.split("_", 1)[0]
        key = (
            row.device,
            row.n_devices,
            row.backend,
            self.case.model_key,
            row.quantization,
            kind,
            self.case.phase,
        )
        return " | ".join(str(part) for part in key)

    @property
    def interval_class(self) -> str:
        """The class whose intervals hold for it: a prompt of one token is a step of decoding, several sequences have their own."""
        kind = self.speed_class.split("_", 1)[0]
        if self.row.n_sequences > 1:
            return f"{'moe' if kind == 'moe' else 'dense'}_batch"
        return f"{kind}_{self.case.phase}"

    @property
    def device(self) -> str:
        """The device that a cross-validation leaves out together."""
        layout = self.case.layout
        return layout.gpus[0].key if layout.gpus else layout.device(HOST).key


def place_row(row: BenchRow) -> PlacedRow:
    """The case of a row; raises UnplacedError with the reason where there is none."""
    if row.left_out:
        raise UnplacedError(row.left_out)
    if bool(row.n_prompt_tokens) == bool(row.n_generated_tokens):
        raise UnplacedError("prompt and generation in one figure")
    scored: Phase = "decode" if row.n_generated_tokens else "prefill"
    # A prompt of one token is a step of decoding: the same graph and kernels, at the depth it comes to.
    phase: Phase = "decode" if row.n_prompt_tokens <= 1 else "prefill"
    model = find_model(row)
    stored = stored_row(row, model)
    layout = _layout(row, stored.work)
    setting = _setting(row)
    cache_type = _cache_type(row)
    if phase == "decode":
        depth = row.n_depth_tokens + row.n_generated_tokens // 2
        operators = decode_operators(
            stored.work, layout, depth, row.n_sequences, cache_type=cache_type, setting=setting,
            kv_bytes_per_element=type_by_name(cache_type).bits_per_weight / 8,
        )  # fmt: skip
    else:
        operators = prefill_operators(
            stored.work,
            layout,
            row.n_prompt_tokens,
            row.n_depth_tokens,
            n_ubatch=_n_ubatch(row),
            setting=setting,
        )
    n_tokens = row.n_sequences if phase == "decode" else row.n_prompt_tokens
    kind = "offload" if layout.is_split_with_host else "moe" if stored.work.has_experts else "dense"
    speed_class = next(name for name in get_args(SpeedClass) if name == f"{kind}_{scored}")
    return PlacedRow(
        row=row,
        case=Case(
            phase=phase,
            operators=operators,
            layout=layout,
            setting=setting,
            model_key=stored.work.key,
            architecture=stored.work.architecture,
        ),
        measured_s=n_tokens / row.tokens_per_s,
        speed_class=speed_class,
        model=model,
        preset=stored.preset,
        n_tokens=n_tokens,
    )


def _n_ubatch(row: BenchRow) -> int:
    """Tokens of a micro-batch, which is never larger than the batch (llama_context in llama-context.cpp)."""
    asked = row.n_ubatch or _DEFAULT_UBATCH
    batch = _BATCH.search(row.notes)
    return min(asked, int(batch[1])) if batch else asked


def _setting(row: BenchRow) -> Setting:
    text = f"{row.backend} {row.notes}"
    cores = next((name for name in ("rocwmma", "amdvlk") if name in text), "plain")
    # kyuz0's containers switch hipBLASLt on, but for the runs that they mark hblt0.
    asks = "'hipblaslt': '1'" in row.notes or (row.origin.startswith("kyuz0/") and "hblt0" not in row.notes)
    blas = "hipblaslt" if asks else "plain"
    is_fork = row.engine.startswith("ik")
    # Of the fork, tables print the number of what it is compared with; its own is told by where it was posted.
    number = ik_build(row.source, None) if is_fork else row.build_number or _BUILDS_OF_ORIGINS.get(row.origin)
    return Setting(
        engine="ik_llama.cpp" if is_fork else "llama.cpp",
        build=number if number is not None and number > _FIRST_NUMBERED_BUILD else None,
        flash_attention=row.flash_attention,
        matrix_cores=cores,
        blas=blas,
    )


def _cache_type(row: BenchRow) -> str:
    said = _CACHE_TYPE.search(row.notes)
    return (said[1] if said else row.k_type or "f16").upper()


def _layout(row: BenchRow, work: ModelWork) -> Layout:
    gpus, accelerators, host = row_devices(row)
    n_layers = len(work.layers)
    if not gpus:
        home = (HOST,) * n_layers
        return Layout(gpus=(), host=host, layers=home, experts=home, head=HOST)
    in_ram, experts_in_ram, said = _in_ram(row, work)
    if not said and _exceeds(row, accelerators):
        raise UnplacedError("the file is larger than the device, and the row does not say what lies in RAM")
    layers = _spread(n_layers, in_ram, accelerators)
    return Layout(
        gpus=gpus,
        host=host,
        layers=layers,
        experts=tuple(HOST if i in experts_in_ram else layers[i] for i in range(n_layers)),
        head=HOST if len(in_ram) == n_layers else len(gpus) - 1,
    )


def _in_ram(row: BenchRow, work: ModelWork) -> tuple[set[int], set[int], bool]:
    """Layers in RAM, layers whose experts are, and whether the row says anything about it.

    A number in `offload` counts the GPU's first layers that overflow, as the engine's own fitting prints them:
    their experts are in RAM, and the whole of them where there are no experts.
    """
    n_layers = len(work.layers)
    n_on_gpu = n_layers + 1 if row.n_gpu_layers is None else min(row.n_gpu_layers, n_layers + 1)
    in_ram = set(range(n_layers + 1 - n_on_gpu))
    on_gpu = [i for i in range(n_layers) if i not in in_ram]
    if row.offload.isdigit():
        overflowing = set(on_gpu[: int(row.offload)])
        return (in_ram, overflowing, True) if work.has_experts else (in_ram | overflowing, set(), True)
    if row.offload:
        return in_ram, _overridden(row.command, n_layers), True
    return in_ram, set(), bool(in_ram)


def _overridden(command: str, n_layers: int) -> set[int]:
    """Layers whose experts `-ot` sends to RAM; the first pattern that matches decides.

    Where only patterns for GPUs are left of a command line, everything they do not name lies in RAM.
    """
    patterns = [(pattern.replace("\\\\", "\\"), device) for pattern, device in _OVERRIDE.findall(command)]
    names_ram = any(device == "CPU" for _, device in patterns)
    found = set()
    for layer in range(n_layers):
        names = [f"blk.{layer}.ffn_{part}_exps.weight" for part in ("up", "down")]
        device = next((to for pattern, to in patterns if _matches(pattern, names)), None)
        if device == "CPU" or (device is None and not names_ram):
            found.add(layer)
    return found


def _matches(pattern: str, names: Sequence[str]) -> bool:
    try:
        return any(re.search(pattern, name) for name in names)
    except re.error:
        return False  # cut off where the table ends


def _exceeds(row: BenchRow, accelerators: Sequence[Accelerator]) -> bool:
    if row.n_gpu_layers_said and row.n_gpu_layers is None:
        return False  # "all", by an engine that makes it fit
    if any(accelerator.unified_memory for accelerator in accelerators):
        return False
    return row.file_bytes is not None and row.file_bytes > sum(
        accelerator.memory_bytes for accelerator in accelerators
    )


def _spread(n_layers: int, in_ram: set[int], accelerators: Sequence[Accelerator]) -> tuple[int, ...]:
    """GPUs take the layers in order, in the shares of their memory."""
    on_gpu = [i for i in range(n_layers) if i not in in_ram]
    total = sum(accelerator.memory_bytes for accelerator in accelerators)
    bounds = []
    reached = 0.0
    for accelerator in accelerators:
        reached += accelerator.memory_bytes / total
        bounds.append(reached)
    homes = [HOST] * n_layers
    for position, layer in enumerate(on_gpu):
        share = (position + 0.5) / len(on_gpu)
        homes[layer] = next((i for i, bound in enumerate(bounds) if share <= bound), len(bounds) - 1)
    return tuple(homes)
