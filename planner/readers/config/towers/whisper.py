"""Whisper's encoder as an audio tower: Voxtral, Qwen2-Audio, GLM-ASR, MOSS; and what leads from it to the text."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.shapes import attention, convolution, layer_norm, linear, mlp
from planner.readers.config.towers.wrapper import Wrapper, audio_section


def whisper_layers(
    section: ConfigFields,
    *,
    width: int = 1280,
    inner: int = 5120,
    layers: int = 32,
    mels: int = 128,
    shares_keys: bool = False,
) -> tuple[int, int]:
    """The width, and the parameters of two convolutions and the layers; keys have no bias."""
    section.unused("encoder_layerdrop", "vocab_size", "scale_embedding", "encoder_attention_heads")
    section.unused("num_attention_heads", "num_key_value_heads", "num_hidden_layers")
    width = section.count("d_model", "hidden_size", default=width)
    inner = section.count("encoder_ffn_dim", "intermediate_size", default=inner)
    kv_width = width
    if shares_keys:
        n_heads = section.count("num_attention_heads", default=20)
        kv_width = width // n_heads * section.count("num_key_value_heads", default=n_heads)
    layer = 2 * layer_norm(width) + mlp(width, inner)
    layer += attention(width, kv_width=kv_width, key_bias=False)
    total = convolution(section.count("num_mel_bins", default=mels), width, 3) + convolution(width, width, 3)
    return width, total + section.count("encoder_layers", "num_hidden_layers", default=layers) * layer


def whisper_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """Whisper as it is: stored positions, and a norm after the layers."""
    section = audio_section(config)
    width, total = whisper_layers(section)
    return total + section.count("max_source_positions", default=1500) * width + layer_norm(width)


def moss_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """MOSS: the same at the medium size."""
    section = audio_section(config)
    width, total = whisper_layers(section, width=1024, inner=4096, layers=24, mels=80)
    return total + section.count("max_source_positions", default=1500) * width + layer_norm(width)


def rotary_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """GLM-ASR: Whisper with positions by rotation."""
    section = audio_section(config)
    width, total = whisper_layers(section, shares_keys=True)
    section.unused("head_dim", "max_position_embeddings")
    return total + layer_norm(width)


def realtime_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """Voxtral Realtime: RMS norms, a gated MLP and positions by rotation."""
    section = audio_section(config)
    width = section.count("hidden_size", default=1280)
    inner = section.count("intermediate_size", default=5120)
    section.unused("sliding_window", "vocab_size", "max_position_embeddings")
    inside = section.count("num_attention_heads", default=32) * section.count("head_dim", default=64)
    layer = 2 * width + attention(width, width=inside, key_bias=False)
    layer += mlp(width, inner, bias=False, gated=True) + width
    total = convolution(section.count("num_mel_bins", default=128), width, 3) + convolution(width, width, 3)
    return total + section.count("num_hidden_layers", default=32) * layer + width


def voxtral_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """Voxtral's: four neighbouring frames side by side, two matrices without biases."""
    config.unused("hidden_size", "projector_hidden_act")
    inner = audio_section(config).count("intermediate_size", default=5120)
    return inner * text_hidden_size + text_hidden_size**2


def realtime_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """Voxtral Realtime's: as many frames side by side as the config says."""
    config.unused("hidden_size", "projector_hidden_act")
    width = audio_section(config).count("hidden_size", default=1280)
    width *= config.count("downsample_factor", default=4)
    return width * text_hidden_size + text_hidden_size**2


def qwen2_audio_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """Qwen2-Audio's: one matrix."""
    return linear(audio_section(config).count("d_model", default=1280), text_hidden_size)


def glmasr_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """GLM-ASR's: through twice the text width."""
    inner = audio_section(config).count("intermediate_size", default=5120)
    return linear(inner, 2 * text_hidden_size) + linear(2 * text_hidden_size, text_hidden_size)


def moss_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """MOSS's: neighbouring frames side by side, two matrices and a norm."""
    width = audio_section(config).count("hidden_size", default=1024)
    width *= config.count("audio_merge_size", default=4)
    bias = config.flag("projector_bias", default=True)
    total = linear(width, text_hidden_size, bias=bias) + layer_norm(text_hidden_size)
    return total + linear(text_hidden_size, text_hidden_size, bias=bias)


WRAPPERS: Final[Mapping[str, Wrapper]] = MappingProxyType(
    {
        "voxtral": Wrapper(
            text="llama", parts=(("audio tower", whisper_tower), ("audio projector", voxtral_projector))
        ),
        "voxtral_realtime": Wrapper(
            text="voxtral_realtime_text",
            parts=(("audio tower", realtime_tower), ("audio projector", realtime_projector)),
        ),
        "qwen2_audio": Wrapper(
            text="qwen2", parts=(("audio tower", whisper_tower), ("audio projector", qwen2_audio_projector))
        ),
        "glmasr": Wrapper(
            text="llama", parts=(("audio tower", rotary_tower), ("audio projector", glmasr_projector))
        ),
        "moss_transcribe_diarize": Wrapper(
            text="qwen3", parts=(("audio tower", moss_tower), ("audio projector", moss_projector))
        ),
    }
)
