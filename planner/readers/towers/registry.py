"""Vision towers in front of a language model, counted part by part from their own section of the config."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from planner.errors import UnknownArchitectureError
from planner.model.network import Tower
from planner.readers.config_fields import ConfigFields


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceTower:
    """A release's one tower, for configs that leave their vision_config out, and how that is told."""

    fields: Mapping[str, object]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedTower:
    """Towers known only as a whole: a release's published total less its text part."""

    tower: Tower
    note: str


def _linear(n_in: int, n_out: int) -> int:
    """A matrix with a bias."""
    return n_in * n_out + n_out


def _qwen_vl(vision: ConfigFields, text_hidden_size: int) -> Tower:
    """Qwen3-VL and Qwen3.5: ViT with learned positions, one merger and its deep-stack copies."""
    hidden = vision.count("hidden_size")
    vision.unused("num_heads")
    inner = vision.count("intermediate_size")
    merged = hidden * vision.count("spatial_merge_size") ** 2
    out = vision.positive("out_hidden_size") or text_hidden_size
    patch = vision.count("in_channels", "in_chans") * vision.count("temporal_patch_size")
    patch *= vision.count("patch_size") ** 2
    block = 4 * hidden + _linear(hidden, 3 * hidden) + _linear(hidden, hidden)
    block += _linear(hidden, inner) + _linear(inner, hidden)
    mergers = _linear(merged, merged) + _linear(merged, out)
    deep = vision.counts("deepstack_visual_indexes") or ()
    total = _linear(patch, hidden) + vision.count("num_position_embeddings") * hidden
    total += vision.count("depth") * block
    total += 2 * hidden + mergers  # the main merger normalises before merging …
    total += len(deep) * (2 * merged + mergers)  # … and the deep-stack ones after
    return Tower(name="vision", parameters=total)


