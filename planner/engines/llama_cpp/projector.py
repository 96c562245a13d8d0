"""What llama.cpp allocates for a projector file (--mmproj): weights on one device, and buffers to read an image.

Read in tools/mtmd/clip.cpp and tools/mtmd/models as shipped with llama-cpp-python 0.3.36, and compared with
the program's own plan of 70 files without weights (tests/planner/engines/llama_cpp_projector.json).
"""

from collections.abc import Callable
from dataclasses import dataclass

from planner.errors import MissingFactError

_F32_BYTES = 4
_AUDIO_POSITIONS = 1500  # 30 s of sound: 3,000 frames, halved by the second convolution (whisper-enc.cpp)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectorShape:
    """What decides a projector's buffers, as its file states it."""

    kind: str  # llama.cpp's name of the projector: "gemma3", "qwen2.5vl_merger"
    hidden_size: int
    feed_forward_size: int
    n_heads: int
    image_pixels: int = 0  # the side that the file states; 0 for sound
    patch_pixels: int = 1
    n_merge: int | None = (
        None  # patches that become one token, a side; None where the file leaves it to the kind
    )
    projection_size: int = 0  # the language model's width
    n_deepstack: int = 0  # layers whose features go to the language model as well (Qwen3-VL)
    has_class_token: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """How one kind of projector computes."""

    elements: Callable[[ProjectorShape], float]  # live per position while a layer runs, inputs included
    n_merge: int = 1
    start_tokens: int | None = None  # of the image tried at start; None for the size that the file states
    most_tokens: int | None = None  # of the largest image; None for that same size
    window_mask: bool = False  # a mask of positions × positions, in FP32 and in FP16


def _plain(shape: ProjectorShape) -> float:
    """Residual, norm, output and the wide tensor of a plain MLP: 3·e + f (clip_graph::build_vit)."""
    return 3 * shape.hidden_size + shape.feed_forward_size


def _rotated(shape: ProjectorShape) -> float:
    """A rotation makes one tensor more: 4·e + f."""
    return 4 * shape.hidden_size + shape.feed_forward_size


def _rotated_gated(shape: ProjectorShape) -> float:
    """A gated MLP has three wide tensors: 4·e + 3·f."""
    return 4 * shape.hidden_size + 3 * shape.feed_forward_size


def _gemma4(shape: ProjectorShape) -> float:
    """Rotated in place: 3·e + 3·f, and the image, which stays."""
    return 3 * shape.hidden_size + 3 * shape.feed_forward_size + _image(shape) + 2


def _own_loop(shape: ProjectorShape) -> float:
    """Layers of their own (qwen2vl.cpp, llama4.cpp): the larger of attention, 6·e, and MLP, 2·e + f."""
    e = shape.hidden_size
    return max(6 * e, 2 * e + shape.feed_forward_size) + _image(shape) + 4


def _deepstack(shape: ProjectorShape) -> float:
    """Beside that the features for the language model, held while they are joined (qwen3vl.cpp)."""
    stacked = shape.n_deepstack * shape.projection_size / 4
    return _own_loop(shape) + max(shape.n_deepstack * shape.hidden_size, 1.25 * stacked)


def _windowed(shape: ProjectorShape) -> float:
    """Qwen2.5-VL: 4·e + f beside its mask, which is counted apart."""
    return _rotated(shape) + _image(shape) + 4


def _image(shape: ProjectorShape) -> int:
    """Three colours of a patch, in FP32."""
    return 3 * shape.patch_pixels**2


