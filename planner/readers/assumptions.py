"""What a person lets the planner take for granted about a model it does not know: `PART=KIND`, part by part.

An assumption never becomes a fact: it is kept with the network, and every page that shows the network shows
it. What nobody assumed stays unknown and is refused by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final

from planner.errors import MissingFactError
from planner.quoting import quoted
from planner.readers.config.architectures.decoder import Dialect
from planner.readers.config.architectures.mixture import MixtureRules

ARCHITECTURE: Final = "architecture"
IGNORED: Final = "ignored"

# What each kind of a part means for a plain decoder; kinds of attention can be joined with "+".
KINDS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = MappingProxyType(
    {
        "attention": {
            "plain": {"qkv_bias": False},
            "bias": {"qkv_bias": True},
            "output-bias": {"output_bias": True},
            "qk-norm": {"qk_norm": "head"},
            "qk-norm-full": {"qk_norm": "full"},
            "sinks": {"sinks": True},
        },
        "mlp": {
            "gated": {"gated": True},
            "two-matrix": {"gated": False},
            "gated+bias": {"gated": True, "mlp_bias": True},
            "two-matrix+bias": {"gated": False, "mlp_bias": True},
        },
        "norms": {
            "none": {"norms_per_layer": 0, "final_norm": False},
            "1": {"norms_per_layer": 1},
            "2": {"norms_per_layer": 2},
            "4": {"norms_per_layer": 4},
            "2+bias": {"norms_per_layer": 2, "norm_bias": True},
        },
        "head": {"tied": {"tied": True}, "own": {"tied": False}},
        "windows": {
            "none": {"windows": "none"},
            "all": {"windows": "all"},
            "even": {"windows": "even"},
            "every-fourth-full": {"windows": "every_fourth_full"},
            "every-sixth-full": {"windows": "every_sixth_full"},
        },
        "experts": {
            "plain": {"mixture": MixtureRules()},
            "correction-bias": {"mixture": MixtureRules(correction_bias=True)},
            "router-bias": {"mixture": MixtureRules(router_bias=True)},
        },
        "mtp": {"none": {"mtp": "none"}, "plain": {"mtp": "plain"}, "dense": {"mtp": "dense"}},
    }
)
# What is not known of a part whose kind nobody told, as a message says it.
QUESTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "attention": "attention (biases, norms of queries and keys, sinks)",
        "mlp": "mlp (gated or two matrices)",
        "norms": "norms (how many a layer)",
        "head": "head (tied to the embeddings or its own)",
        "windows": "windows (which layers)",
        "experts": "experts (biases of the router)",
        "mtp": "mtp (what the extra prediction layers are)",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What was assumed: the type to read the model as, kinds of parts, fields or tensors to pass over."""

    architecture: str | None = None
    parts: tuple[tuple[str, str], ...] = ()
    ignored: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.architecture or self.parts or self.ignored)

    @property
    def texts(self) -> tuple[str, ...]:
        """Each assumption as it would be written again."""
        architecture = (f"{ARCHITECTURE}={self.architecture}",) if self.architecture else ()
        parts = tuple(f"{part}={kind}" for part, kind in self.parts)
        return (*architecture, *parts, *(f"{name}={IGNORED}" for name in sorted(self.ignored)))

    @property
    def notes(self) -> tuple[str, ...]:
        """What every page that shows the model has to say."""
        if not self:
            return ()
        return (f"assumed, not known: {', '.join(self.texts)}; every figure rests on that",)

    def dialect(self) -> Dialect:
        """The choices of a plain decoder that the assumed parts amount to."""
        changes: dict[str, Any] = {}
        for part, kind in self.parts:
            for single in _kinds_of(part, kind):
                changes.update(KINDS[part][single])
        return Dialect(**changes)


NOTHING_ASSUMED: Final = Assumptions()


def parse_assumptions(texts: Sequence[str]) -> Assumptions:
    """Assumptions as a person writes them, such as "attention=bias+qk-norm" or "rope_gate=ignored".

    Raises MissingFactError for a part or kind that there is not, with those that there are.
    """
    architecture = None
    parts: dict[str, str] = {}
    ignored = set()
    for text in texts:
        part, equals, kind = (piece.strip() for piece in text.partition("="))
        if not equals or not part or not kind:
            raise MissingFactError(
                f"{quoted(text)} is no assumption; write PART=KIND, such as mlp=gated, {ARCHITECTURE}=llama, "
                f"or FIELD={IGNORED}"
            )
        if kind == IGNORED:
            ignored.add(part)
        elif part == ARCHITECTURE:
            architecture = kind
        elif part in KINDS:
            _kinds_of(part, kind)
            parts[part] = kind
        else:
            near = get_close_matches(part, [*KINDS, ARCHITECTURE], n=1)
            hint = f"did you mean {near[0]}?" if near else f"parts are {', '.join([ARCHITECTURE, *KINDS])}"
            raise MissingFactError(
                f"{quoted(part)} is no part that can be assumed; {hint} (a field can only be {IGNORED})"
            )
    return Assumptions(architecture=architecture, parts=tuple(parts.items()), ignored=frozenset(ignored))


def _kinds_of(part: str, kind: str) -> tuple[str, ...]:
    known = KINDS[part]
    if kind in known:
        return (kind,)
    singles = tuple(kind.split("+"))
    if part == "attention" and all(single in known for single in singles):
        return singles
    joined = " (can be joined with +)" if part == "attention" else ""
    raise MissingFactError(f"{part}={quoted(kind)}: kinds of {part} are {', '.join(known)}{joined}")
