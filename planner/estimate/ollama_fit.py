"""What Ollama does with a model on a machine by itself, and the best that it can be told to do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from hardware.spec import Gpu, Machine
from planner.engines.llama_cpp import Split
from planner.engines.llama_cpp.given_split import GivenSplit
from planner.engines.llama_cpp.weights import plan_layout
from planner.engines.ollama.gpu_choice import OllamaGpu
from planner.engines.ollama.launch import Launch, launch
from planner.engines.ollama.modelfile import Modelfile, OllamaPlan
from planner.engines.ollama.reported import Buffers, ReportedSize, reported_size
from planner.engines.ollama.settings import (
    OllamaEnvironment,
    OllamaHost,
    OllamaModel,
    OllamaOptions,
    fit_margin_bytes,
)
from planner.engines.ollama.versions import CURRENT, FIRST_WITH_LLAMA_SERVER, Version
from planner.errors import MissingFactError
from planner.estimate.described_model import DescribedModel
from planner.estimate.fit import FitRow, fit_row, placed_row
from planner.estimate.memory import Device, devices, layer_devices, memory_loads
from planner.estimate.own_fit import own_fit
from planner.estimate.placement import Placement, place
from planner.estimate.speed import SpeedFacts, decode_speed
from planner.model.network import Network

_F16_BYTES = 2
_WEIGHTS = frozenset(("weights", "experts", "embedding"))
_NOT_PRINTED = frozenset(("engine and driver",))
_LEAST_CONTEXT_TOKENS = 2048  # shorter ones are of little use
_WORTH_A_LINE = 1.02  # a placement is told to Ollama where it decodes faster by so much than its own


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaChoice:
    """A placement in Ollama, the Modelfile and environment for it, and what `ollama ps` then shows."""

    row: FitRow
    plan: OllamaPlan
    reported: ReportedSize
    n_layers_without_experts: int  # layers on a GPU whose experts, all or some, are in main memory

    @property
    def spills(self) -> bool:
        """Whether some of it computes from main memory although there are GPUs."""
        placement = self.row.placement
        has_gpu = any(load.device.is_gpu for load in placement.loads)
        return has_gpu and (
            placement.split.n_gpu_layers <= placement.n_layers or self.n_layers_without_experts > 0
        )

    @property
    def where(self) -> str:
        """Where it runs, in words."""
        placement = self.row.placement
        if not self.n_layers_without_experts or placement.split.n_gpu_layers == 0:
            return placement.kind
        rest = f"experts of {self.n_layers_without_experts} of {placement.n_layers} layers in RAM"
        return rest if placement.split.n_gpu_layers > placement.n_layers else f"{placement.kind}, {rest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaRow:
    """One model at one quantization and context: Ollama's own placement, the best it can be told, and more."""

    is_default_context: bool  # nobody asked for this context: Ollama takes it by itself
    own: OllamaChoice
    best: OllamaChoice
    # The longest half, quarter … of the context at which Ollama by itself has everything on the GPUs, where it has not.
    shorter: OllamaChoice | None
    llama_server: FitRow  # the best that llama-server itself can be told, with the same settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person set, on the command line or in a Modelfile and the environment."""

    options: OllamaOptions
    environment: OllamaEnvironment
    version: Version = CURRENT


def ollama_row(
    model: DescribedModel, machine: Machine, facts: SpeedFacts, asked: Asked, source: str
) -> OllamaRow:
    """Places a model as Ollama would, and as it could be told to; `source` is what the Modelfile starts from."""
    if asked.version < FIRST_WITH_LLAMA_SERVER:
        raise MissingFactError(
            f"Ollama {'.'.join(map(str, asked.version))} split models by an estimate of its own, which the planner does "
            "not know; since 0.30.0 llama-server decides: leave --engine-version out, or give 0.30.0 or later"
        )
    there = _There(model, machine, facts, asked, source)
    own = there.choice(asked.options)
    best = own
    for found in there.told():
        if _rank(found) > _rank(best, handicap=_WORTH_A_LINE):
            best = found
    flags = own.row.placement.flags
    return OllamaRow(
        is_default_context=not asked.options.num_ctx and not asked.environment.context_length,
        own=own,
        best=best,
        shorter=there.without_spill(own) if own.spills else None,
        llama_server=fit_row(model, machine, flags, facts, with_largest_context=False),
    )


def _rank(choice: OllamaChoice, handicap: float = 1.0) -> tuple[bool, float]:
    found = choice.row.decode.tokens_per_s
    return choice.row.placement.fits, 0.0 if found is None else found.expected * handicap


