"""Mamba, Falcon-Mamba and Mamba-2 without attention: one mixer and one norm a layer."""

from planner.model.mamba1 import Mamba1
from planner.model.mamba2 import Mamba2
from planner.model.network import Mixer, Network, embeddings
from planner.model.weight import vector
from planner.readers.config.architectures.decoder import tie
from planner.readers.config.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("mamba", "falcon_mamba", "mamba2")


def pure_mamba_network(fields: ConfigFields) -> Network:
    """The network of a Mamba config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size", "d_model")
    vocab_size = fields.count("vocab_size")
    fields.unused("d_model", "d_inner", "n_layer")  # repeat other fields in converted configs
    mixer = _mamba2(fields, hidden_size) if fields.model_type == "mamba2" else _mamba1(fields, hidden_size)
    layer = PlannedLayer(mixer, None, (vector("attn_norm", hidden_size),))
    tied = tie(fields, default=fields.model_type != "mamba2")
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers([layer] * n_layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
    )


def _mamba1(fields: ConfigFields, hidden_size: int) -> Mixer:
    inner = fields.positive("intermediate_size") or fields.count("expand") * hidden_size
    rank = fields.raw("time_step_rank")
    fields.unused("expand", "mixer_rms_eps", "rescale_prenorm_residual")
    return Mamba1(
        inner_size=inner,
        state_size=fields.count("state_size"),
        time_step_rank=-(-hidden_size // 16) if rank in (None, "auto") else fields.count("time_step_rank"),
        conv_kernel=fields.count("conv_kernel"),
        conv_bias=fields.flag("use_conv_bias", default=True),
        projection_bias=fields.flag("use_bias"),
    )


def _mamba2(fields: ConfigFields, hidden_size: int) -> Mixer:
    fields.unused("expand", "time_step_rank", "norm_before_gate", "rms_norm")
    n_heads, head_dim = fields.count("num_heads"), fields.count("head_dim")
    expanded = fields.positive("expand")
    if expanded is not None and expanded * hidden_size != n_heads * head_dim:
        raise ValueError(f"{n_heads} heads of {head_dim} are not {expanded} × the hidden size {hidden_size}")
    return Mamba2(
        n_heads=n_heads,
        head_dim=head_dim,
        state_size=fields.count("state_size"),
        n_groups=fields.count("n_groups"),
        conv_kernel=fields.count("conv_kernel"),
        conv_bias=fields.flag("use_conv_bias", default=True),
        projection_bias=fields.flag("use_bias"),
    )
