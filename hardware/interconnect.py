"""How the accelerators of a machine reach each other, and how the machine reaches its neighbours."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Interconnect:
    """Links inside and outside of one machine, one way each; None where nobody said."""

    gpu_link: str | None = None  # "NVSwitch", "NVLink3 bridge", "ICI 2D torus"; None for PCI Express alone
    gpu_link_bytes_per_s: float | None = None  # one way, of each accelerator
    n_nics: int | None = None
    nic_bytes_per_s: float | None = None  # one way, each

    @property
    def network_bytes_per_s(self) -> float | None:
        """One way, over all network cards together."""
        if self.n_nics is None or self.nic_bytes_per_s is None:
            return None
        return self.n_nics * self.nic_bytes_per_s

    @property
    def has_switch(self) -> bool:
        """Whether every accelerator reaches every other at the full rate of its links."""
        return self.gpu_link is not None and "switch" in self.gpu_link.casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkLink:
    """A network between two machines: what it carries one way, and how long a message and its answer take."""

    bytes_per_s: float
    round_trip_s: float
