"""MiniCPM-V and MiniCPM-o: SigLIP with a resampler as first published, with window mergers since 4.6."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from planner.errors import UnknownArchitectureError
from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.contrastive import headless
from planner.readers.config.towers.shapes import attention, layer_norm, linear, two_layer_projector
from planner.readers.config.towers.whisper import whisper_layers
from planner.readers.config.towers.wrapper import Wrapper, audio_section, vision_section


def siglip_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """SigLIP without a pooling head; its last layer is left out where the config says so."""
    dropped = 1 if config.flag("drop_vision_last_layer") else 0
    section = vision_section(config)
    return headless(
        section, hidden=1152, inner=4304, layers=27, image_size=980, patch_size=14, dropped=dropped
    )


def resampler(config: ConfigFields, text_hidden_size: int) -> int:
    """Learned queries at the text width that read the image once."""
    config.unused("slice_config", "slice_mode", "image_size", "patch_size", "batch_vision_input")
    width = vision_section(config).count("hidden_size", default=1152)
    total = config.count("query_num", default=64) * text_hidden_size + width * text_hidden_size
    total += 4 * linear(text_hidden_size, text_hidden_size) + 3 * layer_norm(text_hidden_size)
    return total + text_hidden_size**2


def whisper_part(config: ConfigFields, _text_hidden_size: int) -> int:
    """MiniCPM-o's ear: Whisper's encoder."""
    if not config.has("audio_config"):
        return 0
    section = audio_section(config)
    width, total = whisper_layers(section, width=1024, inner=4096, layers=24, mels=80)
    return total + section.count("max_source_positions", default=1500) * width + layer_norm(width)


def whisper_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """Two matrices from the ear into the text width."""
    config.unused("audio_pool_step", "audio_chunk_length")
    if not config.has("audio_config"):
        return 0
    width = audio_section(config).count("d_model", "hidden_size", default=1024)
    return two_layer_projector(width, text_hidden_size)


def voice(config: ConfigFields, _text_hidden_size: int) -> int:
    """MiniCPM-o's voice; not counted, and not needed for text answers."""
    if not config.has("tts_config"):
        return 0
    raise UnknownArchitectureError("speech output is a second model that text answers do not load")


def window_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """Since 4.6: SigLIP without a head, and a merger of windows with attention of its own."""
    section = vision_section(config)
    section.unused("insert_layer_id")
    total = headless(section, hidden=768, image_size=224, patch_size=16)
    hidden = section.count("hidden_size", default=768)
    inner = section.count("intermediate_size", default=3072)
    window = hidden
    for side in section.counts("window_kernel_size") or (2, 2):
        window *= side
    total += attention(hidden) + layer_norm(hidden) + layer_norm(window)
    middle = inner * window // hidden
    return total + linear(window, middle) + linear(middle, hidden)


def window_merger(config: ConfigFields, text_hidden_size: int) -> int:
    """Merges four patches at a time, the last time into the text width."""
    config.unused("image_size", "patch_size", "insert_layer_id", "merge_kernel_size", "downsample_mode")
    hidden = vision_section(config).count("hidden_size", default=768)
    times = config.count("merger_times", default=1)
    each = layer_norm(4 * hidden) + linear(4 * hidden, 4 * hidden)
    return times * each + (times - 1) * linear(4 * hidden, hidden) + linear(4 * hidden, text_hidden_size)


_TEXT_NOTE = (
    "its config does not say which language model it is: read as Qwen2, as in versions 2.6 and o 2.6; other "
    "versions use Llama 3, MiniCPM or Qwen3"
)
_WINDOWED = (("vision tower", window_tower), ("vision projector", window_merger))

WRAPPERS: Final[Mapping[str, Wrapper]] = MappingProxyType(
    {
        "minicpmv": Wrapper(
            text="qwen2",
            parts=(("vision tower", siglip_tower), ("vision projector", resampler)),
            text_at_top=True,
            text_note=_TEXT_NOTE,
        ),
        "minicpmo": Wrapper(
            text="qwen2",
            parts=(
                ("vision tower", siglip_tower),
                ("vision projector", resampler),
                ("audio tower", whisper_part),
                ("audio projector", whisper_projector),
                ("speech output", voice),
            ),
            text_at_top=True,
            text_note=_TEXT_NOTE,
        ),
    }
    | dict.fromkeys(
        ("minicpmv4_6", "minicpmv4_7", "minicpm_ocr"), Wrapper(text="qwen3_5_text", parts=_WINDOWED)
    )
)
