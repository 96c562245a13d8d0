"""What is to run beside a model in llama.cpp, read from its files."""

from pathlib import Path

from planner.estimate.beside_memory import Beside, projector_terms
from planner.estimate.speculation import Drafting
from planner.estimate.term import Term
from planner.model.network import Network
from planner.readers.gguf.file import read_gguf
from planner.readers.gguf.projector_shape import projector_shapes


def beside_model(mmproj: Path | None, drafting: Drafting | None, network: Network) -> Beside:
    """A projector file and what drafts for the model, either of which may be missing."""
    terms: tuple[Term, ...] = ()
    if mmproj is not None:
        file = read_gguf(mmproj)
        terms = projector_terms(projector_shapes(file), sum(tensor.n_bytes for tensor in file.tensors))
    return Beside(
        projector=terms,
        projector_file=None if mmproj is None else str(mmproj),
        draft=None if drafting is None else drafting.model,
        own_layers=network if drafting is not None and drafting.kind == "mtp" else None,
    )
