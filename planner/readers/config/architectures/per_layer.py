"""`per_layer_config`: the section in which newer configs give single layers values of their own."""

from planner.errors import UnknownArchitectureError
from planner.quoting import quoted
from planner.readers.config.fields import ConfigFields


def layer_overrides(
    fields: ConfigFields, n_layers: int, understood: tuple[str, ...]
) -> tuple[dict[str, int], ...] | None:
    """Each layer's own values by field name, or None for a config without the section.

    Layers are named by number, with or without leading zeros. A field outside `understood` is refused.
    """
    section = fields.section("per_layer_config")
    if section is None:
        return None
    found = []
    for i in range(n_layers):
        layer = section.section(str(i), f"{i:02d}", f"{i:03d}")
        values = {} if layer is None else {name: layer.maybe_count(name) for name in understood}
        if layer is not None and (unknown := layer.unread()):
            raise UnknownArchitectureError(
                f"{fields.label}: per_layer_config changes {quoted(unknown[0])}, which is not understood yet"
            )
        found.append({name: value for name, value in values.items() if value is not None})
    return tuple(found)
