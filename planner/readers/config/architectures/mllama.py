"""The text of Llama 3.2 Vision: a Llama in which some layers attend to an image instead of the text."""

from planner.errors import MalformedError
from planner.model.attention import Attention
from planner.model.cross_attention import CrossAttention
from planner.model.feed_forward import FeedForward
from planner.model.network import Network, embeddings
from planner.model.weight import Use, Weight, vector
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("mllama_text_model",)

_SPARE_ROWS = 8  # the embedding table has rows for marks that the output head does not predict
_CROSS_LAYERS = (3, 8, 13, 18, 23, 28, 33, 38)


def mllama_network(fields: ConfigFields) -> Network:
    """The network of a Llama 3.2 Vision text config; how many patches an image has stands beside it."""
    n_layers = layer_count(fields) if fields.has("num_hidden_layers") else 40
    hidden_size = fields.count("hidden_size", default=4096)
    vocab_size = fields.count("vocab_size", default=128_256)
    n_heads = fields.count("num_attention_heads", default=32)
    n_kv_heads = fields.count("num_key_value_heads", default=8)
    if hidden_size % n_heads:
        raise ValueError(f"a hidden size of {hidden_size} does not divide over {n_heads} heads")
    head_dim = hidden_size // n_heads
    given = fields.counts("cross_attention_layers")
    crossing = _CROSS_LAYERS if given is None else given
    if len(set(crossing)) != len(crossing) or any(i >= n_layers for i in crossing):
        raise MalformedError(
            f"config.json: cross_attention_layers do not lie in the model's {n_layers} layers"
        )
    attention = Attention(
        n_heads=n_heads, n_kv_heads=n_kv_heads, key_head_dim=head_dim, value_head_dim=head_dim
    )
    n_image_tokens = _image_tokens(fields)
    to_image = CrossAttention(
        n_heads=n_heads, n_kv_heads=n_kv_heads, head_dim=head_dim, n_image_tokens=n_image_tokens
    )
    block = FeedForward(intermediate_size=fields.count("intermediate_size", default=14_336))
    norms = norm_vectors(hidden_size, 2)
    gates = (vector("cross_attn_attn_gate", 1), vector("cross_attn_mlp_gate", 1))
    layers = [
        PlannedLayer(to_image, block, norms + gates)
        if i in crossing
        else PlannedLayer(attention, block, norms)
        for i in range(n_layers)
    ]
    tied = tie(fields, default=False)
    outer = embeddings(hidden_size, vocab_size, tied=tied)
    spare = Weight(role="token_embd.spare", shape=(hidden_size, _SPARE_ROWS), use=Use.TABLE)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=(*outer, spare),
        context_tokens=fields.positive("max_position_embeddings") or 131_072,
        notes=(_image_note(n_image_tokens, len(crossing)),),
    )


def _image_note(n_image_tokens: int, n_layers: int) -> str:
    return (
        f"the cache counts one image of {n_image_tokens:,} patches, held once in {n_layers} layers; "
        "each further image adds as much, and text alone has none"
    )


def _image_tokens(fields: ConfigFields) -> int:
    """Patches of an image cut into as many tiles as the tower takes, a class token with each tile."""
    vision = fields.parent.section("vision_config") if fields.parent else None
    vision = vision or ConfigFields({}, fields.model_type)
    across = vision.count("image_size", default=448) // vision.count("patch_size", default=14)
    return vision.count("max_num_tiles", default=4) * (across**2 + 1)
