"""A model's own prediction layers (MTP) as work: what drafting one token with them reads."""

from collections import defaultdict

from planner.errors import MissingFactError
from planner.model.network import Network
from planner.model.storage import Storage
from planner.model.weight import Use
from planner.speed.work import ClassWeights, LayerWork, ModelWork, type_class

# Copies of what the model has already: the table of embeddings, of which a token reads a row, and the head.
_COPIES = ("nextn.embed_tokens", "nextn.shared_head_head")


def extra_layer_work(network: Network, storage: Storage, main: ModelWork) -> ModelWork:
    """The extra prediction layers with the model's head; one pass drafts one token.

    Raises MissingFactError where the weights hold none.
    """
    sums: dict[tuple[str, bool, float], list[float]] = defaultdict(lambda: [0.0, 0.0])
    matrices = {weight.role for weight in network.mtp if weight.use is Use.MATMUL}
    n_tensors = 0
    for weight in storage.weights:
        if weight.layer is None or weight.layer < network.n_layers or weight.role in _COPIES:
            continue
        entry = sums[type_class(weight.type_name), weight.is_expert, weight.active_fraction]
        entry[0] += weight.n_bytes
        entry[1] += weight.n_elements if weight.role in matrices else 0
        n_tensors += 1
    if not sums:
        raise MissingFactError(
            f"{network.architecture} has no extra prediction layers here; take a file converted with them, or a "
            "draft model with --draft"
        )
    weights = tuple(
        ClassWeights(
            type_class=name,
            is_expert=is_expert,
            active_fraction=fraction,
            n_bytes=n_bytes,
            n_elements=n_elements,
        )
        for (name, is_expert, fraction), (n_bytes, n_elements) in sums.items()
    )
    # Whatever the layers before are, an extra layer attends as the last of them that keeps a cache does.
    mixer = next(
        (layer.mixer for layer in reversed(main.layers) if layer.mixer and layer.mixer.token_caches), None
    )
    return ModelWork(
        key=main.key,
        architecture=main.architecture,
        hidden_size=main.hidden_size,
        layers=(LayerWork(weights=weights, n_tensors=n_tensors, mixer=mixer),),
        head=main.head,
    )
