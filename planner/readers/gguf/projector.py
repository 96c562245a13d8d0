"""Projector files (mmproj): the vision and audio towers of a model, in a GGUF beside the language model's.

llama.cpp calls their architecture "clip" (tools/mtmd/clip-impl.h, as shipped with llama-cpp-python 0.3.36). Files
that Ollama converts itself hold the same tensors within the language model's own GGUF.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Final

from hardware.units import format_bytes, format_count
from planner.errors import MalformedError, UnknownArchitectureError
from planner.model.network import Network, Tower
from planner.quoting import quoted
from planner.readers.gguf.file import GgufFile, GgufTensor

ARCHITECTURE: Final = "clip"
# What a tensor belongs to, by the first prefix that fits.
_PARTS: Final = (
    ("a.gen.", "speech output"),
    ("mm.a.", "audio projector"),
    ("a.", "audio tower"),
    ("v.", "vision tower"),
    ("mm.", "vision projector"),
    ("resampler.", "vision projector"),
    ("adapter.", "vision projector"),
    ("model.image_newline", "vision projector"),
)
_MODALITIES: Final = ("vision", "audio", "gen.audio")
_LONGEST_TYPE: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Projector:
    """What a projector file holds: towers with their parameters, bytes, and the width of the model it is for."""

    name: str
    types: tuple[str, ...]  # llama.cpp's name of each projector: "gemma3", "qwen2.5vl_merger"
    towers: tuple[Tower, ...]
    n_bytes: int
    text_hidden_size: int | None  # None where the file does not say
    made_for: str | None  # the model's name as the file gives it
    fingerprint: str

    @property
    def parameters(self) -> int:
        """Elements of all towers."""
        return sum(tower.parameters or 0 for tower in self.towers)

    @property
    def description(self) -> str:
        """What it is and what it needs, in one line without a full stop."""
        parts = ", ".join(f"{tower.name} of {format_count(tower.parameters or 0)}" for tower in self.towers)
        width = "" if self.text_hidden_size is None else f" of width {self.text_hidden_size:,}"
        made_for = "" if self.made_for is None else f" ({self.made_for})"
        return (
            f"a projector with {parts} parameters, {format_bytes(self.n_bytes)}, for a model{width}{made_for}"
        )


def is_projector(file: GgufFile) -> bool:
    """Whether a GGUF is a projector file rather than a language model."""
    return file.metadata.get("general.architecture") == ARCHITECTURE


def is_projector_name(file_name: str) -> bool:
    """Whether a file goes by the name that converters give projectors, such as mmproj-F16.gguf."""
    return "mmproj" in file_name.lower()


def is_tower_tensor(name: str) -> bool:
    """Whether a tensor belongs to a tower or its projector."""
    return _part_of(name) is not None


def read_projector(file: GgufFile) -> Projector:
    """What a projector file holds.

    Raises MalformedError for a GGUF that is no projector, UnknownArchitectureError for a tensor of no known tower.
    """
    if not is_projector(file):
        raise MalformedError(f"{quoted(file.path)} is not a projector file: its architecture is not 'clip'")
    for tensor in file.tensors:
        if not is_tower_tensor(tensor.name):
            raise UnknownArchitectureError(
                f"{quoted(file.path)}: tensor {quoted(tensor.name)} belongs to no tower the planner knows"
            )
    return Projector(
        name=PurePath(file.path).stem,
        types=_types(file),
        towers=towers_of(file.tensors),
        n_bytes=file.tensor_bytes,
        text_hidden_size=_text_hidden_size(file),
        made_for=_made_for(file),
        fingerprint=file.fingerprint,
    )


def towers_of(tensors: Iterable[GgufTensor]) -> tuple[Tower, ...]:
    """The towers that tensors make up, each with its parameters, in the order of their first tensors."""
    counts: dict[str, int] = {}
    for tensor in tensors:
        part = _part_of(tensor.name)
        if part is not None:
            counts[part] = counts.get(part, 0) + tensor.n_elements
    if "audio tower" in counts and "vision tower" not in counts and "vision projector" in counts:
        # A file with ears only: its plain projector is theirs.
        counts["audio projector"] = counts.get("audio projector", 0) + counts.pop("vision projector")
    return tuple(Tower(name=name, parameters=n) for name, n in counts.items())


def with_projector(network: Network, projector: Projector) -> Network:
    """The network with the projector's towers in front; raises MalformedError where it is another model's."""
    width = projector.text_hidden_size
    if width is not None and width != network.hidden_size:
        raise MalformedError(
            f"{quoted(projector.name)} is a projector for a model of width {width:,}; this {network.architecture} "
            f"model is {network.hidden_size:,} wide: take the projector published beside it"
        )
    return replace(network, towers=(*network.towers, *projector.towers))


def _part_of(name: str) -> str | None:
    return next((part for prefix, part in _PARTS if name.startswith(prefix)), None)


def _types(file: GgufFile) -> tuple[str, ...]:
    keys = ("clip.projector_type", *(f"clip.{modality}.projector_type" for modality in _MODALITIES))
    found = [value for key in keys if isinstance(value := file.metadata.get(key), str) and value]
    return tuple(dict.fromkeys(value[:_LONGEST_TYPE] for value in found))


def _text_hidden_size(file: GgufFile) -> int | None:
    """The width the projector ends at: the converter writes the language model's there, one for all towers."""
    found = [file.metadata.get(f"clip.{modality}.projection_dim") for modality in _MODALITIES]
    widths = {
        width for width in found if isinstance(width, int) and not isinstance(width, bool) and width > 0
    }
    return widths.pop() if len(widths) == 1 else None


def _made_for(file: GgufFile) -> str | None:
    for key in ("general.base_model.0.name", "general.basename", "general.name"):
        value = file.metadata.get(key)
        if isinstance(value, str) and value.strip():
            return quoted(value.strip())
    return None