def _siglip(vision: ConfigFields, text_hidden_size: int) -> Tower:
    """Gemma 3: SigLIP with a soft-embedding norm and a projection to the text width."""
    hidden = vision.count("hidden_size")
    vision.unused("num_attention_heads")
    inner = vision.count("intermediate_size")
    patch_size = vision.count("patch_size")
    positions = (vision.count("image_size") // patch_size) ** 2
    block = 4 * hidden + 4 * _linear(hidden, hidden) + _linear(hidden, inner) + _linear(inner, hidden)
    total = _linear((vision.positive("num_channels") or 3) * patch_size**2, hidden) + positions * hidden
    total += vision.count("num_hidden_layers") * block + 2 * hidden
    total += hidden + hidden * text_hidden_size
    return Tower(name="vision", parameters=total)


def _llama4(vision: ConfigFields, text_hidden_size: int) -> Tower:
    """Llama 4: ViT with a class token, a pixel-shuffle MLP without biases and a projection."""
    hidden = vision.count("hidden_size")
    vision.unused("num_attention_heads")
    inner = vision.count("intermediate_size")
    patch_size = vision.count("patch_size")
    out = vision.count("vision_output_dim")
    middle = vision.count("projector_input_dim")
    vision.count("projector_output_dim")
    positions = (vision.count("image_size") // patch_size) ** 2 + 1
    shuffled = vision.number("pixel_shuffle_ratio") or 0.5
    if not 0.01 <= shuffled <= 1:
        raise ValueError(f"a pixel_shuffle_ratio of {shuffled:g}; expected a share of the side, such as 0.5")
    block = 4 * hidden + 4 * _linear(hidden, hidden) + _linear(hidden, inner) + _linear(inner, hidden)
    total = (vision.positive("num_channels") or 3) * patch_size**2 * hidden + hidden + positions * hidden
    total += vision.count("num_hidden_layers") * block + 4 * hidden
    total += round(hidden / shuffled**2) * middle + middle * out + out * text_hidden_size
    return Tower(name="vision", parameters=total)


def _moon_vit(vision: ConfigFields, text_hidden_size: int) -> Tower:
    """Kimi K2.5 and K3: MoonViT with learned positions in space, fixed ones in time, and a patch merger.

    K2.5 has LayerNorms and biases and normalises before merging; K3 has neither and normalises after.
    """
    hidden = vision.count("vt_hidden_size", "hidden_size")
    inner = vision.count("vt_intermediate_size", "intermediate_size")
    width = vision.positive("qkv_hidden_size") or hidden
    positions = vision.count("init_pos_emb_height") * vision.count("init_pos_emb_width")
    vision.unused("vt_num_attention_heads", "num_attention_heads", "text_hidden_size", "merge_type")
    if vision.text("mlp_type") not in (None, "mlp2"):
        raise UnknownArchitectureError("MoonViT: an MLP other than 'mlp2' is not understood yet")
    merged = vision.positive("mm_hidden_size") or hidden
    for side in vision.counts("merge_kernel_size") or (2, 2):
        merged *= side
    plain = vision.text("norm_type") == "rmsnorm"
    norm = hidden if plain else 2 * hidden
    bias = 0 if plain else 1
    patch = 3 * vision.count("patch_size") ** 2
    block = 2 * norm + (hidden + bias) * 3 * width + (width + bias) * hidden
    block += (hidden + bias) * inner + (inner + bias) * hidden
    total = (patch + bias) * hidden + positions * hidden
    total += vision.count("vt_num_hidden_layers", "num_hidden_layers") * block + norm
    total += (merged + bias) * merged + (merged + bias) * text_hidden_size
    total += text_hidden_size if plain else norm
    return Tower(name="vision", parameters=total)


def _gemma4(vision: ConfigFields, text_hidden_size: int) -> Tower:
    """Gemma 4: ViT with norms on both sides, gated MLP, positions by row and column, and a projection."""
    hidden = vision.count("hidden_size")
    head_dim = vision.count("head_dim")
    width = vision.count("num_attention_heads") * head_dim
    kv_width = vision.count("num_key_value_heads") * head_dim
    vision.unused("global_head_dim", "default_output_length")
    block = 4 * hidden + 2 * hidden * width + 2 * hidden * kv_width + 2 * head_dim
    block += 3 * hidden * vision.count("intermediate_size")
    total = 3 * vision.count("patch_size") ** 2 * hidden
    total += 2 * vision.count("position_embedding_size") * hidden
    total += vision.count("num_hidden_layers") * block
    total += 2 * hidden if vision.flag("standardize") else 0
    total += hidden * text_hidden_size
    return Tower(name="vision", parameters=total)


def _qwen2_vl(vision: ConfigFields, text_hidden_size: int) -> Tower:
    """Qwen2-VL: ViT with rotary positions, plain MLP and one merger; hidden_size is the merger's output."""
    hidden = vision.count("embed_dim")
    out = vision.positive("hidden_size") or text_hidden_size
    vision.unused("num_heads")
    inner = vision.count("mlp_ratio") * hidden
    merged = hidden * vision.count("spatial_merge_size") ** 2
    patch = vision.count("in_channels", "in_chans", default=3) * vision.count("temporal_patch_size")
    block = 4 * hidden + _linear(hidden, 3 * hidden) + _linear(hidden, hidden)
    block += _linear(hidden, inner) + _linear(inner, hidden)
    total = patch * vision.count("patch_size") ** 2 * hidden + vision.count("depth") * block
    total += 2 * hidden + _linear(merged, merged) + _linear(merged, out)
    return Tower(name="vision", parameters=total)


def _qwen2_5_vl(vision: ConfigFields, text_hidden_size: int) -> Tower:
    """Qwen2.5-VL: as Qwen2-VL, with RMS norms and a gated MLP with biases."""
    hidden = vision.count("hidden_size")
    inner = vision.count("intermediate_size")
    vision.unused("num_heads", "window_size", "fullatt_block_indexes")  # attention by windows, same weights
    out = vision.positive("out_hidden_size") or text_hidden_size
    merged = hidden * vision.count("spatial_merge_size") ** 2
    patch = vision.count("in_channels", "in_chans", default=3) * vision.count("temporal_patch_size")
    block = 2 * hidden + _linear(hidden, 3 * hidden) + _linear(hidden, hidden)
    block += 2 * _linear(hidden, inner) + _linear(inner, hidden)
    total = patch * vision.count("patch_size") ** 2 * hidden + vision.count("depth") * block
    total += hidden + _linear(merged, merged) + _linear(merged, out)
    return Tower(name="vision", parameters=total)


def _pixtral(vision: ConfigFields, text_hidden_size: int) -> Tower:
    """Mistral Small 3.1: Pixtral ViT without biases, a patch merger and a two-matrix projector."""
    wrapper = vision.parent
    if wrapper is None:
        raise UnknownArchitectureError("pixtral: the tower is only understood in front of a language model")
    hidden = vision.count("hidden_size")
    inner = vision.count("intermediate_size")
    width = vision.count("num_attention_heads") * (
        vision.positive("head_dim") or hidden // vision.count("num_attention_heads")
    )
    merge = wrapper.count("spatial_merge_size", default=1)
    bias = text_hidden_size if wrapper.flag("multimodal_projector_bias") else 0
    total = (vision.positive("num_channels") or 3) * vision.count("patch_size") ** 2 * hidden + hidden
    total += vision.count("num_hidden_layers") * (4 * hidden * width + 3 * hidden * inner + 2 * hidden)
    total += hidden + merge**2 * hidden * hidden  # the projector's norm and patch merger
    total += hidden * text_hidden_size + text_hidden_size**2 + 2 * bias
    return Tower(name="vision", parameters=total)


REFERENCE_TOWERS: Mapping[str, ReferenceTower] = {
    "llama4": ReferenceTower(
        fields={
            "hidden_size": 1408,
            "num_hidden_layers": 34,
            "intermediate_size": 5632,
            "patch_size": 14,
            "image_size": 336,
            "pixel_shuffle_ratio": 0.5,
            "projector_input_dim": 4096,
            "projector_output_dim": 4096,
            "vision_output_dim": 4096,
        },
        note="the config has no vision_config; counted with the one vision tower that Llama 4 was released with",
    ),
}

# By model type and text width. Gemma 3n has a MobileNet-V5 and an audio encoder that its config does not
# describe; the published totals of E2B and of E4B leave the same remainder beside their text parts.
RELEASED_TOWERS: Mapping[tuple[str, int], ReleasedTower] = {
    ("gemma3n", 2048): ReleasedTower(
        tower=Tower(name="vision and audio", parameters=983_281_504),
        note="vision and audio towers counted as in the releases of Gemma 3n E2B and E4B",
    ),
}

TOWERS: Mapping[str, Callable[[ConfigFields, int], Tower]] = {
    "qwen3_vl": _qwen_vl,
    "qwen3_vl_moe": _qwen_vl,
    "qwen3_5": _qwen_vl,
    "qwen3_5_moe": _qwen_vl,
    "qwen2_vl": _qwen2_vl,
    "qwen2_5_vl": _qwen2_5_vl,
    "siglip_vision_model": _siglip,
    "pixtral": _pixtral,
    "llama4": _llama4,
    "llama4_vision_model": _llama4,
    "kimi_k25": _moon_vit,
    "kimi_k3": _moon_vit,
    "gemma4_vision": _gemma4,
}
