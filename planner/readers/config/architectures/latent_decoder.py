"""DeepSeek V2/V3/V3.2, Kimi K2, GLM-4.7-Flash and GLM-5, Mistral Small 4 and others with latent attention in every layer.

With or without a sparse index, with or without experts.
"""

from dataclasses import replace

from planner.errors import UnknownArchitectureError
from planner.model.experts import Experts
from planner.model.feed_forward import FeedForward
from planner.model.latent import LatentAttention
from planner.model.network import Network, embeddings
from planner.model.weight import Weight, vector
from planner.readers.config.architectures.decoder import extra_prediction, norm_vectors, tie
from planner.readers.config.architectures.latent_parts import (
    latent_attention,
    latent_biases,
    owns_index,
    sparse_index,
)
from planner.readers.config.architectures.layer_plan import (
    PlannedLayer,
    expert_layers,
    group_layers,
    layer_count,
)
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = (
    "axk1", "deepseek_v2", "deepseek_v3", "deepseek_v32", "glm4_moe_lite", "glm_moe_dsa", "kimi_k2", "minicpm3",
    "mistral4", "youtu",
)  # fmt: skip
_LATENT_KINDS = {"deepseek_sparse_attention", "full_attention", "indexed_attention"}
_NO_CORRECTION = ("deepseek_v2", "mistral4")  # routers without a correction bias, unless topk_method says so
_ONE_DENSE_LAYER = ("axk1", "glm4_moe_lite")  # in front, when the config does not say
_NORM_AFTER_EXPERTS = ("axk1",)
# DeepSeek V3 and V3.2 store the embedding table and the head once more in the extra layer; GLM-5 does not.
_COPIED_EMBEDDINGS = ("deepseek_v3", "deepseek_v32")


def latent_network(fields: ConfigFields) -> Network:
    """The network of a DeepSeek-like config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    # V2 routes by softmax and stores no correction bias; "noaux_tc" is the bias of V3.
    method = fields.text("topk_method")
    noaux = method == "noaux_tc" if method else fields.model_type not in _NO_CORRECTION
    experts = mixture(fields, MixtureRules(correction_bias=noaux))
    first = 1 if fields.model_type in _ONE_DENSE_LAYER else 0
    sparse = expert_layers(fields, n_layers, first) if experts else (False,) * n_layers
    dense = FeedForward(intermediate_size=fields.count("intermediate_size"))
    norms = norm_vectors(hidden_size, 2)
    norms += latent_biases(fields, hidden_size)
    sparse_norms = norms
    if fields.model_type in _NORM_AFTER_EXPERTS:
        sparse_norms += (vector("post_ffw_norm", hidden_size),)
    layers = [
        PlannedLayer(mixer, experts if is_sparse else dense, sparse_norms if is_sparse else norms)
        for mixer, is_sparse in zip(_attention_by_layer(fields, n_layers), sparse, strict=True)
    ]
    tied = tie(fields, default=fields.model_type in ("minicpm3", "youtu"))
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
        mtp=_extra(fields, layers, hidden_size, vocab_size, experts),
        context_tokens=fields.positive("max_position_embeddings"),
    )


def _attention_by_layer(fields: ConfigFields, n_layers: int) -> list[LatentAttention]:
    if set(fields.words("layer_types") or ()) - _LATENT_KINDS:
        raise UnknownArchitectureError(
            f"{fields.model_type}: layer_types holds kinds that are not latent attention"
        )
    indexer, top_k_tokens = sparse_index(fields)
    plain = latent_attention(fields)
    if indexer is None:
        return [plain] * n_layers
    follower = replace(plain, top_k_tokens=top_k_tokens)
    owner = replace(follower, indexer=indexer)
    return [owner if owns else follower for owns in owns_index(fields, n_layers)]


def _extra(
    fields: ConfigFields,
    layers: list[PlannedLayer],
    hidden_size: int,
    vocab_size: int,
    experts: Experts | None,
) -> tuple[Weight, ...]:
    last = layers[-1]
    if fields.words("indexer_types") is not None and isinstance(last.mixer, LatentAttention):
        # The extra layer shares an index across its steps (index_share_for_mtp_iteration) but owns one.
        owners = [p.mixer for p in layers if isinstance(p.mixer, LatentAttention) and p.mixer.indexer]
        if not owners:
            raise ValueError("indexer_types gives no layer an index of its own")
        last = PlannedLayer(owners[0], experts or last.block, last.norms)
    kind = "copied_embeddings" if fields.model_type in _COPIED_EMBEDDINGS else "plain"
    return extra_prediction(fields, kind, last, hidden_size, vocab_size)  # type: ignore[arg-type]
