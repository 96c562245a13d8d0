"""Vision towers of the Qwen family, merger included: Qwen2-VL to Qwen3.5, Omni, and models built on them."""

from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.shapes import attention, encoder_layer, layer_norm, linear, mlp
from planner.readers.config.towers.wrapper import refuse_unless, vision_section


def qwen2_vision(section: ConfigFields) -> int:
    """Qwen2-VL: rotary positions, a plain MLP and one merger; hidden_size is the merger's output."""
    hidden = section.count("embed_dim", default=1280)
    section.unused("num_heads")
    inner = int(hidden * (section.number("mlp_ratio") or 4))
    merged = hidden * section.count("spatial_merge_size", default=2) ** 2
    total = _patch_volume(section) * hidden
    total += section.count("depth", default=32) * encoder_layer(hidden, inner)
    out = section.count("hidden_size", default=3584)
    return total + layer_norm(hidden) + linear(merged, merged) + linear(merged, out)


def qwen2_5_vision(section: ConfigFields, *, kv_heads: int | None = None) -> int:
    """Qwen2.5-VL: as Qwen2-VL, with RMS norms and a gated MLP; EXAONE 4.5 has fewer key heads."""
    hidden = section.count("hidden_size", default=3584)
    inner = section.count("intermediate_size", default=3420)
    kv_heads = section.positive("num_key_value_heads") or kv_heads
    n_heads = section.count("num_heads", default=16)
    kv_width = hidden if kv_heads is None else hidden // n_heads * kv_heads
    section.unused("window_size", "fullatt_block_indexes", "embed_dim")  # attention by windows, same weights
    out = section.count("out_hidden_size", default=3584)
    merged = hidden * section.count("spatial_merge_size", default=2) ** 2
    layer = 2 * hidden + attention(hidden, kv_width=kv_width) + mlp(hidden, inner, gated=True)
    total = _patch_volume(section) * hidden + section.count("depth", default=32) * layer
    return total + hidden + linear(merged, merged) + linear(merged, out)


def qwen3_vision(section: ConfigFields) -> int:
    """Qwen3-VL and Qwen3.5: learned positions, one merger and its deep-stack copies."""
    hidden = section.count("hidden_size", default=1152)
    section.unused("num_heads")
    refuse_unless(section, "apply_vit_abs_pos_embed", True)
    inner = section.count("intermediate_size", default=4304)
    merged = hidden * section.count("spatial_merge_size", default=2) ** 2
    out = section.count("out_hidden_size", default=3584)
    mergers = linear(merged, merged) + linear(merged, out)
    deep = section.counts("deepstack_visual_indexes")
    if deep is None:
        deep = () if section.model_type.startswith(("qwen3_5", "qwen4")) else (8, 16, 24)
    total = linear(_patch_volume(section, patch_size=16), hidden)
    total += section.count("num_position_embeddings", default=2304) * hidden
    total += section.count("depth", default=27) * encoder_layer(hidden, inner)
    total += layer_norm(hidden) + mergers  # the main merger normalises before merging …
    return total + len(deep) * (layer_norm(merged) + mergers)  # … and the deep-stack ones after


def qwen2_vl_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """Qwen2-VL."""
    return qwen2_vision(vision_section(config))


def qwen2_5_vl_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """Qwen2.5-VL and Qwen2.5-Omni."""
    return qwen2_5_vision(vision_section(config))


def exaone_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """EXAONE 4.5."""
    return qwen2_5_vision(vision_section(config), kv_heads=8)


def qwen3_vl_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """Qwen3-VL, Qwen3-Omni, Qwen3.5, Cosmos 3."""
    return qwen3_vision(vision_section(config))


def _patch_volume(section: ConfigFields, patch_size: int = 14) -> int:
    """Numbers in one patch: channels, frames and pixels."""
    volume = section.count("in_channels", "in_chans", default=3)
    volume *= section.count("temporal_patch_size", default=2)
    return volume * section.count("patch_size", default=patch_size) ** 2
