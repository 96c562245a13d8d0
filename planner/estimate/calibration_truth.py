"""Which published llama.cpp measurements can be compared with the formulas, and what the formulas expect.

Reads `llama-bench`-style rows (one median per configuration), keeps those whose device, placement and work
are known, and gives each the seconds that it would take at an efficiency of 1 and no overhead.
"""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from hardware.accelerators import find_accelerator
from hardware.errors import UnknownDeviceError
from hardware.spec import Accelerator
from hardware.units import GB, GIB, GIGA
from planner.estimate.calibration import ModelClass, matrix_flop_per_s
from planner.estimate.measurement import Phase
from profiles.errors import ProfileError
from profiles.loader import accelerator_rows

_COLUMNS = (
    "device", "hardware", "n_devices", "backend", "engine", "model", "quant", "file_size_gib", "params_b",
    "active_params_b", "is_moe", "ngl", "offload", "n_depth", "n_prompt", "n_gen", "tok_s",
)  # fmt: skip
_BACKENDS: Mapping[str, str] = {
    "CUDA": "cuda", "ROCm": "rocm", "Vulkan": "vulkan", "Metal": "metal", "MTL,BLAS": "metal",
}  # fmt: skip
# A device may use a little less than all of its memory for weights; a file above this share did not fit.
_LARGEST_FILE_FRACTION = 0.97
# Without the network's shape the KV cache is left out, which is right within 2 % up to this mean depth.
_LARGEST_UNKNOWN_DEPTH_TOKENS = 1024
_SHORTEST_PREFILL_TOKENS = 512  # shorter prompts wait for weights, not for arithmetic
_LONGEST_PREFILL_TOKENS = 8192
_MXFP4_BITS = 4.25
_KV_ELEMENT_BYTES = 2.0  # the rows used have an f16 cache
# Only to let a chip of unknown memory size through the lookup; nothing here depends on it.
_UNIFIED_MEMORY_BYTES = 16 * GIB
_APPLE = re.compile(
    r"(?:Apple )?M(?P<generation>\d)[ ]?(?P<variant>Pro|Max|Ultra|max|ultra|pro)?"
    r"(?:[ ](?P<cores>\d+)(?:c|[-‑ ][Cc]ore)(?:[ ]GPU)?)?"
    r"(?:[ ](?P<memory>\d+)GB)?(?:[ ]\((?P<bandwidth>\d+) GB/s\))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The dimensions of a network that llama-bench names only by its family and parameter count."""

    name: str
    params_b: float  # as llama-bench prints it, copies of a tied head included
    vocab_size: int
    hidden_size: int
    separate_head: bool
    n_layers: int
    n_full_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    window_tokens: int = 0
    n_experts: int = 0
    n_active_experts: int = 0
    expert_width: int = 0
    expert_bits: float | None = None  # None: the experts have the file's mean bits per weight

    @property
    def embedding_params(self) -> int:
        """Parameters of the table of which a token reads one row; none where the head reads all of it."""
        return self.vocab_size * self.hidden_size if self.separate_head else 0

    @property
    def expert_params(self) -> int:
        """Parameters of all routed experts."""
        return self.n_layers * self.n_experts * 3 * self.hidden_size * self.expert_width

    def read_fraction(self, file_bytes: float) -> float:
        """The share of the file that one token reads."""
        total = self.params_b * GIGA
        other_params = total - self.expert_params
        expert_bits = self.expert_bits or 8 * file_bytes / total
        expert_bytes = self.expert_params * expert_bits / 8
        other_bytes = file_bytes - expert_bytes
        active = self.n_active_experts / self.n_experts if self.n_experts else 0.0
        return (expert_bytes * active + other_bytes * (1 - self.embedding_params / other_params)) / file_bytes

    def kv_bytes(self, depth_tokens: float) -> float:
        """KV cache that one token reads behind `depth_tokens` earlier ones."""
        per_layer = 2 * self.n_kv_heads * self.head_dim * _KV_ELEMENT_BYTES
        n_window_layers = self.n_layers - self.n_full_layers if self.window_tokens else 0
        window_tokens = min(depth_tokens, self.window_tokens)
        return per_layer * (self.n_full_layers * depth_tokens + n_window_layers * window_tokens)

    def prefill_flop(self, n_tokens: int) -> float:
        """Work of a prompt from an empty cache: the layers for each token, the head for the last one."""
        head_params = self.vocab_size * self.hidden_size
        active = self.n_active_experts / self.n_experts if self.n_experts else 0.0
        layers = (
            self.params_b * GIGA - self.expert_params * (1 - active) - head_params - self.embedding_params
        )
        width = self.n_heads * self.head_dim
        n_window_layers = self.n_layers - self.n_full_layers if self.window_tokens else 0
        window_tokens = min(n_tokens / 2, self.window_tokens)
        attention = (
            width * n_tokens * (2 * self.n_full_layers * n_tokens + 4 * n_window_layers * window_tokens)
        )
        return 2 * (layers * n_tokens + head_params) + attention


def _dense(name: str, params_b: float, vocab: int, hidden: int, layers: int, heads: int, kv: int, dim: int,
           *, separate_head: bool = True, full: int | None = None, window: int = 0) -> Shape:  # fmt: skip
    return Shape(
        name=name, params_b=params_b, vocab_size=vocab, hidden_size=hidden, separate_head=separate_head,
        n_layers=layers, n_full_layers=layers if full is None else full, n_heads=heads, n_kv_heads=kv,
        head_dim=dim, window_tokens=window,
    )  # fmt: skip


# From the networks' config.json (a test compares them with the catalogue). Where the catalogue has no config
# (dots1, hunyuan-moe, deepseek2 30B.A3B, nemotron_h_moe) the card's active parameters are used instead.
SHAPES = (
    _dense("qwen3-0.6b", 0.7516, 151936, 1024, 28, 16, 8, 128),  # the file stores the tied head a second time
    _dense("gemma-3-4b-it", 3.88, 262208, 2560, 34, 8, 4, 256, separate_head=False, full=5, window=1024),
    _dense("llama-2-7b-chat-hf", 6.74, 32000, 4096, 32, 32, 32, 128),
    _dense("mistral-7b-instruct-v0.3", 7.25, 32768, 4096, 32, 32, 8, 128),
    _dense("qwen2.5-7b-instruct", 7.62, 152064, 3584, 28, 28, 4, 128),
    _dense("llama-3.1-8b-instruct", 8.03, 128256, 4096, 32, 32, 8, 128),
    _dense("gemma-3-12b-it", 11.77, 262208, 3840, 48, 16, 8, 256, separate_head=False, full=8, window=1024),
    _dense("mistral-nemo-instruct-2407", 12.25, 131072, 5120, 40, 32, 8, 128),
    _dense("mistral-small-24b-instruct-2501", 23.57, 131072, 5120, 40, 32, 8, 128),
    _dense("gemma-3-27b-it", 27.01, 262208, 5376, 62, 32, 16, 128, separate_head=False, full=10, window=1024),
    _dense("qwen3-32b", 32.76, 151936, 5120, 64, 64, 8, 128),
    _dense("llama-3.1-70b-instruct", 70.55, 128256, 8192, 80, 64, 8, 128),
    Shape(
        name="gpt-oss-20b", params_b=20.91, vocab_size=201088, hidden_size=2880, separate_head=True,
        n_layers=24, n_full_layers=12, n_heads=64, n_kv_heads=8, head_dim=64, window_tokens=128,
        n_experts=32, n_active_experts=4, expert_width=2880, expert_bits=_MXFP4_BITS,
    ),
    Shape(
        name="gpt-oss-120b", params_b=116.83, vocab_size=201088, hidden_size=2880, separate_head=True,
        n_layers=36, n_full_layers=18, n_heads=64, n_kv_heads=8, head_dim=64, window_tokens=128,
        n_experts=128, n_active_experts=4, expert_width=2880, expert_bits=_MXFP4_BITS,
    ),
    Shape(
        name="qwen3-30b-a3b", params_b=30.53, vocab_size=151936, hidden_size=2048, separate_head=True,
        n_layers=48, n_full_layers=48, n_heads=32, n_kv_heads=4, head_dim=128,
        n_experts=128, n_active_experts=8, expert_width=768,
    ),
    Shape(
        name="llama-4-scout-17b-16e-instruct", params_b=107.77, vocab_size=202048, hidden_size=5120,
        separate_head=True, n_layers=48, n_full_layers=48, n_heads=40, n_kv_heads=8, head_dim=128,
        n_experts=16, n_active_experts=1, expert_width=8192,
    ),
    Shape(
        name="qwen3-235b-a22b", params_b=235.09, vocab_size=151936, hidden_size=4096, separate_head=True,
        n_layers=94, n_full_layers=94, n_heads=64, n_kv_heads=4, head_dim=128,
        n_experts=128, n_active_experts=8, expert_width=1536,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One test of one model on one device: what it took, and what it would take at an efficiency of 1.

    Both are seconds per token for decode and seconds for the whole prompt for prefill.
    """

    phase: Phase
    model_class: ModelClass
    backend: str
    family: str
    device: str
    model: str
    quantization: str
    test: str
    ideal_s: float
    measured_s: float
    scale: float  # bytes per second or FLOP per second behind `ideal_s`

    @property
    def group(self) -> tuple[str, str, str, str, str]:
        """What counts once however many tests it has."""
        return (self.phase, self.backend, self.device, self.model, self.quantization)


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """The usable points of a file, and how many rows were left out for which reason."""

    points: tuple[Point, ...]
    skipped: tuple[tuple[str, int], ...]
    unknown_devices: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Device:
    accelerator: Accelerator
    memory_bytes: int | None  # None where the rows do not say how much main memory the machine has
    compute_known: bool


class _NotUsableError(Exception):
    """Why one row cannot be compared; caught while rows are counted."""


def read_truth(path: Path) -> Truth:
    """The comparable measurements of a file of llama-bench rows; raises ProfileError when it is not one."""
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        missing = set(_COLUMNS) - set(reader.fieldnames or ())
        if missing:
            raise ProfileError(
                f"{path}: found no column {', '.join(sorted(missing))}; expected llama-bench rows"
            )
        return truth_from_rows(reader, str(path))


def truth_from_rows(rows: Iterable[Mapping[str, str]], shown: str) -> Truth:
    """The comparable measurements among `rows`, repeated tests reduced to their median."""
    times: dict[tuple[str, ...], list[float]] = defaultdict(list)
    points: dict[tuple[str, ...], Point] = {}
    skipped: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    for number, row in enumerate(rows, start=2):
        try:
            point = _point(row)
        except _NotUsableError as reason:
            skipped[str(reason)] += 1
            continue
        except UnknownDeviceError:
            skipped["the device has no profile"] += 1
            unknown[row["device"]] += 1
            continue
        except ValueError as error:
            raise ProfileError(f"{shown}, line {number}: {error}") from error
        key: tuple[str, ...] = (*point.group, point.test)
        points[key] = point
        times[key].append(point.measured_s)
    # The file size may differ by a rounding between repeats; the last one stands for all.
    reduced = [replace(point, measured_s=median(times[key])) for key, point in points.items()]
    return Truth(
        points=tuple(sorted(reduced, key=lambda point: (*point.group, point.test))),
        skipped=tuple(skipped.most_common()),
        unknown_devices=tuple(unknown.most_common()),
    )


def _point(row: Mapping[str, str]) -> Point:
    if row["engine"] != "llama.cpp":
        raise _NotUsableError("another engine than mainline llama.cpp")
    if row["n_devices"] != "1":
        raise _NotUsableError("more than one device")
    backend = _BACKENDS.get(re.split(r"[/,](?!BLAS)", row["backend"])[0])
    if backend is None:
        raise _NotUsableError("no GPU backend named")
    if row["offload"] or (row["ngl"] not in ("", "all") and int(row["ngl"]) < 99):
        raise _NotUsableError("a part of the model outside the GPU")
    if int(row["n_depth"] or 0):
        raise _NotUsableError("behind a filled cache")
    n_prompt, n_generated = int(row["n_prompt"] or 0), int(row["n_gen"] or 0)
    if n_prompt and not _SHORTEST_PREFILL_TOKENS <= n_prompt <= _LONGEST_PREFILL_TOKENS:
        raise _NotUsableError("a prompt shorter than 512 or longer than 8,192 tokens")
    if bool(n_prompt) == bool(n_generated):
        raise _NotUsableError("prompt and generation mixed")
    if n_generated and n_generated < 16:
        raise _NotUsableError("fewer than 16 tokens generated")
    device = _device(row["device"], row["hardware"])
    file_bytes = float(row["file_size_gib"]) * GIB
    if device.memory_bytes is not None and file_bytes > _LARGEST_FILE_FRACTION * device.memory_bytes:
        raise _NotUsableError("a file larger than the device")
    model_class: ModelClass = "moe" if row["is_moe"] == "1" else "dense"
    params_b = float(row["params_b"])
    shape = _shape(params_b, model_class)
    active_fraction = float(row["active_params_b"]) / params_b
    if model_class == "moe" and shape is None and active_fraction >= 1:
        raise _NotUsableError("experts of unknown number")
    rate = float(row["tok_s"])
    chip = device.accelerator
    if n_generated:
        mean_depth = n_generated / 2
        if shape is None and mean_depth > _LARGEST_UNKNOWN_DEPTH_TOKENS:
            raise _NotUsableError("a KV cache of unknown size")
        read_fraction = active_fraction if shape is None else shape.read_fraction(file_bytes)
        kv_bytes = 0.0 if shape is None else shape.kv_bytes(mean_depth)
        work, scale = file_bytes * read_fraction + kv_bytes, chip.memory_bytes_per_s
    else:
        if not device.compute_known:
            raise _NotUsableError("a chip whose number of cores is not said (prefill)")
        work = 2e9 * params_b * active_fraction * n_prompt if shape is None else shape.prefill_flop(n_prompt)
        rate_known = matrix_flop_per_s(chip.dense_flop_per_s)
        if rate_known is None:
            raise _NotUsableError("a device of unknown arithmetic rate")
        scale = rate_known
    return Point(
        phase="decode" if n_generated else "prefill",
        model_class=model_class,
        backend=backend,
        family=chip.architecture,
        device=chip.id,
        model=row["model"] if shape is None else shape.name,
        quantization=row["quant"].replace(" - Medium", "_M").replace(" - Small", "_S"),
        test=f"tg{n_generated}" if n_generated else f"pp{n_prompt}",
        ideal_s=work / scale,
        measured_s=1 / rate if n_generated else n_prompt / rate,
        scale=scale,
    )


def _shape(params_b: float, model_class: ModelClass) -> Shape | None:
    for shape in SHAPES:
        if abs(shape.params_b / params_b - 1) < 0.001 and bool(shape.n_experts) == (model_class == "moe"):
            return shape
    return None


def _device(device: str, hardware: str) -> _Device:
    """The profiled device of a row: by what the row says of its hardware, then by its short name."""
    apple = [match for name in (hardware, device) if (match := _APPLE.fullmatch(" ".join(name.split())))]
    if apple:
        return _apple_device(apple)
    for name in (hardware, device.split(" (")[0]):
        for memory_bytes in (None, _UNIFIED_MEMORY_BYTES):
            try:
                accelerator = _find(name, memory_bytes)
            except UnknownDeviceError:
                continue
            known_bytes = None if memory_bytes else accelerator.memory_bytes
            if memory_bytes is None or accelerator.unified_memory:
                return _Device(accelerator=accelerator, memory_bytes=known_bytes, compute_known=True)
    raise UnknownDeviceError(device)


def _find(name: str, memory_bytes: int | None) -> Accelerator:
    """The device of exactly that name; a name that several devices share is not one."""
    rows = [{**row, "family_names": None} for row in accelerator_rows()]
    return find_accelerator(name, rows, memory_bytes=memory_bytes)


def _apple_device(matches: Sequence[re.Match[str]]) -> _Device:
    """An Apple chip by its number of GPU cores; without it only where the stated bandwidth agrees.

    Chips of one name are sold with fewer cores at (mostly) the same bandwidth, so such rows say something
    about decode and nothing about prefill.
    """

    def said(what: str) -> str | None:
        return next((match[what] for match in matches if match[what]), None)

    name = f"Apple M{said('generation')} {(said('variant') or '').capitalize()}".strip()
    memory_gb, cores, bandwidth = said("memory"), said("cores"), said("bandwidth")
    memory_bytes = int(memory_gb) * GIB if memory_gb else None
    lookup_bytes = memory_bytes or _UNIFIED_MEMORY_BYTES
    if cores:
        accelerator = _find(f"{name} {cores}-core", lookup_bytes)
        return _Device(accelerator=accelerator, memory_bytes=memory_bytes, compute_known=True)
    accelerator = _find(name, lookup_bytes)
    if bandwidth is None or abs(int(bandwidth) * GB / accelerator.memory_bytes_per_s - 1) > 0.03:
        raise UnknownDeviceError(f"{name}: its number of cores and its bandwidth are not said")
    return _Device(accelerator=accelerator, memory_bytes=memory_bytes, compute_known=False)
