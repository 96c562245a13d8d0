"""A machine that can be had: what it is, what an hour of it costs, and how many there are."""

from dataclasses import dataclass
from typing import Literal

from planner.estimate.term import Interval

Deal = Literal["on-demand", "reserved", "spot", "buy", "owned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One kind of machine. It fails as a whole, so that a spare is a machine more.

    `usd_per_hour` is None where nobody knows a price; such a machine can be planned with and not be compared by cost.
    """

    description: str  # as --on takes it: "4x H100 SXM5 80GB", "p5.48xlarge"
    accelerator_id: str | None
    accelerator: str
    n_gpus: int  # of all its nodes
    usd_per_hour: Interval | None  # of the whole machine; its source says how it is had
    deal: Deal
    n_nodes: int = 1  # joined by a network, where a replica spans several
    power_w: float | None = None  # of the whole machine while it serves, where known
    n_available: int | None = None  # None: as many as wanted

    def __post_init__(self) -> None:
        if self.n_nodes < 1 or self.n_gpus % self.n_nodes:
            raise ValueError(
                f"{self.description}: {self.n_gpus} GPUs do not divide over {self.n_nodes} nodes"
            )
        if self.n_gpus < 1 or (self.n_available is not None and self.n_available < 1):
            raise ValueError(f"{self.description}: an offer has at least one GPU and one machine")
