"""xLSTM: a matrix LSTM and a gated MLP in every layer."""

from planner.errors import MalformedError, UnknownArchitectureError
from planner.model.feed_forward import FeedForward
from planner.model.mlstm import MatrixLstm
from planner.model.network import Network, embeddings
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("xlstm",)


def xlstm_network(fields: ConfigFields) -> Network:
    """The network of an xLSTM config; widths are multiples of the hidden size, rounded up."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size", "embedding_dim")
    vocab_size = fields.count("vocab_size")
    # Repeats, kernels and how states are kept.
    fields.unused("embedding_dim", "num_blocks", "norm_reduction_force_float32", "inference_state_dtype")
    fields.unused("return_last_states", "gate_soft_cap", "weight_mode", "add_out_norm")
    if fields.flag("use_bias"):
        raise UnknownArchitectureError("xlstm: use_bias is on, which is not understood yet")
    factor = _factor(fields, "ffn_proj_factor", 2.667)
    multiple = fields.count("ffn_round_up_to_multiple_of", default=64)
    mixer = MatrixLstm(
        n_heads=fields.count("num_heads"),
        key_width=int(hidden_size * _factor(fields, "qk_dim_factor", 0.5)),
        value_width=int(hidden_size * _factor(fields, "v_dim_factor", 1.0)),
    )
    mlp = FeedForward(intermediate_size=-(-int(hidden_size * factor) // multiple) * multiple)
    tied = tie(fields, default=False)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers([PlannedLayer(mixer, mlp, norm_vectors(hidden_size, 2))] * n_layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
    )


def _factor(fields: ConfigFields, name: str, default: float) -> float:
    value = fields.number(name)
    if value is None:
        return default
    if not 0 < value <= 64:
        raise MalformedError(f"config.json of a xlstm model says a {name} of {value:g}; expected up to 64")
    return value
