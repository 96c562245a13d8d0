"""The metadata of one architecture: keys without their prefix, per-layer arrays read by layer."""

from collections.abc import Mapping

from planner.errors import MalformedError
from planner.quoting import quoted
from planner.readers.gguf.file import GgufArray


class ArchitectureKeys:
    """The keys of one architecture, each read through an accessor that says what is wrong with it."""

    def __init__(self, values: Mapping[str, object]):
        architecture = values.get("general.architecture")
        if not isinstance(architecture, str):
            raise MalformedError("the GGUF header has no general.architecture; it is not a model file")
        self.architecture = architecture
        self._values = values

    @property
    def label(self) -> str:
        """The architecture as messages show it."""
        return quoted(self.architecture[:40])

    def raw(self, key: str) -> object:
        """The value of a key as it stands in the file, None where it is absent."""
        return self._values.get(f"{self.architecture}.{key}")

    def count(self, key: str, layer: int | None = None) -> int:
        """A whole number that must be there; of an array, the entry of the layer."""
        value = self.maybe_count(key, layer)
        if value is None:
            raise MalformedError(f"the GGUF header has no {key} for {self.label}; the file is incomplete")
        return value

    def maybe_count(self, key: str, layer: int | None = None) -> int | None:
        """A whole number, None where the key is absent; of an array, the entry of the layer."""
        value = self.raw(key)
        if isinstance(value, GgufArray):
            raise MalformedError(f"{key} of {self.label} is an array longer than any network")
        if isinstance(value, tuple):
            if layer is None:
                raise MalformedError(f"{key} of {self.label} is an array, one number is expected")
            if layer >= len(value):
                raise MalformedError(f"{key} of {self.label} has {len(value)} entries, layer {layer} asked")
            value = value[layer]
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise MalformedError(f"{key} of {self.label} is {quoted(value)}, expected a whole number")
        return value

    def flags(self, key: str, n_layers: int) -> tuple[bool, ...] | None:
        """One yes or no for each layer from an array; None where there is no array."""
        value = self.raw(key)
        if isinstance(value, GgufArray):
            raise MalformedError(f"{key} of {self.label} is an array longer than any network")
        if not isinstance(value, tuple):
            return None
        if len(value) < n_layers:
            raise MalformedError(f"{key} of {self.label} has {len(value)} of {n_layers} entries")
        return tuple(bool(entry) for entry in value[:n_layers])
