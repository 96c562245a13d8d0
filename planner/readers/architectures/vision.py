"""Vision towers in front of a language model, counted part by part from their own section of the config."""

from collections.abc import Callable, Mapping

from planner.model.network import Tower
from planner.readers.config_fields import ConfigFields


def _linear(n_in: int, n_out: int) -> int:
    """A matrix with a bias."""
    return n_in * n_out + n_out


def _qwen_vl(vision: ConfigFields, text_hidden_size: int) -> Tower:
    """Qwen3-VL and Qwen3.5: ViT with learned positions, one merger and its deep-stack copies."""
    hidden = vision.count("hidden_size")
    inner = vision.count("intermediate_size")
    merged = hidden * vision.count("spatial_merge_size") ** 2
    out = vision.positive("out_hidden_size") or text_hidden_size
    patch = vision.count("in_channels", "in_chans") * vision.count("temporal_patch_size")
    patch *= vision.count("patch_size") ** 2
    block = 4 * hidden + _linear(hidden, 3 * hidden) + _linear(hidden, hidden)
    block += _linear(hidden, inner) + _linear(inner, hidden)
    mergers = _linear(merged, merged) + _linear(merged, out)
    deep = vision.items("deepstack_visual_indexes") or ()
    total = _linear(patch, hidden) + vision.count("num_position_embeddings") * hidden
    total += vision.count("depth") * block
    total += 2 * hidden + mergers  # the main merger normalises before merging …
    total += len(deep) * (2 * merged + mergers)  # … and the deep-stack ones after
    return Tower(name="vision", parameters=total)


def _siglip(vision: ConfigFields, text_hidden_size: int) -> Tower:
    """Gemma 3: SigLIP with a soft-embedding norm and a projection to the text width."""
    hidden = vision.count("hidden_size")
    inner = vision.count("intermediate_size")
    patch_size = vision.count("patch_size")
    positions = (vision.count("image_size") // patch_size) ** 2
    block = 4 * hidden + 4 * _linear(hidden, hidden) + _linear(hidden, inner) + _linear(inner, hidden)
    total = _linear((vision.positive("num_channels") or 3) * patch_size**2, hidden) + positions * hidden
    total += vision.count("num_hidden_layers") * block + 2 * hidden
    total += hidden + hidden * text_hidden_size
    return Tower(name="vision", parameters=total)


TOWERS: Mapping[str, Callable[[ConfigFields, int], Tower]] = {
    "qwen3_vl": _qwen_vl,
    "qwen3_vl_moe": _qwen_vl,
    "qwen3_5": _qwen_vl,
    "qwen3_5_moe": _qwen_vl,
    "siglip_vision_model": _siglip,
}
