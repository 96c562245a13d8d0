"""Finds structural config fields that nobody asked for: unread, one may hide a part the planner does not know."""

import re
from typing import Final

from planner.errors import UnknownArchitectureError
from planner.quoting import quoted
from planner.readers.config.architectures.harmless_fields import HARMLESS_FIELDS
from planner.readers.config.fields import ConfigFields

# Words that mark a field as describing shapes.
STRUCTURAL: Final = re.compile(
    r"(^|_)(experts?|moe|heads?|layers?|hidden|intermediate|ffn|mlp|lora|rank|latent|ssm|mamba|conv|embed"
    r"|window|blocks?|compress|ratios?|sinks?|gate|shared|dense|altup|laurel|mtp|nextn|index|kv|bias|norm"
    r"|state|channels?|cla)(_|$)"
)


def unread_structural(fields: ConfigFields) -> tuple[str, ...]:
    """Names of the structural fields that carry a value and that nobody asked for."""
    return tuple(
        name
        for name in fields.unread()
        if STRUCTURAL.search(name) and name not in HARMLESS_FIELDS and fields.raw(name) not in (False, 0, "")
    )


def refuse_unread(fields: ConfigFields) -> None:
    """Raise UnknownArchitectureError when a structural field carries a value that nobody asked for."""
    unknown = unread_structural(fields)
    if unknown:
        shown = ", ".join(quoted(name) for name in unknown[:4])
        raise UnknownArchitectureError(
            f"{fields.label}: the config has fields this planner does not know ({shown}); "
            "its numbers could be wrong, so it gives none; if they change no shape, say so: "
            f"{' '.join(f'--assume {quoted(name)[1:-1]}=ignored' for name in unknown[:4])}"
        )
