"""Reads a config of a `model_type` that nobody implemented: what it says, what it leaves open, what would do.

A plain decoder is tried on the config, to see which of its fields have a meaning there; its numbers are given
only once every open part has been assumed by the person.
"""

from difflib import get_close_matches

from planner.errors import PlannerError, UnknownArchitectureError
from planner.model.network import Network
from planner.quoting import quoted
from planner.readers.assumptions import ARCHITECTURE, IGNORED, QUESTIONS, Assumptions
from planner.readers.config.architectures.decoder import Dialect, decoder_network
from planner.readers.config.fields import ConfigFields
from planner.readers.config.unread_fields import unread_structural

_MOST_FIELDS = 8
# Parts that are open only when the config has a field that speaks of them.
_EVIDENCE = {
    "windows": ("sliding_window", "sliding_window_size", "attention_window_size", "sliding_window_pattern"),
    "experts": ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"),
    "mtp": ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules"),
}


def assumed_network(fields: ConfigFields, assumptions: Assumptions, known_types: list[str]) -> Network:
    """The network of an unknown type, read as a plain decoder of the assumed parts.

    Raises UnknownArchitectureError that says what the config tells, which parts are open, and how to go on.
    """
    asked = fields.afresh()
    problem = None
    network = None
    try:
        network = decoder_network(asked, assumptions.dialect() if assumptions.parts else Dialect())
    except (PlannerError, ValueError) as error:
        problem = str(error)
    open_parts = _open_parts(fields, assumptions)
    open_fields = [name for name in unread_structural(asked) if name not in assumptions.ignored]
    if network is not None and not open_parts and not open_fields:
        return decoder_network(fields, assumptions.dialect())  # again, to mark what it read
    raise UnknownArchitectureError(_message(fields, network, problem, open_parts, open_fields, known_types))


def _open_parts(fields: ConfigFields, assumptions: Assumptions) -> list[str]:
    assumed = {part for part, _ in assumptions.parts}
    found = [part for part in ("attention", "mlp", "norms") if part not in assumed]
    levels = [level for level in (fields, fields.parent) if level is not None]
    if "head" not in assumed and not any(level.has("tie_word_embeddings") for level in levels):
        found.append("head")
    for part, names in _EVIDENCE.items():
        if part not in assumed and any(fields.raw(name) not in (None, False, 0) for name in names):
            if part == "windows" and fields.has("layer_types"):
                continue
            found.append(part)
    return found


def _message(
    fields: ConfigFields,
    network: Network | None,
    problem: str | None,
    open_parts: list[str],
    open_fields: list[str],
    known_types: list[str],
) -> str:
    near = get_close_matches(fields.model_type[:60], known_types, n=2)
    text = f"model_type {quoted(fields.model_type[:60])} is not known"
    if network is None:
        text += f", and is no plain decoder either ({problem})"
    else:
        kinds = ", ".join(dict.fromkeys(group.kind for group in network.groups))
        text += (
            f"; its config tells of {network.n_layers} layers ({kinds}), hidden size {network.hidden_size:,}, "
            f"vocabulary {network.vocab_size:,}"
        )
    # Of what is no plain decoder, nobody can say which parts are open.
    unknown = [QUESTIONS[part] for part in open_parts] if network is not None else []
    shown = [quoted(name) for name in open_fields[:_MOST_FIELDS]]
    if len(open_fields) > _MOST_FIELDS:
        shown.append(f"{len(open_fields) - _MOST_FIELDS} more")
    if shown and network is not None:
        unknown.append(f"what {', '.join(shown)} {'mean' if len(open_fields) > 1 else 'means'}")
    if unknown:
        text += f"; not known: {'; '.join(unknown)}"
    like = near[0] if near else "llama"
    text += f"; to go on, name a known type that it is like, --assume {ARCHITECTURE}={like}"
    if network is not None:
        examples = {"attention": "plain", "mlp": "gated", "norms": "2", "head": "own", "windows": "all",
                    "experts": "plain", "mtp": "none"}  # fmt: skip
        each = [f"--assume {part}={examples[part]}" for part in open_parts]
        each += [f"--assume {name}={IGNORED}" for name in open_fields[:1]]
        text += f", or each part: {' '.join(each)}"
    return text
