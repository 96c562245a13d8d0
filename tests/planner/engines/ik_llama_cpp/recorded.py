"""Stand-ins of recorded runs: a catalogue's network, its tensors in told types, its layers on told devices."""

from collections.abc import Mapping
from functools import cache
from math import prod

from planner.engines.llama_cpp.layout import Layout
from planner.model.ggml_types import type_by_name
from planner.model.network import Network
from planner.model.storage import Storage, StoredWeight
from planner.readers.open_model import open_model


@cache
def network(name: str) -> Network:
    """A network of the packaged catalogue."""
    return open_model(name).network


def storage(net: Network, main: str, types: Mapping[str, str] | None = None) -> Storage:
    """Every weight in one type, some roles in others; norms and routers in f32."""
    told = dict(types or {})
    weights: list[StoredWeight] = []
    for group, weight in net.weights():
        name = told.get(weight.role, main)
        if "norm" in weight.role or "gate_inp" in weight.role or len(weight.shape) == 1:
            name = "F32"
        n_bytes = type_by_name(name).row_bytes(weight.shape[0]) * prod(weight.shape[1:])
        weights += [
            StoredWeight(
                role=weight.role,
                layer=layer,
                type_name=name,
                shape=weight.shape,
                n_elements=prod(weight.shape),
                n_bytes=n_bytes,
                use=weight.use,
            )
            for layer in (group.layers if group else (None,))
        ]
    return Storage(label=main, weights=tuple(weights), predicted=True)


def layout(
    net: Network, shares: tuple[int, ...], *, experts_in_ram: bool = False, head: int | None = -1
) -> Layout:
    """Layers in runs over GPUs; the head after the last layer, or where told."""
    layers: tuple[int | None, ...] = tuple(gpu for gpu, n in enumerate(shares) for _ in range(n))
    layers += (None,) * (net.n_layers - len(layers))
    roles = ("ffn_up_exps", "ffn_gate_exps", "ffn_down_exps")
    homes = tuple((i, role, None) for i in range(net.n_layers) for role in roles) if experts_in_ram else ()
    return Layout(
        layers=layers, head=(len(shares) - 1 if shares else None) if head == -1 else head, n_gpus=len(shares),
        homes=homes,
    )  # fmt: skip
