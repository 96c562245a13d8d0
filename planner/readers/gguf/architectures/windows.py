"""Which layers of an architecture see a window only, by llama.cpp's rules for its files.

Each rule is the architecture's `load_arch_hparams` in src/models/*.cpp, as shipped with llama-cpp-python 0.3.36.
"""

from dataclasses import dataclass

from planner.errors import MalformedError
from planner.readers.gguf.architectures.keys import ArchitectureKeys

_PATTERN = "attention.sliding_window_pattern"
_WINDOW = "attention.sliding_window"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRule:
    """How the engine decides on windows.

    `every` is the period that holds where the file gives none: the last layer of a period sees everything,
    the first one where `full_first`. 0 puts a window on every layer, None asks for an array in the file.
    """

    every: int | None = None
    full_first: bool = False
    default_tokens: int | None = None  # the window of files that do not say
    fixed_tokens: int | None = None  # the window whatever the file says, unless it says 0
    chunked: bool = False
    required: bool = False  # the engine refuses a file without a window
    only_n_layers: int | None = None  # other depths have no windows
    whole_file: bool = True  # False: a pattern in the file does not count

    def windows(self, keys: ArchitectureKeys, n_layers: int) -> tuple[int | None, ...]:
        """Each layer's window, None where a layer sees everything."""
        if self.only_n_layers is not None and n_layers != self.only_n_layers:
            return (None,) * n_layers
        tokens = keys.maybe_count(_WINDOW)
        if tokens is None and self.required:
            tokens = keys.count(_WINDOW)
        if self.fixed_tokens is not None and tokens != 0 and (tokens or self.chunked):
            tokens = self.fixed_tokens
        if tokens is None:
            tokens = self.default_tokens
        if not tokens:
            return (None,) * n_layers
        return tuple(tokens if windowed else None for windowed in self._windowed(keys, n_layers))

    def _windowed(self, keys: ArchitectureKeys, n_layers: int) -> tuple[bool, ...]:
        if not self.whole_file:
            return self._periodic(self.every or 0, n_layers)
        listed = keys.flags(_PATTERN, n_layers)
        if listed is not None:
            return listed
        if self.every is None:
            raise MalformedError(
                f"the GGUF header of {keys.label} has no array {_PATTERN}; the file is incomplete"
            )
        period = keys.maybe_count(_PATTERN)
        return self._periodic(self.every if period is None else period, n_layers)

    def _periodic(self, period: int, n_layers: int) -> tuple[bool, ...]:
        full = 0 if self.full_first else period - 1
        return tuple(period == 0 or i % period != full for i in range(n_layers))


NO_WINDOWS = WindowRule(every=1, whole_file=False)
