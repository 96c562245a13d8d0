"""Gemma 3n: an audio conformer, a MobileNet-V5 for images, and a small vocabulary of their own each."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.shapes import depthwise
from planner.readers.config.towers.wrapper import Wrapper, audio_section, refuse_unless, vision_section

# MobileNet-V5 is given by name alone: the one network of that name, as timm 1.0 builds it without its classifier.
_MOBILENET_V5: Final = 294_126_912


def gemma3n_vision(config: ConfigFields, _text_hidden_size: int) -> int:
    """MobileNet-V5 with 300 million parameters, which the config gives by name alone."""
    section = vision_section(config)
    refuse_unless(section, "architecture", "mobilenetv5_300m_enc")
    section.unused("num_classes")
    return _MOBILENET_V5


def gemma3n_audio(config: ConfigFields, _text_hidden_size: int) -> int:
    """Two convolutions, then a conformer: two MLPs around attention and a light convolution."""
    section = audio_section(config)
    hidden = section.count("hidden_size", default=1536)
    section.unused("conf_attention_chunk_size", "conf_attention_context_left", "conf_attention_context_right")
    section.unused("conf_attention_logit_cap", "conf_reduction_factor", "conf_residual_weight")
    section.unused("sscp_conv_group_norm_eps", "sscp_conv_eps")
    n_heads = section.count("conf_num_attention_heads", default=8)
    width = hidden // n_heads * n_heads
    feed_forward = 8 * hidden**2 + 2 * hidden
    mixing = 4 * hidden * width + hidden**2 + width // n_heads + 2 * hidden
    light = 3 * hidden**2 + 2 * hidden
    light += depthwise(hidden, section.count("conf_conv_kernel_size", default=5), bias=False)
    total = section.count("conf_num_hidden_layers", default=12) * (2 * feed_forward + mixing + light + hidden)
    return total + _subsampling(section, hidden)


def gemma3n_embedder(config: ConfigFields, text_hidden_size: int) -> int:
    """For each kind of input: a small vocabulary, two norms and one matrix into the text width."""
    total = 0
    for section, width in ((vision_section(config), 2048), (audio_section(config), 1536)):
        hidden = section.count("hidden_size", default=width)
        section.unused("vocab_offset")
        total += section.count("vocab_size", default=128) * hidden + 2 * hidden + hidden * text_hidden_size
    return total


def _subsampling(section: ConfigFields, hidden: int) -> int:
    pitches = section.count("input_feat_size", default=128)
    channels = (1, *(section.counts("sscp_conv_channel_size") or (128, 32)))
    kernels, strides = (
        _pairs(section, "sscp_conv_kernel_size", 3),
        _pairs(section, "sscp_conv_stride_size", 2),
    )
    total = 0
    for i in range(2):
        if len(channels) != 3 or not strides[i][1] or pitches + 2 < kernels[i][1]:
            raise ValueError("the audio tower's two convolutions do not fit each other")
        total += channels[i] * channels[i + 1] * kernels[i][0] * kernels[i][1] + channels[i + 1]
        pitches = (pitches + 2 - kernels[i][1]) // strides[i][1] + 1
    return total + channels[2] * pitches * hidden


def _pairs(section: ConfigFields, name: str, default: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Two pairs of small numbers, such as the sides of two kernels."""
    given = section.items(name)
    if given is None:
        return (default, default), (default, default)
    pairs = []
    for entry in given:
        if not isinstance(entry, list) or len(entry) != 2:
            raise ValueError(f"{name} is not two pairs of numbers")
        pair = ConfigFields({"of": entry}, section.model_type).counts("of") or ()
        pairs.append((pair[0], pair[1]))
    if len(pairs) != 2:
        raise ValueError(f"{name} is not two pairs of numbers")
    return pairs[0], pairs[1]


WRAPPERS: Final[Mapping[str, Wrapper]] = MappingProxyType(
    {
        "gemma3n": Wrapper(
            text="gemma3n_text",
            parts=(
                ("vision tower", gemma3n_vision),
                ("audio tower", gemma3n_audio),
                ("vision and audio projectors", gemma3n_embedder),
            ),
        ),
    }
)