@dataclass(slots=True)
class _There:
    model: DescribedModel
    machine: Machine
    facts: SpeedFacts
    asked: Asked
    source: str

    def choice(self, options: OllamaOptions) -> OllamaChoice:
        """What comes of these options."""
        started = launch(
            ollama_model(self.model),
            options,
            self.asked.environment,
            ollama_host(self.machine),
            self.asked.version,
        )
        gpus, ram = devices(self.machine)
        split = self._split(started, gpus, ram)
        loads = memory_loads(self.model, started.flags, split, gpus, ram)
        placement = Placement(
            split=split, flags=started.flags, loads=loads, n_layers=self.model.network.n_layers
        )
        plan = self._plan(started, options)
        row = placed_row(
            self.model,
            placement,
            self.machine,
            self.facts,
            ("ollama", "create", "planned", "-f", "Modelfile"),
            with_largest_context=False,
        )
        return OllamaChoice(
            row=row,
            plan=plan,
            reported=_reported(self.model, placement, gpus, ram),
            n_layers_without_experts=_layers_without_experts(self.model, placement),
        )

    def _split(self, started: Launch, gpus: Sequence[Device], ram: Device | None) -> Split:
        n_layers = self.model.network.n_layers
        indices = started.choice.indices
        shown = [gpus[index] for index in indices]
        if started.num_gpu is not None:
            split = Split(n_gpu_layers=min(started.num_gpu, n_layers + 1) if shown else 0)
        else:
            split = own_fit(self.model, started.flags, shown, ram, fit_margin_bytes()).split
        if started.choice.is_single and shown and len(gpus) > 1:
            return replace(split, mode="none", main_gpu=indices[0])
        if len(shown) == len(gpus):
            return split
        shares = split.tensor_split or tuple(float(gpu.capacity_bytes) for gpu in shown)
        spread = [0.0] * len(gpus)
        for index, share in zip(indices, shares, strict=True):
            spread[index] = share
        return replace(split, tensor_split=tuple(spread))

    def told(self) -> Iterator[OllamaChoice]:
        """What num_gpu and main_gpu can do beyond what was fixed: the placement search within Ollama's words."""
        options = self.asked.options
        gpus, _ = devices(self.machine)
        if options.num_gpu is not None or not gpus:
            return
        mains: list[int | None] = [options.main_gpu]
        if options.main_gpu is None and len(gpus) > 1:
            mains += range(len(gpus))
        seen = set()
        for main in mains:
            with_main = replace(options, main_gpu=main)
            started = launch(
                ollama_model(self.model), with_main, self.asked.environment, ollama_host(self.machine),
                self.asked.version,
            )  # fmt: skip
            if started.choice in seen:
                continue
            seen.add(started.choice)
            found = self._searched(started, gpus)
            yield self.choice(replace(with_main, num_gpu=found.split.n_gpu_layers))

    def without_spill(self, own: OllamaChoice) -> OllamaChoice | None:
        """Ollama's own placement at half the context, a quarter and so on, where all of it is on the GPUs."""
        flags = own.row.placement.flags
        tokens = flags.n_context_tokens // flags.n_sequences // 2
        while tokens >= _LEAST_CONTEXT_TOKENS:
            found = self.choice(replace(self.asked.options, num_ctx=tokens))
            if found.row.placement.fits and not found.spills:
                return found
            tokens //= 2
        return None

    def _searched(self, started: Launch, gpus: Sequence[Device]) -> Placement:
        indices = started.choice.indices
        if started.choice.is_single or len(indices) == 1:
            given = GivenSplit(mode="none", main_gpu=indices[0], n_cpu_moe=0)
        elif len(indices) == len(gpus):
            given = GivenSplit(mode="layer", n_cpu_moe=0)
        else:
            shares = tuple(
                float(gpu.capacity_bytes) if index in indices else 0.0 for index, gpu in enumerate(gpus)
            )
            given = GivenSplit(tensor_split=shares, n_cpu_moe=0)

        def decode_s(placement: Placement) -> float | None:
            found = decode_speed(self.model, placement, self.machine, self.facts).tokens_per_s
            return None if found is None else 1 / found.expected

        return place(self.model, self.machine, started.flags, given, decode_s=decode_s)

    def _plan(self, started: Launch, options: OllamaOptions) -> OllamaPlan:
        """Everything that decides memory is written out, where another version may have another default."""
        flags = started.flags
        told = replace(options, num_ctx=flags.n_context_tokens // flags.n_sequences, num_batch=flags.n_ubatch)
        environment = self.asked.environment
        if flags.n_sequences > 1:
            environment = replace(environment, num_parallel=flags.n_sequences)
        return OllamaPlan(modelfile=Modelfile(source=self.source, options=told), environment=environment)


def ollama_model(model: DescribedModel) -> OllamaModel:
    """What Ollama's choices depend on of a model."""
    network = model.network
    return OllamaModel(
        family=network.architecture,
        context_tokens=network.context_tokens,
        reads_images=any("vision" in tower.name for tower in network.towers),
        n_layers=network.n_layers,
        file_bytes=model.storage.file_bytes or model.storage.total_bytes,
        f16_cache_bytes_per_token=rough_cache_bytes(network),
    )


def rough_cache_bytes(network: Network) -> int | None:
    """Ollama's guess of the cache of one token: 2 · layers · least KV heads · (H / most heads) · 2 bytes.

    Latent attention counts as one KV head, as its files say. None without any attention.
    """
    mixers = [group.mixer for group in network.groups if getattr(group.mixer, "n_heads", None)]
    heads = [int(getattr(mixer, "n_heads")) for mixer in mixers]  # noqa: B009
    if not heads:
        return None
    kv_heads = min(int(getattr(mixer, "n_kv_heads", 1)) for mixer in mixers)
    return 2 * network.n_layers * kv_heads * (network.hidden_size // max(heads)) * _F16_BYTES


def ollama_host(machine: Machine) -> OllamaHost:
    """The machine as Ollama sees it; GPUs in the order of `devices`."""
    gpus, ram = devices(machine)
    os = (machine.os or "linux").lower()
    return OllamaHost(
        gpus=tuple(_gpu(device) for device in gpus),
        ram_free_bytes=None if ram is None else ram.capacity_bytes,
        ram_bytes=machine.memory.total_bytes if machine.memory else None,
        os="windows" if "windows" in os else "darwin" if "darwin" in os or "mac" in os else "linux",
    )


def _gpu(device: Device) -> OllamaGpu:
    gpu = device.gpu
    memory = device.capacity_bytes if gpu is None or gpu.memory_bytes is None else gpu.memory_bytes
    return OllamaGpu(
        memory_bytes=memory,
        free_bytes=device.capacity_bytes,
        library=device.kind,
        is_integrated=device.shares_ram,
        supports_flash_attention=device.kind != "cuda" or _supports_flash_attention(gpu),
    )


def _supports_flash_attention(gpu: Gpu | None) -> bool:
    """ml/device.go: from compute capability 6.0 on except 7.2; a card of unknown capability is taken as recent."""
    capability = gpu and (gpu.compute_capability or (gpu.accelerator and gpu.accelerator.compute_capability))
    if not capability:
        return True
    major, _, minor = capability.partition(".")
    return int(major) >= 6 and (major, minor) != ("7", "2")


def _layers_without_experts(model: DescribedModel, placement: Placement) -> int:
    """Layers on a GPU of whose experts or feed-forward blocks something lies elsewhere."""
    split = placement.split
    if not split.overrides:
        return 0
    gpus = [load.device for load in placement.loads if load.device.is_gpu]
    where = layer_devices(placement.n_layers, split, gpus)
    layout = plan_layout(model.storage, where, split, [gpu.kind for gpu in gpus], [gpu.name for gpu in gpus])
    return len({layer for layer, _, home in layout.homes if home is None})


def _reported(
    model: DescribedModel, placement: Placement, gpus: Sequence[Device], ram: Device | None
) -> ReportedSize:
    apart = [replace(gpu, shares_ram=False) for gpu in gpus]
    host = ram or Device(name="RAM", is_gpu=False, capacity_bytes=0)
    sizes = {"gpu_weight_bytes": 0, "gpu_other_bytes": 0, "mapped_bytes": 0, "host_other_bytes": 0}
    for load in memory_loads(model, placement.flags, placement.split, apart, host):
        for term in load.terms:
            if term.name in _NOT_PRINTED:
                continue
            is_weight = term.name in _WEIGHTS
            if load.device.is_gpu:
                key = "gpu_weight_bytes" if is_weight else "gpu_other_bytes"
            else:
                key = "mapped_bytes" if is_weight and placement.flags.mmap else "host_other_bytes"
            sizes[key] += round(term.value)
    split = placement.split
    return reported_size(
        Buffers(**sizes),
        everything_on_gpu=bool(gpus) and split.n_gpu_layers > placement.n_layers and not split.overrides,
        file_bytes=None,  # the parts in main memory are counted, not the stretch of the file: nothing is there twice
    )
