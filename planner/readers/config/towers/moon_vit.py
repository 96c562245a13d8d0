"""MoonViT, the vision tower of Kimi VL, K2.5 and K3, with its patch merger."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.shapes import linear
from planner.readers.config.towers.wrapper import Wrapper, refuse_unless, vision_section


def moon_vit(config: ConfigFields, _text_hidden_size: int) -> int:
    """Learned positions in space, fixed ones in time.

    Kimi VL and K2.5 have LayerNorms and biases; K3 has neither.
    """
    section = vision_section(config)
    hidden = section.count("vt_hidden_size", "hidden_size", default=1152)
    inner = section.count("vt_intermediate_size", "intermediate_size", default=4304)
    width = section.positive("qkv_hidden_size") or hidden
    positions = section.count("init_pos_emb_height", "pos_emb_height", default=64)
    positions *= section.count("init_pos_emb_width", "pos_emb_width", default=64)
    section.unused("vt_num_attention_heads", "num_attention_heads", "init_pos_emb_time", "pos_emb_time")
    refuse_unless(section, "mlp_type", "mlp2")
    plain = _is_plain(section)
    norm = hidden if plain else 2 * hidden
    bias = not plain
    patch = section.count("num_channels", default=3) * section.count("patch_size", default=14) ** 2
    layer = 2 * norm + linear(hidden, 3 * width, bias=bias) + linear(width, hidden, bias=bias)
    layer += linear(hidden, inner, bias=bias) + linear(inner, hidden, bias=bias)
    total = linear(patch, hidden, bias=bias) + positions * hidden + norm
    return total + section.count("vt_num_hidden_layers", "num_hidden_layers", default=27) * layer


def patch_merger(config: ConfigFields, text_hidden_size: int) -> int:
    """Merges patches: K2.5 normalises before, K3 after."""
    section = vision_section(config)
    section.unused("text_hidden_size", "merge_type", "mm_projector_type", "projector_hidden_act")
    config.unused("projector_hidden_act", "projection_layer_norm_eps")
    hidden = section.count("vt_hidden_size", "hidden_size", default=1152)
    width = section.positive("mm_hidden_size") or hidden
    normed = config.positive("projection_hidden_size") or width
    merged = width
    for side in section.counts("merge_kernel_size") or (2, 2):
        merged *= side
    plain = _is_plain(section)
    total = linear(merged, merged, bias=not plain) + linear(merged, text_hidden_size, bias=not plain)
    return total + (text_hidden_size if plain else 2 * normed)


def _is_plain(section: ConfigFields) -> bool:
    return section.text("norm_type") == "rmsnorm"


_PARTS = (("vision tower", moon_vit), ("vision projector", patch_merger))

WRAPPERS: Final[Mapping[str, Wrapper]] = MappingProxyType(
    {
        "kimi_vl": Wrapper(text="deepseek_v3", parts=_PARTS),
        "kimi_k25": Wrapper(text="kimi_k2", parts=_PARTS),
        "kimi_k3": Wrapper(text="kimi_linear", parts=_PARTS),
    }
)
