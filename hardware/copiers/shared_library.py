"""A vendor's runtime library through ctypes: declared functions, and errors by the library's own names."""

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

from hardware.gpu_copies import CopyError

_OUT_OF_MEMORY = 2  # CUDA_ERROR_OUT_OF_MEMORY and hipErrorOutOfMemory


class SharedLibrary:
    """Calls into one library; a code other than 0 raises CopyError, a function it lacks too.

    Raises OSError when the library cannot be loaded.
    """

    def __init__(self, name: str, functions: Mapping[str, Sequence[Any]]) -> None:
        self._library = ctypes.CDLL(name)
        self._functions = functions

    def call(self, function: str, *arguments: Any) -> None:
        """Calls a function of the table; its arguments are converted to the types that stand there."""
        code = self._function(function)(*arguments)
        if code != 0:
            raise CopyError(f"{function}: {self.error_name(code)}", no_memory=code == _OUT_OF_MEMORY)

    def error_name(self, code: int) -> str:
        """The name of an error code; a subclass asks the library."""
        return f"error {code}"

    def _function(self, name: str) -> Any:
        try:
            function = getattr(self._library, name)
        except AttributeError as error:
            raise CopyError(f"this driver has no {name}; update it") from error
        function.argtypes = list(self._functions[name])
        function.restype = ctypes.c_int
        return function
