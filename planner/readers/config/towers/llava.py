"""Wrappers that put a projector of one or two matrices behind an image encoder: LLaVA and its many kin."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.contrastive import siglip
from planner.readers.config.towers.encoders import encoder, encoder_width
from planner.readers.config.towers.shapes import layer_norm, linear, two_layer_projector
from planner.readers.config.towers.wrapper import Wrapper, vision_section


def _features(config: ConfigFields, default: int = 1) -> int:
    """How many of the encoder's layers are handed on side by side."""
    layers = config.raw("vision_feature_layer")
    if isinstance(layers, list) and layers:
        return len(layers)
    return default if layers is None else 1


def llava_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """Into the text width, and once more at that width."""
    config.unused("projector_hidden_act", "image_seq_length")
    bias = config.flag("multimodal_projector_bias", default=True)
    width = encoder_width(config) * _features(config)
    total = linear(width, text_hidden_size, bias=bias)
    return total + linear(text_hidden_size, text_hidden_size, bias=bias)


def newline_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """LLaVA-NeXT's: the same, and a learned end of line for images cut into tiles."""
    return llava_projector(config, text_hidden_size) + text_hidden_size


def vip_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """ViP-LLaVA's: five layers of the encoder side by side, normalised first."""
    width = encoder_width(config) * _features(config, 5)
    config.unused("projector_hidden_act", "projector_layernorm_eps")
    return layer_norm(width) + linear(width, text_hidden_size) + linear(text_hidden_size, text_hidden_size)


def gated_shuffle_projector(
    config: ConfigFields, text_hidden_size: int, *, normed: bool, inner: int | None
) -> int:
    """Cohere's: neighbouring patches side by side, then a gated MLP that halves its inner width."""
    width = encoder_width(config)
    width *= config.count("downsample_factor", default=2) ** 2
    middle = config.count("alignment_intermediate_size", default=inner or text_hidden_size)
    total = layer_norm(width) if normed else 0
    return total + linear(width, middle) + linear(middle // 2, text_hidden_size)


def paligemma_projector(config: ConfigFields, _text_hidden_size: int) -> int:
    """PaliGemma's: one matrix with a bias, into the width that the config names."""
    width = encoder_width(config)
    vision_section(config).unused("projection_dim", "num_image_tokens", "projector_hidden_act")
    config.unused("hidden_size")
    return linear(width, config.count("projection_dim", default=2048))


def gemma3_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """Gemma 3's SigLIP; no release has a pooling head, also where the config leaves `vision_use_head` out."""
    return siglip(vision_section(config), head=False)


def gemma3_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """Gemma 3's: a norm and one matrix."""
    width = encoder_width(config)
    return width + width * text_hidden_size


def plain_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """DeepSeek-VL's: into the text width, and once more at that width, always with biases."""
    return two_layer_projector(encoder_width(config), text_hidden_size)


def hyperclovax_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """HyperCLOVA X's: one matrix from the merger's output into the text width."""
    return linear(vision_section(config).count("out_hidden_size", default=3584), text_hidden_size)


def perception_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """Perception LM's: two matrices behind an encoder whose width stands among its arguments."""
    arguments = vision_section(config).section("model_args")
    width = arguments.count("embed_dim", default=1024) if arguments else 1024
    return two_layer_projector(width, text_hidden_size)


def lfm2_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """LFM2-VL's: shuffled pixels, normed where asked for, through a width of its own."""
    width = encoder_width(config)
    width *= config.count("downsample_factor", default=2) ** 2
    middle = config.count("projector_hidden_size", default=2560)
    bias = config.flag("projector_bias", default=True)
    total = layer_norm(width) if config.flag("projector_use_layernorm", default=True) else 0
    return total + linear(width, middle, bias=bias) + linear(middle, text_hidden_size, bias=bias)


_CLIP = encoder("clip_vision_model")
_SIGLIP = encoder("siglip_vision_model")

WRAPPERS: Final[Mapping[str, Wrapper]] = MappingProxyType(
    {
        "llava": Wrapper(
            text="llama",
            parts=(("vision tower", _CLIP), ("vision projector", llava_projector)),
            text_at_top=True,
        ),
        "vipllava": Wrapper(
            text="llama", parts=(("vision tower", _CLIP), ("vision projector", vip_projector))
        ),
        "video_llava": Wrapper(
            text="llama",
            parts=(("image tower", _CLIP), ("video tower", _CLIP), ("vision projector", llava_projector)),
        ),
        "llava_onevision": Wrapper(
            text="qwen2", parts=(("vision tower", _SIGLIP), ("vision projector", newline_projector))
        ),
        "aya_vision": Wrapper(
            text="cohere2",
            parts=(
                ("vision tower", _SIGLIP),
                ("vision projector", partial(gated_shuffle_projector, normed=True, inner=None)),
            ),
        ),
        "cohere2_vision": Wrapper(
            text="cohere2",
            parts=(
                ("vision tower", _SIGLIP),
                ("vision projector", partial(gated_shuffle_projector, normed=False, inner=36_864)),
            ),
        ),
        "paligemma": Wrapper(
            text="gemma", parts=(("vision tower", _SIGLIP), ("vision projector", paligemma_projector))
        ),
        "deepseek_vl": Wrapper(
            text="llama", parts=(("vision tower", _SIGLIP), ("vision projector", plain_projector))
        ),
        "perception_lm": Wrapper(
            text="llama",
            parts=(("vision tower", encoder("timm_wrapper")), ("vision projector", perception_projector)),
        ),
        "fast_vlm": Wrapper(
            text="qwen2",
            parts=(
                ("vision tower", encoder("timm_wrapper")),
                ("vision projector", llava_projector),
            ),
        ),
        "hyperclovax_vision_v2": Wrapper(
            text="hyperclovax",
            parts=(
                ("vision tower", encoder("qwen2_5_vl_vision")),
                ("vision projector", hyperclovax_projector),
            ),
        ),
        "lfm2_vl": Wrapper(
            text="lfm2",
            parts=(("vision tower", encoder("siglip2_vision_model")), ("vision projector", lfm2_projector)),
        ),
    }
    | dict.fromkeys(
        ("llava_next", "llava_next_video"),
        Wrapper(text="llama", parts=(("vision tower", _CLIP), ("vision projector", newline_projector))),
    )
    | dict.fromkeys(
        ("gemma3", "shieldgemma2"),
        Wrapper(
            text="gemma3_text", parts=(("vision tower", gemma3_tower), ("vision projector", gemma3_projector))
        ),
    )
)
