"""A model as the estimator needs it: what the network is and how its weights are stored."""

from dataclasses import dataclass
from functools import cached_property

from planner.model.network import Network
from planner.model.storage import Storage, StoredWeight
from planner.speed.work import ModelWork, model_work


@dataclass(frozen=True, kw_only=True)
class DescribedModel:
    """One model at one quantization."""

    name: str
    network: Network
    storage: Storage
    file_name: str | None = None
    fingerprint: str | None = None  # of the GGUF header, to find benchmarks of the same file

    @cached_property
    def layers(self) -> tuple["LayerWeights", ...]:
        """Bytes of each layer of the language model, experts apart."""
        fixed = [0] * self.network.n_layers
        experts = [0] * self.network.n_layers
        read = [0.0] * self.network.n_layers
        expert_read = [0.0] * self.network.n_layers
        for weight in self.storage.weights:
            if weight.layer is None or weight.layer >= self.network.n_layers:
                continue
            if weight.is_expert:
                experts[weight.layer] += weight.n_bytes
                expert_read[weight.layer] += weight.read_bytes_per_token
            else:
                fixed[weight.layer] += weight.n_bytes
                read[weight.layer] += weight.read_bytes_per_token
        return tuple(LayerWeights(*row) for row in zip(fixed, experts, read, expert_read, strict=True))

    @cached_property
    def work(self) -> ModelWork:
        """Its layers as the speed model needs them."""
        return model_work(self.network, self.storage)

    @cached_property
    def embedding_bytes(self) -> int:
        """Bytes of the token embedding table, which llama.cpp keeps in RAM."""
        return self._outer_bytes("token_embd")

    @cached_property
    def head_bytes(self) -> int:
        """Bytes of the output head and final norm; a tied head is a copy of the embedding table."""
        head = self._outer_bytes("output") or self.embedding_bytes
        rest = sum(w.n_bytes for w in self._outer if w.role not in ("token_embd", "output"))
        return head + rest

    @cached_property
    def extra_bytes(self) -> int:
        """Bytes of extra prediction layers that are in the file."""
        n = self.network.n_layers
        return sum(w.n_bytes for w in self.storage.weights if w.layer is not None and w.layer >= n)

    @cached_property
    def matmul_parameters_per_token(self) -> float:
        """Weights that a prompt token is multiplied with: the head counts only for the last one."""
        n = 0.0
        for weight in self.storage.weights:
            if weight.use == "matmul":
                n += weight.n_elements * weight.active_fraction
        return n

    @cached_property
    def head_parameters(self) -> int:
        """Elements of the vocabulary projection."""
        return sum(w.n_elements for w in self.storage.weights if w.use == "head")

    @property
    def _outer(self) -> tuple[StoredWeight, ...]:
        return tuple(weight for weight in self.storage.weights if weight.layer is None)

    def _outer_bytes(self, role: str) -> int:
        return sum(weight.n_bytes for weight in self._outer if weight.role == role)


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """Stored and read bytes of one layer, its routed experts apart from the rest."""

    fixed_bytes: int
    expert_bytes: int
    fixed_read_bytes: float
    expert_read_bytes: float
