"""The shape of a projector file's towers, as llama.cpp's rules for its buffers need it."""

from planner.engines.llama_cpp.projector import ProjectorShape
from planner.errors import MalformedError
from planner.quoting import quoted
from planner.readers.gguf.file import GgufFile
from planner.readers.gguf.projector import is_projector

_MERGE_KEYS = ("clip.vision.projector.scale_factor", "clip.vision.spatial_merge_size")
_MOST = 100_000


def projector_shapes(file: GgufFile) -> tuple[ProjectorShape, ...]:
    """One shape for each encoder in the file, eyes before ears.

    Raises MalformedError where a size that llama.cpp reads is missing or makes no sense.
    """
    if not is_projector(file):
        raise MalformedError(f"{quoted(file.path)} is not a projector file: its architecture is not 'clip'")
    found = []
    if file.metadata.get("clip.has_vision_encoder") is True:
        found.append(_vision(file))
    if file.metadata.get("clip.has_audio_encoder") is True:
        found.append(_audio(file))
    return tuple(found)


def _vision(file: GgufFile) -> ProjectorShape:
    names = {tensor.name for tensor in file.tensors}
    merges = [_optional(file, key) for key in _MERGE_KEYS]
    return ProjectorShape(
        kind=_kind(file, "vision"),
        hidden_size=_size(file, "clip.vision.embedding_length"),
        feed_forward_size=_wide(file, "v", _size(file, "clip.vision.feed_forward_length")),
        n_heads=_size(file, "clip.vision.attention.head_count"),
        image_pixels=_size(file, "clip.vision.image_size"),
        patch_pixels=_size(file, "clip.vision.patch_size"),
        n_merge=next((merge for merge in merges if merge), None),
        projection_size=_size(file, "clip.vision.projection_dim"),
        n_deepstack=sum(name.startswith("v.deepstack.") and name.endswith(".fc1.weight") for name in names),
        has_class_token="v.class_embd" in names,
    )


def _audio(file: GgufFile) -> ProjectorShape:
    return ProjectorShape(
        kind=_kind(file, "audio"),
        hidden_size=_size(file, "clip.audio.embedding_length"),
        feed_forward_size=_wide(file, "a", _size(file, "clip.audio.feed_forward_length")),
        n_heads=_size(file, "clip.audio.attention.head_count"),
        projection_size=_size(file, "clip.audio.projection_dim"),
    )


def _kind(file: GgufFile, modality: str) -> str:
    """The projector's name; "qwen2.5o" stands for two others (clip.cpp, load_hparams)."""
    for key in ("clip.projector_type", f"clip.{modality}.projector_type"):
        value = file.metadata.get(key)
        if isinstance(value, str) and value:
            both = {"vision": "qwen2.5vl_merger", "audio": "qwen2a"}
            return both[modality] if value == "qwen2.5o" else value
    raise MalformedError(f"{quoted(file.path)} does not say which projector it is (clip.projector_type)")


def _wide(file: GgufFile, prefix: str, stated: int) -> int:
    """The MLP's width by its first tensor: old conversions state 0 or swap up and down."""
    for tensor in file.tensors:
        if tensor.name == f"{prefix}.blk.0.ffn_up.weight" and len(tensor.shape) == 2:
            return max(tensor.shape)
    return stated


def _size(file: GgufFile, key: str) -> int:
    value = _optional(file, key)
    if value is None:
        raise MalformedError(f"{quoted(file.path)} has no usable {key}, which llama.cpp needs to read it")
    return value


def _optional(file: GgufFile, key: str) -> int | None:
    value = file.metadata.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _MOST:
        return value
    return None
