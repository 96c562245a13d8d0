"""A model from an entry of the catalogue."""

from collections.abc import Mapping
from typing import Any, Final

from planner.errors import UnknownArchitectureError
from planner.model.opened_model import OpenedModel
from planner.readers.assumptions import NOTHING_ASSUMED, Assumptions
from planner.readers.config.network import network_from_config
from planner.readers.source_facts import facts_of_config

CATALOGUE: Final = "catalogue"  # as a source


def from_catalogue(
    entry: Mapping[str, Any], text: str, assumptions: Assumptions = NOTHING_ASSUMED
) -> OpenedModel:
    """A model from an entry of the packaged or the user's own catalogue."""
    try:
        network = network_from_config(entry["config"], assumptions)
    except UnknownArchitectureError as error:
        raise UnknownArchitectureError(f"{entry['name']}: {error}") from error
    return OpenedModel(
        reference=text,
        name=entry["name"],
        source=CATALOGUE,
        network=network,
        licence=entry["licence"],
        native_preset=native_preset(entry["config"]),
        facts=facts_of_config(entry["config"]),
        notes=network.notes,
    )


def native_preset(config: Mapping[str, Any]) -> str | None:
    """Weights published in four bits gain nothing from a larger type."""
    quantization = config.get("quantization_config")
    method = quantization.get("quant_method") if isinstance(quantization, dict) else None
    return "MXFP4_MOE" if method == "mxfp4" else None
