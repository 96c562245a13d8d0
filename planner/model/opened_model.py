"""A model that a reader opened: the network, its storage where known, and where it came from."""

from dataclasses import dataclass
from pathlib import Path

from planner.model.card import Card
from planner.model.claims import Claim, SourceFacts
from planner.model.formats.layout import FormatLayout
from planner.model.label_audit import LabelAudit
from planner.model.network import Network
from planner.model.storage import Storage


@dataclass(frozen=True, kw_only=True)
class OpenedModel:
    """A model that was opened: what it is, how it is stored where that is known, and what was odd."""

    reference: str
    name: str
    source: str  # "GGUF file", "config.json", "hub repository …", "Ollama", "catalogue"
    network: Network
    storage: Storage | None = None  # None when only the architecture is known
    path: Path | None = None  # of the GGUF on this machine
    fingerprint: str | None = None
    header_bytes: int | None = None
    n_files: int | None = None
    stored_elements: int | None = None  # in safetensors, as their headers say
    stored_bytes: int | None = None
    licence: str | None = None
    native_preset: str | None = None  # the GGUF preset that keeps weights published in four bits as they are
    published: FormatLayout | None = None  # the weights as a repository stores them, by its config
    audit: LabelAudit | None = None  # whether a GGUF is what its label says
    facts: SourceFacts | None = None  # what config or header say beside the network
    card: Card | None = None
    claims: tuple[Claim, ...] = ()  # of card, name and a second file, held against what was found
    notes: tuple[str, ...] = ()