_SOUND = _Kind(elements=_plain)
_KINDS = {
    "gemma3": _Kind(elements=_plain, n_merge=4),
    "idefics3": _Kind(elements=_plain),
    "internvl": _Kind(elements=_plain, n_merge=2),
    "mlp": _Kind(elements=_plain),
    "lfm2": _Kind(elements=_plain, n_merge=2, start_tokens=256, most_tokens=256),
    "kimivl": _Kind(elements=_rotated, n_merge=2, start_tokens=256, most_tokens=1024),
    "pixtral": _Kind(elements=_rotated_gated, start_tokens=256, most_tokens=1024),
    "gemma4v": _Kind(elements=_gemma4, n_merge=3, start_tokens=256, most_tokens=1120),
    "llama4": _Kind(elements=_own_loop, n_merge=2),
    "qwen2vl_merger": _Kind(elements=_own_loop, n_merge=2, start_tokens=46**2, most_tokens=4096),
    "qwen2.5vl_merger": _Kind(
        elements=_windowed, n_merge=2, start_tokens=46**2, most_tokens=4096, window_mask=True
    ),
    "qwen3vl_merger": _Kind(elements=_deepstack, n_merge=2, start_tokens=46**2, most_tokens=4096),
    "qwen2a": _SOUND,
    "ultravox": _SOUND,
    "voxtral": _SOUND,
}


def start_positions(shape: ProjectorShape) -> int:
    """Patches of the image that llama.cpp plans with at start (warmup_image_size), the class token included."""
    return _positions(shape, _kind(shape).start_tokens)


def largest_positions(shape: ProjectorShape, most_tokens: int | None = None) -> int:
    """Patches of the largest image that is read at once; `most_tokens` is --image-max-tokens.

    Kinds that cut images into tiles of one size, and sound in pieces of 30 seconds, have one size only.
    """
    kind = _kind(shape)
    if kind.most_tokens is None:
        return _positions(shape, None)
    return _positions(shape, most_tokens or kind.most_tokens)


def _positions(shape: ProjectorShape, n_tokens: int | None) -> int:
    kind = _kind(shape)
    if kind is _SOUND:
        return _AUDIO_POSITIONS
    merge = shape.n_merge or kind.n_merge
    n = n_tokens * merge**2 if n_tokens else (shape.image_pixels // shape.patch_pixels) ** 2
    return n + shape.has_class_token


def projector_compute_bytes(shape: ProjectorShape, n_positions: int, *, flash_attention: bool = True) -> int:
    """The compute buffer for an image of `n_positions` patches.

    While a layer runs: P · elements · 4. Flash attention adds 6·P² for a mask of windows; without it every head's
    scores, h·P²·4, and 5·e (and 4·P² for such a mask) count where they are more. After the layers llava's MLP
    holds 2·d per token, e per position and the image. With flash attention equal to the program's plan within
    0.2 % for the published Gemma 3, Qwen2-VL, Qwen2.5-VL, Qwen3-VL, InternVL, SmolVLM, LFM2-VL, Kimi-VL, LLaVA,
    Llama 4 and Whisper-like files, within 7 % for Pixtral and Gemma 4; without it within 9 %. Other widths can
    leave holes between tensors, which are not counted.
    """
    kind = _kind(shape)
    in_layer = n_positions * kind.elements(shape) * _F32_BYTES
    if flash_attention:
        n_bytes = in_layer + (6 * n_positions**2 if kind.window_mask else 0)
    else:
        scores = shape.n_heads * n_positions + 5 * shape.hidden_size
        inputs = 0 if kind.elements is _plain else _image(shape) + 4
        mask = _F32_BYTES * n_positions**2 if kind.window_mask else 0
        n_bytes = max(in_layer, n_positions * (scores + inputs) * _F32_BYTES + mask)
    if shape.kind == "mlp":
        n_bytes = max(n_bytes, _llava_projection_bytes(shape, n_positions))
    return round(n_bytes)


def _llava_projection_bytes(shape: ProjectorShape, n_positions: int) -> float:
    n_tokens = n_positions - shape.has_class_token
    image = 3 * shape.image_pixels**2
    return _F32_BYTES * (2 * n_tokens * shape.projection_size + n_positions * shape.hidden_size + image)


def _kind(shape: ProjectorShape) -> _Kind:
    found = _KINDS.get(shape.kind)
    if found is None:
        raise MissingFactError(
            f"the buffers of a {shape.kind!r} projector are not known to the planner; it knows {', '.join(_KINDS)}"
        )
    return found
