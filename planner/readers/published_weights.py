"""The weights as a repository publishes them: laid out by its config, and held against its files' headers."""

from collections.abc import Mapping
from types import MappingProxyType

from planner.errors import MalformedError, UnknownArchitectureError
from planner.model.claims import Claim
from planner.model.formats.layout import FormatLayout
from planner.model.network import Network
from planner.readers.config.quantization import (
    quantization_section,
    states_element_type,
    storage_from_quantization,
)

# Headers may hold buffers beside the weights; more than this is a disagreement.
_TOLERATED_FRACTION = 0.001


def published_weights(
    config: Mapping[str, object],
    network: Network,
    side_files: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
) -> tuple[FormatLayout | None, tuple[str, ...]]:
    """How the repository of a config stores its weights; None where the config does not say.

    A format that nobody understands is told in a note.
    """
    if states_element_type(config) is None and quantization_section(config, side_files) is None:
        return None, ()
    try:
        layout = storage_from_quantization(config, network, side_files)
    except (UnknownArchitectureError, MalformedError) as error:
        return None, (f"how its weights are stored is not known: {error}",)
    notes = list(layout.notes)
    if layout.unmatched_patterns:
        shown = ", ".join(layout.unmatched_patterns[:3])
        notes.append(f"its list of unquantized modules names some that the model does not have: {shown}")
    return layout, tuple(notes)


def stored_claim(layout: FormatLayout | None, network: Network, stored_elements: int, source: str) -> Claim:
    """The elements that the weight files hold, against what the config amounts to.

    `source` says who counted: file headers hold packed words and scales, the hub's figure unpacks the former
    and leaves the latter out.
    """
    expected = {"as the config describes": network.parameters.counted}
    if layout is not None:
        expected["as stored, scales and packed words included"] = layout.stored_elements
        expected["as the hub counts"] = layout.hub_parameters
    near = min(expected, key=lambda name: abs(expected[name] - stored_elements))
    agrees = abs(expected[near] / stored_elements - 1) <= _TOLERATED_FRACTION if stored_elements else False
    uncounted = network.parameters.uncounted
    note = None
    if not agrees:
        note = (
            f"without {', '.join(uncounted)}, which the planner does not count"
            if uncounted
            else "parts that the config does not tell of, or a description of another model"
        )
    return Claim(
        what="stored elements",
        claimed=f"{stored_elements:,}",
        found=f"{expected[near]:,} ({near})",
        agrees=None if not agrees and uncounted else agrees,
        source=source,
        note=note,
        unit="elements",
        claimed_values=(stored_elements,),
        found_value=expected[near],
    )
