"""Speech conformers: Granite Speech, with a query transformer behind it, and Phi-4 multimodal's audio."""

from collections.abc import Mapping
from math import log2
from types import MappingProxyType
from typing import Final

from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.query_transformer import query_transformer
from planner.readers.config.towers.shapes import (
    attention,
    convolution,
    depthwise,
    layer_norm,
    linear,
    mlp,
    two_layer_projector,
)
from planner.readers.config.towers.wrapper import Wrapper, audio_section, needed_section


def granite_encoder(config: ConfigFields, _text_hidden_size: int) -> int:
    """Granite Speech: two MLPs around attention with relative positions and a convolution, and a CTC head."""
    section = needed_section(config, "encoder_config")
    hidden = section.count("hidden_dim", default=1024)
    inner = hidden * section.count("feedforward_mult", default=4)
    head_dim = section.count("dim_head", default=128)
    width = section.count("num_heads", default=8) * head_dim
    section.unused("context_size")
    out = section.count("output_dim", default=42)
    feed_forward = layer_norm(hidden) + mlp(hidden, inner)
    mixing = layer_norm(hidden) + attention(hidden, width=width, bias=False, output_bias=True)
    mixing += (2 * section.count("max_pos_emb", default=512) + 1) * head_dim
    channels = hidden * section.count("conv_expansion_factor", default=2)
    convolved = layer_norm(hidden) + linear(hidden, 2 * channels) + linear(channels, hidden)
    convolved += depthwise(channels, section.count("conv_kernel_size", default=15), bias=False)
    convolved += 4 * channels + 1  # the batch norm stores its running statistics and how many it saw
    layer = 2 * feed_forward + mixing + convolved + layer_norm(hidden)
    total = (
        linear(section.count("input_dim", default=160), hidden) + linear(hidden, out) + linear(out, hidden)
    )
    return total + section.count("num_layers", default=10) * layer


def granite_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """Learned queries read each window of the encoder's output, and one matrix leads into the text width."""
    section = needed_section(config, "projector_config")
    config.unused("has_lora_adapter")  # the adapter's weights lie in a file of their own
    queries = config.count("window_size", default=15) // config.count("downsample_rate", default=5)
    hidden = section.count("hidden_size", default=768)
    return query_transformer(section) + queries * hidden + linear(hidden, text_hidden_size)


def phi4_audio(config: ConfigFields, _text_hidden_size: int) -> int:
    """Phi-4 multimodal: convolutions that shorten the sound, then a conformer with gated MLPs."""
    section = audio_section(config)
    hidden = section.count("hidden_size", default=1024)
    inner = section.count("intermediate_size", default=1536)
    n_heads = section.count("num_attention_heads", default=16)
    out = section.count("ext_pw_out_channel", default=1024)
    section.unused("chunk_size", "left_chunk", "conv_activation", "conv_glu_type", "feature_layer")
    pitches = section.count("input_size", default=80)
    channels = section.count("nemo_conv_channels", default=1024)
    halvings = int(log2(section.count("time_reduction", default=8)))
    total = 2 * pitches + convolution(1, channels, 3, 3)  # the first are stored means and deviations
    total += max(halvings - 1, 0) * (depthwise(channels, 3, 3) + linear(channels, channels))
    for _ in range(halvings):
        pitches = (pitches - 1) // 2 + 1
    total += linear(channels * section.count("nemo_final_size", default=pitches), hidden)
    buckets = section.count("bias_max_distance", default=1000) * (1 if section.flag("bias_symmetric") else 2)
    total += buckets * n_heads
    feed_forward = layer_norm(hidden) + linear(hidden, 2 * inner) + linear(inner, hidden)
    multiplied = hidden * section.count("depthwise_multiplier", default=1)
    convolved = layer_norm(hidden) + linear(hidden, 2 * out) + 2 * out + linear(hidden, out)
    convolved += multiplied * section.count("kernel_size", default=3) + multiplied
    convolved += linear(multiplied, section.count("depthwise_separable_out_channel", default=1024))
    layer = 2 * feed_forward + attention(hidden) + convolved + 2 * layer_norm(hidden)
    return total + section.count("num_blocks", default=24) * layer


def phi4_audio_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """Two matrices, once for speech and once for speech about an image."""
    section = audio_section(config)
    width = section.count("hidden_size", default=1024) * section.count("downsample_rate", default=1)
    return 2 * two_layer_projector(width, text_hidden_size)


WRAPPERS: Final[Mapping[str, Wrapper]] = MappingProxyType(
    dict.fromkeys(
        ("granite_speech", "granite_speech_plus"),
        Wrapper(
            text="granite", parts=(("audio tower", granite_encoder), ("audio projector", granite_projector))
        ),
    )
)
