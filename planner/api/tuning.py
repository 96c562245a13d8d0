"""Fine-tuning a model: what it needs, whether a machine has it, and what would have to give."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hardware.spec import Machine
from planner.api.machines import machine_for
from planner.api.models import open_model
from planner.engines.tuning.settings import TuningSettings
from planner.errors import MissingFactError
from planner.estimate.memory import Device, devices
from planner.estimate.tuning import TuningEstimate, tuning_estimate
from planner.estimate.tuning_limits import Alternative, TuningLimits, cheaper_ways, tuning_limits
from planner.model.opened_model import OpenedModel
from planner.progress import Progress


@dataclass(frozen=True, kw_only=True)
class TuneAnswer:
    """Everything `planner tune REF` says."""

    machine: Machine
    opened: OpenedModel
    estimate: TuningEstimate
    gpus: tuple[Device, ...]  # that take part; empty where the machine has none
    ram_bytes: int | None
    limits: TuningLimits | None  # None without a GPU
    alternatives: tuple[Alternative, ...]
    notes: tuple[str, ...]

    @property
    def capacity_bytes(self) -> int | None:
        """Memory of the smallest GPU that takes part."""
        return min((gpu.capacity_bytes for gpu in self.gpus), default=None)

    @property
    def host_fits(self) -> bool:
        """Whether RAM holds what is offloaded to it; an unknown RAM is not doubted."""
        return self.ram_bytes is None or self.estimate.host_bytes <= self.ram_bytes


def tune(
    text: str,
    *,
    settings: TuningSettings,
    on: str | Machine | None = None,
    all_gpus: bool = False,
    quantizes_experts: bool = True,
    assume: Sequence[str] = (),
    progress: Progress | None = None,
) -> TuneAnswer:
    """What tuning a model in this way needs, term by term, against a machine's GPUs.

    With `all_gpus` the settings' number of GPUs becomes the machine's.
    """
    machine = machine_for(on)
    opened = open_model(text, assume, progress)
    found, ram = devices(machine)
    if all_gpus and found:
        settings = replace(settings, n_gpus=len(found))
    if found and settings.n_gpus > len(found):
        raise MissingFactError(
            f"{settings.n_gpus} GPUs asked for, {machine.name} has {len(found)}; name a machine with --on, such "
            f'as "{settings.n_gpus}x RTX 4090"'
        )
    network = opened.network
    estimate = tuning_estimate(network, settings, quantizes_experts=quantizes_experts)
    gpus = found[: settings.n_gpus]
    capacity = min((gpu.capacity_bytes for gpu in gpus), default=None)
    limits = None
    if capacity is not None:
        limits = tuning_limits(network, settings, capacity, quantizes_experts=quantizes_experts)
    return TuneAnswer(
        machine=machine,
        opened=opened,
        estimate=estimate,
        gpus=gpus,
        ram_bytes=ram.capacity_bytes if ram else None,
        limits=limits,
        alternatives=cheaper_ways(network, settings, quantizes_experts=quantizes_experts),
        notes=(*opened.notes, *_notes(opened, settings, quantizes_experts=quantizes_experts)),
    )


def _notes(opened: OpenedModel, settings: TuningSettings, *, quantizes_experts: bool) -> list[str]:
    network = opened.network
    notes = []
    if network.towers:
        notes.append(f"without the {' and '.join(tower.name for tower in network.towers)}: text layers only")
    if network.mtp:
        notes.append("without the extra prediction layers, which transformers does not load for tuning")
    if settings.method == "qlora" and network.is_mixture_of_experts() and quantizes_experts:
        notes.append(
            "routed experts counted as quantized; bitsandbytes in transformers 5 passes over them (they are one "
            "3-D parameter there), --plain-experts says what it needs then"
        )
    if settings.n_tokens > (network.context_tokens or settings.n_tokens):
        notes.append(f"the model was trained for {network.context_tokens:,} tokens")
    return notes
