"""CLIP and SigLIP image encoders, the towers of most open vision models, and their Idefics and RADIO kin."""

from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.shapes import (
    attention,
    convolution,
    encoder_layer,
    layer_norm,
    linear,
    mlp,
)
from planner.readers.config.towers.wrapper import patches, refuse_unless, side


def sizes(section: ConfigFields, *, hidden: int, inner: int, layers: int) -> tuple[int, int, int]:
    """Width, MLP width and layers, with the reference defaults; the number of heads changes no count."""
    section.unused("num_attention_heads")
    return (
        section.count("hidden_size", default=hidden),
        section.count("intermediate_size", default=inner),
        section.count("num_hidden_layers", default=layers),
    )


def clip(section: ConfigFields) -> int:
    """CLIP: a class token, a patch embedding without bias, a norm before the layers and one after."""
    hidden, inner, layers = sizes(section, hidden=768, inner=3072, layers=12)
    n_positions = patches(section, image_size=224, patch_size=32) + 1
    section.unused("projection_dim", "vocab_size")
    total = _patch_matrix(section, hidden, patch_size=32, bias=False) + hidden + n_positions * hidden
    return total + 2 * layer_norm(hidden) + layers * encoder_layer(hidden, inner)


def siglip(
    section: ConfigFields,
    *,
    hidden: int = 768,
    inner: int = 3072,
    layers: int = 12,
    image_size: int = 224,
    patch_size: int = 16,
    head: bool = True,
) -> int:
    """SigLIP: no class token, a norm after the layers, and a pooling head unless it is left out.

    The numbers, and whether there is a head, are what the reference takes where the config does not say.
    """
    hidden, inner, layers = sizes(section, hidden=hidden, inner=inner, layers=layers)
    total = _patch_matrix(section, hidden, patch_size=patch_size)
    total += patches(section, image_size=image_size, patch_size=patch_size) * hidden
    total += layers * encoder_layer(hidden, inner) + layer_norm(hidden)
    return total + _head(section, hidden, inner, default=head)


def siglip2(section: ConfigFields) -> int:
    """SigLIP 2 for images of any shape: positions are counted directly."""
    hidden, inner, layers = sizes(section, hidden=768, inner=3072, layers=12)
    total = _patch_matrix(section, hidden, patch_size=16)
    total += section.count("num_patches", default=256) * hidden
    return total + layers * encoder_layer(hidden, inner) + layer_norm(hidden) + _head(section, hidden, inner)


def headless(
    section: ConfigFields,
    *,
    hidden: int,
    image_size: int,
    patch_size: int,
    inner: int = 3072,
    layers: int = 12,
    dropped: int = 0,
) -> int:
    """SigLIP without a pooling head, as Idefics and its kin define it again with other defaults.

    `dropped` of its last layers are left out.
    """
    hidden, inner, layers = sizes(section, hidden=hidden, inner=inner, layers=layers)
    layers = max(layers - dropped, 0)
    total = _patch_matrix(section, hidden, patch_size=patch_size)
    total += patches(section, image_size=image_size, patch_size=patch_size) * hidden
    return total + layers * encoder_layer(hidden, inner) + layer_norm(hidden)


def idefics2_vision(section: ConfigFields) -> int:
    """The SigLIP of Idefics 2."""
    return headless(section, hidden=768, image_size=224, patch_size=32)


def idefics3_vision(section: ConfigFields) -> int:
    """The SigLIP of Idefics 3, SmolVLM and Aria."""
    return headless(section, hidden=1152, image_size=224, patch_size=32)


def janus_vision(section: ConfigFields) -> int:
    """Janus: SigLIP with an MLP width given as a ratio, and norms of queries and keys where asked for."""
    section.unused(
        "num_attention_heads", "projection_dim", "depth", "num_image_tokens", "hidden_dropout_rate"
    )
    hidden = section.count("hidden_size", default=1024)
    inner = int(hidden * (section.number("mlp_ratio") or 4.0))
    layer = 2 * layer_norm(hidden) + mlp(hidden, inner)
    layer += attention(hidden, bias=section.flag("attention_bias", default=True), output_bias=True)
    layer += 2 * layer_norm(hidden) if section.flag("use_qk_norm") else 0
    total = _patch_matrix(section, hidden, patch_size=16)
    total += patches(section, image_size=384, patch_size=16) * hidden
    return total + section.count("num_hidden_layers", default=24) * layer + layer_norm(hidden)


def radio(section: ConfigFields) -> int:
    """C-RADIO: class tokens and registers, positions for the largest image, scales on both halves of a layer."""
    section.unused(
        "num_attention_heads", "image_size", "patch_dim", "video_patch_dim", "norm_mean", "norm_std"
    )
    hidden = section.count("hidden_size", default=1280)
    refuse_unless(section, "use_swiglu_ffn", False)
    patch = section.count("patch_size", default=16)
    across = side(section, "max_img_size", default=2048) // patch
    inner = int(hidden * (section.number("mlp_ratio") or 4.0))
    registers = section.maybe_count("num_registers")
    tokens = section.count("num_cls_tokens", default=3) + (7 if registers is None else registers)
    channels = section.count("num_channels", default=3)
    frames = section.count("video_temporal_patch_size", default=2)
    layer = 2 * layer_norm(hidden) + mlp(hidden, inner) + 2 * hidden
    layer += attention(hidden, bias=section.flag("qkv_bias", default=True), output_bias=True)
    total = (across**2 + tokens) * hidden + (1 + frames) * channels * patch**2 * hidden
    summaries = len(section.items("summary_idxs") or (0, 1))  # stored beside the weights
    return total + section.count("num_hidden_layers", default=32) * layer + summaries


def _patch_matrix(section: ConfigFields, hidden: int, *, patch_size: int, bias: bool = True) -> int:
    width = side(section, "patch_size", default=patch_size)
    return convolution(section.count("num_channels", default=3), hidden, width, width, bias=bias)


def _head(section: ConfigFields, hidden: int, inner: int, *, default: bool = True) -> int:
    """Attention pooling: one query, attention, a norm and an MLP."""
    if not section.flag("vision_use_head", default=default):
        return 0
    return hidden + 4 * linear(hidden, hidden) + layer_norm(hidden) + mlp(hidden, inner)
