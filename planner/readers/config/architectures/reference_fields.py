"""Config fields with the defaults of the reference implementation for those that a file leaves out.

Published files leave out what equals the default of their configuration class, above all inside sections such
as `text_config`. `reference_defaults.json` lists those defaults by model type, as the configuration classes of
Hugging Face transformers 5.23 state them (Apache-2.0), only for fields that some reader here asks for.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from planner.model.network import Network
from planner.readers.config.fields import ConfigFields

Builder = Callable[[ConfigFields], Network]

# A whole config without one of these is broken or made by hand: taking another model's size for it would be a
# guess. Inside a section their absence is how a file says "as usual".
_SIZES: Final = frozenset(
    {
        "d_model",
        "hidden_size",
        "intermediate_size",
        "n_embd",
        "n_head",
        "n_heads",
        "n_layer",
        "n_layers",
        "num_attention_heads",
        "num_heads",
        "num_hidden_layers",
        "num_layers",
        "vocab_size",
    }
)


class ReferenceFields(ConfigFields):
    """A config whose absent fields have the reference implementation's defaults; a null stays a null.

    `has` still tells only what the file itself says. Reading marks fields of the original as read.
    """

    def __init__(self, fields: ConfigFields, defaults: Mapping[str, object]):
        super().__init__(fields._values, fields.model_type, fields.parent)
        self._read = fields._read
        self._defaults = defaults

    def _find(self, names: Iterable[str]) -> tuple[str, object] | None:
        names = tuple(names)
        found = super()._find(names)
        if found is not None or any(name in self._values for name in names):
            return found
        return next(((name, self._defaults[name]) for name in names if name in self._defaults), None)

    def has(self, name: str) -> bool:
        """Whether the file has the field and it is not null; defaults do not count."""
        return super()._find([name]) is not None


@cache
def _all_defaults() -> Mapping[str, Mapping[str, object]]:
    loaded: dict[str, dict[str, object]] = json.loads(
        Path(__file__).with_name("reference_defaults.json").read_text(encoding="utf-8")
    )
    return MappingProxyType(loaded)


def with_reference_defaults(builder: Builder) -> Builder:
    """A builder that reads absent fields as the reference implementation of the model type does."""
    return partial(_build, builder=builder)


def _build(fields: ConfigFields, builder: Builder) -> Network:
    defaults = _all_defaults().get(fields.model_type, {})
    if fields.parent is None:
        defaults = {name: value for name, value in defaults.items() if name not in _SIZES}
    return builder(ReferenceFields(fields, defaults))
