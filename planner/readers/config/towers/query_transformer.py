"""The query transformer of BLIP-2, in which learned queries read an encoder's output."""

from planner.errors import UnknownArchitectureError
from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.shapes import layer_norm, linear, mlp


def query_transformer(section: ConfigFields) -> int:
    """Layers of self-attention, cross-attention in every second one, and an MLP; queries alone, no text."""
    hidden = section.count("hidden_size", default=768)
    inner = section.count("intermediate_size", default=3072)
    layers = section.count("num_hidden_layers", default=12)
    every = section.count("cross_attention_frequency", default=2)
    seen = section.count("encoder_hidden_size", default=1408)
    section.unused("num_attention_heads", "vocab_size", "max_position_embeddings", "position_embedding_type")
    if section.flag("use_qformer_text_input"):
        raise UnknownArchitectureError("a query transformer that also reads text is not understood yet")
    layer = 4 * linear(hidden, hidden) + layer_norm(hidden) + mlp(hidden, inner) + layer_norm(hidden)
    crossing = 2 * linear(hidden, hidden) + 2 * linear(seen, hidden) + layer_norm(hidden)
    return layer_norm(hidden) + layers * layer + -(-layers // every) * crossing
