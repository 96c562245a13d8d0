"""Idefics 2 and 3, SmolVLM, Aria: SigLIP towers with a resampler or a single matrix behind them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.encoders import encoder
from planner.readers.config.towers.shapes import layer_norm, linear, mlp
from planner.readers.config.towers.wrapper import Wrapper, needed_section, vision_section


def idefics2_connector(config: ConfigFields, text_hidden_size: int) -> int:
    """A gated MLP into the text width, then layers in which learned queries read the image."""
    text = needed_section(config, "text_config")
    width = vision_section(config).count("hidden_size", default=768)
    inner = text.count("intermediate_size", default=14_336)
    total = 2 * width * inner + inner * text_hidden_size
    fields = config.section("perceiver_config") or ConfigFields({}, config.model_type, config)
    fields.unused("hidden_size")  # the reference sets it to the text width
    hidden = text_hidden_size
    n_latents = fields.count("resampler_n_latents", default=64)
    depth = fields.count("resampler_depth", default=3)
    head_dim = fields.count("resampler_head_dim", default=96)
    inside = fields.count("resampler_n_heads", default=16) * head_dim
    kv = fields.count("num_key_value_heads", default=4) * head_dim
    layer = 3 * hidden + 2 * hidden * inside + 2 * hidden * kv
    layer += mlp(hidden, 4 * hidden, bias=False, gated=True)
    return total + n_latents * hidden + depth * layer + hidden


def idefics3_connector(config: ConfigFields, text_hidden_size: int) -> int:
    """One matrix from shuffled pixels into the text width."""
    width = vision_section(config).count("hidden_size", default=1152)
    return width * config.count("scale_factor", default=2) ** 2 * text_hidden_size


def aria_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """Learned queries read the image once, and two matrices lead into the text width."""
    width = vision_section(config).count("hidden_size", default=1152)
    by_patches = config.raw("projector_patch_to_query_dict")
    n_queries = config.positive("max_value_projector_patch_to_query_dict") or 256
    if (
        isinstance(by_patches, dict)
        and by_patches
        and not config.has("max_value_projector_patch_to_query_dict")
    ):
        queries = ConfigFields(by_patches, config.model_type, config)
        n_queries = max(queries.count(name) for name in by_patches)
    total = n_queries * width + 3 * width**2 + 5 * linear(width, width) + 3 * layer_norm(width)
    return total + width * text_hidden_size + text_hidden_size**2


WRAPPERS: Final[Mapping[str, Wrapper]] = MappingProxyType(
    {
        "idefics2": Wrapper(
            text="mistral",
            parts=(("vision tower", encoder("idefics2_vision")), ("vision projector", idefics2_connector)),
        ),
        "idefics3": Wrapper(
            text="llama",
            parts=(("vision tower", encoder("idefics3_vision")), ("vision projector", idefics3_connector)),
        ),
        "smolvlm": Wrapper(
            text="llama",
            parts=(("vision tower", encoder("smolvlm_vision")), ("vision projector", idefics3_connector)),
        ),
        "aria": Wrapper(
            text="aria_text",
            parts=(("vision tower", encoder("idefics3_vision")), ("vision projector", aria_projector)),
        ),
    }
)
