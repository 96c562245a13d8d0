"""The Qwen family's wrappers: vision, Omni (speech in, speech out), audio, and models that reuse their towers."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from planner.errors import UnknownArchitectureError
from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.qwen_vision import (
    exaone_tower,
    qwen2_5_vl_tower,
    qwen2_vl_tower,
    qwen3_vl_tower,
)
from planner.readers.config.towers.shapes import convolution, encoder_layer, layer_norm, linear
from planner.readers.config.towers.whisper import whisper_layers
from planner.readers.config.towers.wrapper import Wrapper, audio_section


def qwen2_5_omni_audio(config: ConfigFields, _text_hidden_size: int) -> int:
    """Qwen2.5-Omni: Whisper without stored positions, two learned marks, and a matrix into the text width."""
    section = audio_section(config)
    width, total = whisper_layers(section)
    section.unused("max_source_positions", "n_window")
    out = section.count("output_dim", default=3584)
    return total + 2 * out + layer_norm(width) + linear(width, out)


def qwen3_omni_audio(config: ConfigFields, _text_hidden_size: int) -> int:
    """Qwen3-Omni: three convolutions over time and pitch, plain layers, and two matrices behind them."""
    section = audio_section(config)
    total, width = _convolved(section, inner=5120, width=1280, layers=32)
    return total + linear(width, width) + linear(width, section.count("output_dim", default=3584))


def qwen3_asr_audio(config: ConfigFields, _text_hidden_size: int) -> int:
    """Qwen3-ASR's encoder, the two matrices behind it included."""
    section = audio_section(config)
    config.unused("token_classification_bias")
    total, width = _convolved(section, inner=4096, width=1024, layers=24)
    return total + linear(width, width) + linear(width, section.count("output_dim", default=3584))


def _convolved(section: ConfigFields, *, inner: int, width: int, layers: int) -> tuple[int, int]:
    width = section.count("d_model", default=width)
    inner = section.count("encoder_ffn_dim", default=inner)
    section.unused("encoder_attention_heads", "n_window", "n_window_infer", "conv_chunksize")
    section.unused("max_source_positions", "max_position_embeddings", "num_hidden_layers")
    channels = section.count("downsample_hidden_size", default=480)
    pitches = section.count("num_mel_bins", default=128)
    for _ in range(3):  # each convolution halves them
        pitches = (pitches + 1) // 2
    total = convolution(1, channels, 3, 3) + 2 * convolution(channels, channels, 3, 3)
    total += channels * pitches * width
    total += section.count("encoder_layers", default=layers) * encoder_layer(width, inner)
    return total + layer_norm(width), width


def speaking_part(config: ConfigFields, _text_hidden_size: int) -> int:
    """What an Omni model speaks with; not counted, and not needed for text answers."""
    outer = config.parent
    if outer is None or not any(outer.has(name) for name in ("talker_config", "token2wav_config")):
        return 0
    outer.unused("talker_config", "token2wav_config", "code2wav_config")
    raise UnknownArchitectureError(
        "speech output (talker and vocoder) is a second model that text answers do not load"
    )


_QWEN2_5 = (("vision tower", qwen2_5_vl_tower),)
_QWEN3 = (("vision tower", qwen3_vl_tower),)

WRAPPERS: Final[Mapping[str, Wrapper]] = MappingProxyType(
    {
        "qwen2_vl": Wrapper(text="qwen2", parts=(("vision tower", qwen2_vl_tower),), text_at_top=True),
        "qwen2_5_vl": Wrapper(text="qwen2", parts=_QWEN2_5, text_at_top=True),
        "qwen3_vl": Wrapper(text="qwen3", parts=_QWEN3),
        "qwen3_vl_moe": Wrapper(text="qwen3_moe", parts=_QWEN3),
        "qwen3_5": Wrapper(text="qwen3_5_text", parts=_QWEN3),
        "qwen3_5_moe": Wrapper(text="qwen3_5_moe_text", parts=_QWEN3),
        "qwen4_exp": Wrapper(text="qwen4_exp_text", parts=_QWEN3),
        "cosmos3_omni": Wrapper(text="qwen3", parts=_QWEN3),
        "exaone4_5": Wrapper(text="exaone4", parts=(("vision tower", exaone_tower),)),
        "qwen3_asr": Wrapper(text="qwen3", parts=(("audio tower", qwen3_asr_audio),)),
    }
    | dict.fromkeys(
        ("qwen2_5_omni", "qwen2_5_omni_thinker"),
        Wrapper(
            text="qwen2",
            parts=(*_QWEN2_5, ("audio tower", qwen2_5_omni_audio), ("speech output", speaking_part)),
        ),
    )
    | dict.fromkeys(
        ("qwen3_omni_moe", "qwen3_omni_moe_thinker"),
        Wrapper(
            text="qwen3_moe",
            parts=(*_QWEN3, ("audio tower", qwen3_omni_audio), ("speech output", speaking_part)),
        ),
    )
)
