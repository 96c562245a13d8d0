"""Reads a hub `config.json` into a network: which architecture, and what its fields say.

Every supported `model_type` is listed in `architectures/registry.py`. A type that is not, or a
structural field that nobody asked for, is refused by name: a silent wrong number is worse than none.
"""

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches

from planner.errors import MalformedError, MissingFactError
from planner.model.network import Network
from planner.quoting import quoted
from planner.readers.assumptions import NOTHING_ASSUMED, Assumptions
from planner.readers.config.architectures.registry import BUILDERS
from planner.readers.config.fields import ConfigFields
from planner.readers.config.multimodal import text_part, towers_in_front
from planner.readers.config.unknown_type import assumed_network
from planner.readers.config.unread_fields import refuse_unread


def network_from_config(config: Mapping[str, object], assumptions: Assumptions = NOTHING_ASSUMED) -> Network:
    """The network that a config.json describes.

    Raises UnknownArchitectureError for a type or part the planner does not know, MissingFactError for an
    absent field without a reference default, MalformedError for a value of the wrong kind.
    """
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise MalformedError("config.json has no model_type; the planner needs it to know the architecture")
    fields = ConfigFields(config, model_type)
    model_type = fields.model_type
    text = text_part(fields)
    if assumptions.architecture is not None:
        _check_type(assumptions.architecture)
        text.model_type = assumptions.architecture
    builder = BUILDERS.get(text.model_type)
    if builder is not None and assumptions.parts:
        told = ", ".join(f"{part}={kind}" for part, kind in assumptions.parts)
        raise MissingFactError(
            f"{text.label} is a known type, so nothing of it is assumed part by part; leave out {told}"
        )
    try:
        network = builder(text) if builder else assumed_network(text, assumptions, sorted(BUILDERS))
        towers, notes = towers_in_front(fields, model_type, network.hidden_size)
        network = replace(
            network,
            architecture=model_type,
            towers=towers,
            notes=network.notes + notes + assumptions.notes,
            assumed=assumptions.texts,
        )
        assert network.parameters is not None  # counted now, so that shapes that cannot be are met here
    except ValueError as error:
        raise MalformedError(f"config.json of a {fields.label} model contradicts itself: {error}") from error
    _pass_over(text, assumptions)
    if builder is not None:
        refuse_unread(text)
    return network


def _check_type(name: str) -> None:
    if name not in BUILDERS:
        near = get_close_matches(name[:60], BUILDERS, n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else "name a model_type such as llama"
        raise MissingFactError(f"architecture={quoted(name[:60])} is not known; {hint}")


def _pass_over(text: ConfigFields, assumptions: Assumptions) -> None:
    """Take the ignored fields for read; refuse it for one that is not there, or that the figures rest on."""
    unread = set(text.unread())
    for name in sorted(assumptions.ignored):
        if text.raw(name) is None:
            raise MissingFactError(f"{quoted(name)}=ignored: the config has no such field")
        if name not in unread:
            raise MissingFactError(f"{quoted(name)}=ignored: the planner reads this field and needs it")
