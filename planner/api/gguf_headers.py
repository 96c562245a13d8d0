"""The GGUF keys and tensors of a model, from its file wherever it lies or from its config."""

from collections.abc import Mapping
from dataclasses import dataclass

from planner.bench.planning_file import PlannedTensor
from planner.engines.llama_cpp.described_header import header_metadata, header_tensors
from planner.errors import BenchError
from planner.estimate.described_model import DescribedModel
from planner.model.ggml_types import type_by_name
from planner.model.opened_model import OpenedModel
from planner.readers.gguf.file import GgufArray
from planner.readers.gguf_of import gguf_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelHeader:
    """What a GGUF header says, its vocabulary apart."""

    metadata: Mapping[str, object]
    tensors: tuple[PlannedTensor, ...]
    n_vocabulary: int | None


def model_header(opened: OpenedModel, model: DescribedModel) -> ModelHeader:
    """The header of the model's file; of a predicted quantization, one written from the network."""
    return _described(model) if model.storage.predicted else _read(opened)


def _read(opened: OpenedModel) -> ModelHeader:
    file = gguf_of(opened.reference)
    if file is None:
        raise BenchError(
            f"{opened.name} is no GGUF, and llama.cpp plans with nothing else; name a .gguf file"
        )
    vocabulary = file.metadata.get("tokenizer.ggml.tokens")
    return ModelHeader(
        metadata={key: value for key, value in file.metadata.items() if not isinstance(value, GgufArray)},
        tensors=tuple(
            PlannedTensor(name=t.name, shape=t.shape, type_id=t.type_id, n_bytes=t.n_bytes)
            for t in file.tensors
        ),
        n_vocabulary=len(vocabulary) if isinstance(vocabulary, GgufArray | tuple) else None,
    )


def _described(model: DescribedModel) -> ModelHeader:
    metadata = header_metadata(model.network)
    if metadata is None:
        raise BenchError(
            f"llama.cpp plans with a GGUF header, and none can be written from the config of a "
            f"{model.network.architecture} model; name a GGUF file, on the hub as OWNER/NAME-GGUF:Q4_K_M"
        )
    return ModelHeader(
        metadata=metadata,
        tensors=tuple(
            PlannedTensor(name=name, shape=shape, type_id=type_by_name(type_name).id, n_bytes=n_bytes)
            for name, shape, type_name, n_bytes in header_tensors(model.network, model.storage)
        ),
        n_vocabulary=model.network.vocab_size,
    )
