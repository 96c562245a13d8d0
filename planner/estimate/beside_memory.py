"""What lies beside a model in llama.cpp: a projector, a draft model, the context of MTP layers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hardware.spec import Basis
from planner.engines.llama_cpp import LlamaCppFlags, Split
from planner.engines.llama_cpp.draft import draft_flags, mtp_compute_bytes, mtp_kv_bytes
from planner.engines.llama_cpp.projector import (
    ProjectorShape,
    largest_positions,
    projector_compute_bytes,
    start_positions,
)
from planner.estimate.described_model import DescribedModel
from planner.estimate.memory import Device, DeviceLoad, memory_loads
from planner.estimate.term import Term
from planner.model.network import Network

_ONCE = "engine and driver"  # belongs to the process, and is counted with the model itself


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What is to run beside a model: a projector's terms and its file, a draft model and its file, MTP layers."""

    projector: tuple[Term, ...] = ()
    projector_file: str | None = None
    draft: DescribedModel | None = None
    own_layers: Network | None = None  # the model's, where its extra prediction layers draft

    def laid_beside(
        self,
        loads: Sequence[DeviceLoad],
        flags: LlamaCppFlags,
        gpus: Sequence[Device],
        ram: Device | None,
    ) -> tuple[DeviceLoad, ...]:
        """A model's loads with everything beside it: the projector on the first GPU, the draft on all of them."""
        found = list(loads)
        if self.projector and found:
            found[0] = replace(found[0], terms=(*found[0].terms, *self.projector))
        if self.draft is not None:
            split = Split(n_gpu_layers=self.draft.network.n_layers + 1 if gpus else 0)
            drafts = draft_loads(self.draft, flags, split, gpus, ram)
            found = [
                replace(load, terms=(*load.terms, *draft.terms))
                for load, draft in zip(found, drafts, strict=True)
            ]
        if self.own_layers is not None and found:
            # They lie with the model's last layers, and their context with them.
            last = max((i for i, load in enumerate(found) if load.device.is_gpu and load.terms), default=-1)
            extra = mtp_terms(self.own_layers, flags)
            found[last] = replace(found[last], terms=(*found[last].terms, *extra))
        return tuple(found)


NOTHING = Beside()


def projector_terms(
    shapes: Sequence[ProjectorShape],
    weight_bytes: int,
    *,
    flash_attention: bool = True,
    most_image_tokens: int | None = None,
    largest_image: bool = True,
) -> tuple[Term, ...]:
    """What --mmproj puts on its one device: the first GPU, or RAM with --no-mmproj-offload.

    Each encoder has buffers of its own. llama.cpp starts with those of a middling image and enlarges them
    when a larger one comes; `largest_image` plans for that.
    """
    terms = [
        Term(name="projector", value=weight_bytes, unit="bytes", basis=Basis.MEASURED, source="tensor table")
    ]
    for shape in shapes:
        n = largest_positions(shape, most_image_tokens) if largest_image else start_positions(shape)
        n_bytes = projector_compute_bytes(shape, n, flash_attention=flash_attention)
        what = "largest image" if largest_image else "image tried at start"
        terms.append(
            Term(name="projector compute", value=n_bytes, unit="bytes", basis=Basis.DERIVED,
                 source=f"llama.cpp rule for {shape.kind}, {what}, {n:,} positions")
        )  # fmt: skip
    return tuple(terms)


def draft_loads(
    draft: DescribedModel,
    target: LlamaCppFlags,
    split: Split,
    gpus: Sequence[Device],
    ram: Device | None,
    *,
    k_type: str = "F16",
    v_type: str = "F16",
) -> tuple[DeviceLoad, ...]:
    """What a draft model (-md) puts on each device, its terms named as its own; the driver counts once.

    `split` is the draft's: -ngld layers, by default all of them.
    """
    flags = draft_flags(target, k_type=k_type, v_type=v_type)
    return tuple(
        DeviceLoad(
            device=load.device,
            terms=tuple(
                replace(term, name=f"draft {term.name}") for term in load.terms if term.name != _ONCE
            ),
        )
        for load in memory_loads(draft, flags, split, gpus, ram)
    )


def mtp_terms(
    network: Network, target: LlamaCppFlags, *, k_type: str = "F16", v_type: str = "F16"
) -> tuple[Term, ...]:
    """What a context over a model's own prediction layers adds; their weights lie with the model."""
    flags = draft_flags(target, k_type=k_type, v_type=v_type)
    return (
        Term(name="draft KV cache", value=mtp_kv_bytes(network, flags), unit="bytes", basis=Basis.DERIVED,
             source=f"extra prediction layers, {k_type} K and {v_type} V"),
        Term(name="draft compute", value=mtp_compute_bytes(network, flags), unit="bytes", basis=Basis.ASSUMED,
             source="the widest moment of one layer; held against the engine for GLM-4.5-Air alone"),
    )  # fmt: skip
