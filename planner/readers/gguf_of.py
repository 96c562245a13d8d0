"""The GGUF header behind a reference, wherever the file lies; nothing where a reference is no GGUF."""

import os
from pathlib import Path

from planner.errors import NotFoundError, UnreachableError
from planner.readers.gguf.file import GgufFile, read_gguf
from planner.readers.hub.gguf_files import choose_gguf, gguf_files, read_hub_gguf
from planner.readers.hub.repository import DEFAULT_OPTIONS, HubOptions, repo_info
from planner.readers.ollama.local import resolve_ollama
from planner.readers.ollama.registry import read_ollama_registry
from planner.readers.open_model import told_gguf
from planner.readers.reference import HubModel, LocalGguf, OllamaReference, UrlGguf, parse_reference
from planner.readers.web.url_model import read_url_gguf


def gguf_of(text: str, *, options: HubOptions = DEFAULT_OPTIONS) -> GgufFile | None:
    """The header that `open_model` reads for the same text; None for models that a config describes."""
    match parse_reference(text):
        case LocalGguf(path=path):
            return read_gguf(path)
        case UrlGguf(url=url):
            return read_url_gguf(url, options=options)
        case HubModel() as model:
            files = repo_info(model.repo_id, model.revision, options=options).files
            named = model.filename is not None or model.quant is not None
            models = [found for found in gguf_files(files) if not found.is_projector]
            if not named and (not models or any(file.path == "config.json" for file in files)):
                return None  # the repository is read by its config
            chosen = choose_gguf(model.repo_id, files, filename=model.filename, quant=model.quant)
            return read_hub_gguf(model.repo_id, chosen.name, model.revision, options=options)
        case OllamaReference(name=name):
            return _ollama_gguf(name, options)
        case _:
            return None


def _ollama_gguf(name: str, options: HubOptions) -> GgufFile | None:
    try:
        found = resolve_ollama(name, os.environ, Path.home())
    except (NotFoundError, UnreachableError):
        return read_ollama_registry(name, options=options).gguf
    if found.blob_path is not None:
        return read_gguf(found.blob_path)
    return told_gguf(found) if found.config is None else None
