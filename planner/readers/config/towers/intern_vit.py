"""InternViT and the pixel-shuffle projector of InternVL, as converted (`internvl`) and as first published."""

from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.shapes import attention, convolution, layer_norm, linear, mlp
from planner.readers.config.towers.wrapper import patches, refuse_unless, side, vision_section


def intern_vit(section: ConfigFields, *, bias: bool = False) -> int:
    """InternViT under either name of its fields: a class token, scales on both halves of a layer."""
    hidden = section.count("hidden_size", default=1024)
    inner = section.count("intermediate_size", default=4096)
    section.unused("num_attention_heads", "shared_dense", "hidden_dropout_prob", "projection_dropout")
    section.unused("layer_scale_init_value")
    refuse_unless(section, "norm_type", "layer_norm", "rms_norm")
    norm = hidden if section.text("norm_type") == "rms_norm" else layer_norm(hidden)
    layer = 2 * norm + mlp(hidden, inner) + 2 * hidden
    layer += attention(
        hidden, bias=section.flag("attention_bias", "qkv_bias", default=bias), output_bias=True
    )
    layer += 2 * hidden if section.flag("use_qk_norm", "qk_normalization") else 0
    patch = side(section, "patch_size", default=14)
    channels = section.count("num_channels", default=3)
    total = convolution(channels, hidden, patch, patch) + hidden
    if section.flag("use_absolute_position_embeddings", default=True):
        total += (patches(section, image_size=448, patch_size=14) + 1) * hidden
    total += hidden if section.flag("use_mask_token") else 0
    total += 0 if section.flag("use_mean_pooling", default=True) else layer_norm(hidden)
    return total + section.count("num_hidden_layers", default=24) * layer


def shuffle_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """A norm over shuffled pixels, and two matrices into the text width."""
    refuse_unless(config, "ps_version", "v1", "v2")
    ratio = config.number("downsample_ratio") or 0.5
    if not 0.01 <= ratio <= 1:
        raise ValueError(f"a downsample_ratio of {ratio:g}; expected a share of the side, such as 0.5")
    width = vision_section(config).count("hidden_size", default=1024) * int(1 / ratio) ** 2
    return layer_norm(width) + linear(width, text_hidden_size) + linear(text_hidden_size, text_hidden_size)
