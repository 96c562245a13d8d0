"""The network between like machines that serve one copy of a model together."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fabric:
    """Machines of so many GPUs each, and what one GPU sends to other machines: its share of their network cards."""

    gpus_per_machine: int
    bytes_per_s: float  # one way, for each GPU

    def __post_init__(self) -> None:
        if self.gpus_per_machine < 1 or not self.bytes_per_s > 0:
            raise ValueError("a machine has at least one GPU, and a network a rate")

    def machines_of(self, n_ranks: int) -> int:
        """Machines that so many ranks in a row lie on; raises ValueError where they do not fill them alike."""
        if n_ranks <= self.gpus_per_machine:
            return 1
        if n_ranks % self.gpus_per_machine:
            raise ValueError(f"{n_ranks} ranks do not fill machines of {self.gpus_per_machine} GPUs")
        return n_ranks // self.gpus_per_machine
