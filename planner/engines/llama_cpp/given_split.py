"""What somebody fixed about where layers go; the rest is free to be searched."""

from dataclasses import dataclass
from typing import Literal

from planner.engines.llama_cpp.split import Split, TensorOverride


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenSplit:
    """A person's own flags for the placement; None leaves one to the planner."""

    n_gpu_layers: int | None = None
    n_cpu_moe: int | None = None
    tensor_split: tuple[float, ...] | None = None
    mode: Literal["layer", "row", "tensor", "none"] | None = None
    main_gpu: int | None = None
    overrides: tuple[TensorOverride, ...] = ()

    @property
    def is_free(self) -> bool:
        """Whether nothing was fixed."""
        return self == FREE

    def settled(self, n_layers: int) -> Split:
        """The split when what was left open takes llama.cpp's own defaults: all layers on the GPUs."""
        return Split(
            n_gpu_layers=n_layers + 1 if self.n_gpu_layers is None else min(n_layers + 1, self.n_gpu_layers),
            n_cpu_moe=min(n_layers, self.n_cpu_moe or 0),
            tensor_split=self.tensor_split,
            mode=self.mode or "layer",
            main_gpu=self.main_gpu or 0,
            overrides=self.overrides,
        )


FREE = GivenSplit()
