"""Meta's vision towers: Llama 4, and Llama 3.2 Vision (`mllama`), whose text reads images by cross-attention."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.shapes import attention, encoder_layer, layer_norm, linear, mlp
from planner.readers.config.towers.wrapper import Wrapper, patches, side, vision_section

# Published configs of Llama 4 leave vision_config out; this is the one tower that it was released with.
RELEASED_LLAMA4: Final[Mapping[str, object]] = MappingProxyType(
    {
        "hidden_size": 1408,
        "num_hidden_layers": 34,
        "intermediate_size": 5632,
        "patch_size": 14,
        "image_size": 336,
        "projector_input_dim": 4096,
        "projector_output_dim": 4096,
        "vision_output_dim": 4096,
    }
)


def _llama4_section(config: ConfigFields) -> ConfigFields:
    return config.section("vision_config") or ConfigFields(RELEASED_LLAMA4, config.model_type, config)


def llama4_vision(config: ConfigFields, _text_hidden_size: int) -> int:
    """Llama 4: a class token, and a pixel-shuffle MLP without biases behind the layers."""
    section = _llama4_section(config)
    hidden = section.count("hidden_size", default=768)
    section.unused("num_attention_heads", "pixel_shuffle_ratio")  # the MLP's input is intermediate_size
    inner = section.count("intermediate_size", default=5632)
    positions = patches(section, image_size=448, patch_size=14) + 1
    patch = section.count("num_channels", default=3) * side(section, "patch_size", default=14) ** 2
    middle = section.count("projector_output_dim", default=4096)
    total = patch * hidden + hidden + positions * hidden + 2 * layer_norm(hidden)
    total += section.count("num_hidden_layers", default=34) * encoder_layer(hidden, inner)
    return total + inner * section.count("projector_input_dim", default=4096) + middle**2


def llama4_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """One matrix."""
    section = _llama4_section(config)
    section.unused("multi_modal_projector_bias")
    return section.count("vision_output_dim", default=7680) * text_hidden_size


def mllama_vision(config: ConfigFields, _text_hidden_size: int) -> int:
    """Llama 3.2 Vision: tiles of one image side by side, gated global layers, positions by shape of image."""
    section = vision_section(config)
    hidden = section.count("hidden_size", default=1280)
    section.unused("attention_heads", "num_attention_heads", "intermediate_layers_indices")
    section.unused("return_dict_in_generate", "vision_output_dim")
    inner = section.count("intermediate_size", default=5120)
    positions = patches(section, image_size=448, patch_size=14) + 1
    tiles = section.count("max_num_tiles", default=4)
    ratios = section.items("supported_aspect_ratios")
    shapes = 1 + (8 if ratios is None else len(ratios))
    section.unused("max_aspect_ratio_id")
    layer = 2 * layer_norm(hidden) + attention(hidden, bias=False) + mlp(hidden, inner)
    patch = section.count("num_channels", default=3) * side(section, "patch_size", default=14) ** 2
    total = patch * hidden + hidden + 2 * layer_norm(hidden)
    total += 1 + positions * hidden + shapes * tiles * positions * hidden
    total += 2 * (1 + shapes * tiles * hidden)
    total += section.count("num_hidden_layers", default=32) * layer
    return total + section.count("num_global_layers", default=8) * (layer + 2)


def mllama_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """One matrix with a bias."""
    return linear(vision_section(config).count("vision_output_dim", default=7680), text_hidden_size)


WRAPPERS: Final[Mapping[str, Wrapper]] = MappingProxyType(
    {
        "llama4": Wrapper(
            text="llama4_text",
            parts=(("vision tower", llama4_vision), ("vision projector", llama4_projector)),
            told_without=(
                (
                    "vision_config",
                    "the config has no vision_config; counted with the one vision tower that Llama 4 came with",
                ),
            ),
        ),
        "mllama": Wrapper(
            text="mllama_text_model",
            parts=(("vision tower", mllama_vision), ("vision projector", mllama_projector)),
        ),
    }
)
