"""What is to run beside a model in llama.cpp, read from its files."""

from pathlib import Path

from planner.api.models import open_model
from planner.errors import MissingFactError
from planner.estimate.beside_memory import Beside, projector_terms
from planner.estimate.described_model import DescribedModel
from planner.estimate.term import Term
from planner.readers.gguf.file import read_gguf
from planner.readers.gguf.projector_shape import projector_shapes


def beside_model(mmproj: Path | None, draft: str | None) -> Beside:
    """A projector file and a draft model, either of which may be missing; a draft must be a GGUF."""
    terms: tuple[Term, ...] = ()
    if mmproj is not None:
        file = read_gguf(mmproj)
        terms = projector_terms(projector_shapes(file), sum(tensor.n_bytes for tensor in file.tensors))
    return Beside(
        projector=terms, projector_file=None if mmproj is None else str(mmproj), draft=_draft(draft)
    )


def _draft(text: str | None) -> DescribedModel | None:
    if text is None:
        return None
    opened = open_model(text)
    if opened.storage is None:
        raise MissingFactError(
            f"{opened.name} says nothing of how its weights are stored; name its GGUF for --draft"
        )
    return DescribedModel(
        name=opened.name,
        network=opened.network,
        storage=opened.storage,
        file_name=opened.path.name if opened.path else f"{opened.name}.gguf",
        fingerprint=opened.fingerprint,
    )
