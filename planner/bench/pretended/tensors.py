"""Operations of the engine's graph, and the tensors they read."""

from collections.abc import Iterator
from typing import Any

from planner.bench.pretended.ggml import Ggml
from planner.bench.pretended.structs import RawBuffer, RawTensor


class Node:
    """One operation of the engine's graph, or a tensor it reads."""

    __slots__ = ("_raw", "address", "ggml")

    def __init__(self, ggml: Ggml, address: int) -> None:
        self.ggml = ggml
        self.address = address
        self._raw = RawTensor.from_address(address)

    @property
    def op(self) -> str:
        """The operation's name, such as "MUL_MAT"."""
        return _name(self.ggml, "ggml_op_name", self._raw.op)

    @property
    def unary(self) -> str:
        """Which function of one argument, for a "UNARY" operation."""
        return _name(self.ggml, "ggml_unary_op_name", self.ggml.raw.ggml_get_unary_op(self.address))

    @property
    def glu(self) -> str:
        """Which gated unit, for a "GLU" operation."""
        return _name(self.ggml, "ggml_glu_op_name", self.ggml.raw.ggml_get_glu_op(self.address))

    @property
    def type(self) -> str:
        """The element type's name, such as "q4_K"."""
        return _name(self.ggml, "ggml_type_name", self._raw.type)

    @property
    def quantized(self) -> bool:
        """Whether elements are stored in blocks with scales."""
        return bool(self.ggml.raw.ggml_is_quantized(self._raw.type))

    @property
    def ne(self) -> Any:
        """Elements along each of the four dimensions."""
        return self._raw.ne

    @property
    def nb(self) -> Any:
        """Bytes between neighbours along each of the four dimensions."""
        return self._raw.nb

    @property
    def op_params(self) -> Any:
        """Sixteen integers whose meaning depends on the operation."""
        return self._raw.op_params

    @property
    def view_of(self) -> tuple[int | None, int]:
        """The tensor that this is a view of, and from which byte on."""
        return self._raw.view_src, self._raw.view_offs

    @property
    def buffer_type(self) -> int | None:
        """The buffer type that it lies in; None before it has a place."""
        return RawBuffer.from_address(self._raw.buffer).buft if self._raw.buffer else None

    def source(self, index: int) -> "Node | None":
        """One of the tensors that the operation reads."""
        address = self._raw.src[index]
        return Node(self.ggml, address) if address else None

    def sources(self) -> Iterator["Node"]:
        """All tensors that the operation reads."""
        for address in self._raw.src:
            if address:
                yield Node(self.ggml, address)

    @property
    def n_bytes(self) -> int:
        """Bytes of its data."""
        return int(self.ggml.raw.ggml_nbytes(self.address))

    @property
    def n_elements(self) -> int:
        """Elements of its data."""
        return int(self.ggml.raw.ggml_nelements(self.address))

    @property
    def n_rows(self) -> int:
        """Rows of its data."""
        return int(self.ggml.raw.ggml_nrows(self.address))

    @property
    def element_bytes(self) -> int:
        """Bytes of one element, or of one block."""
        return int(self.ggml.raw.ggml_type_size(self._raw.type))

    @property
    def block_elements(self) -> int:
        """Elements of one block."""
        return int(self.ggml.raw.ggml_blck_size(self._raw.type))

    def row_bytes(self, n_elements: int) -> int:
        """Bytes of that many elements of its type."""
        return int(self.ggml.raw.ggml_row_size(self._raw.type, n_elements))

    def contiguous(self, which: str = "") -> bool:
        """Whether it lies without gaps; "_1", "_2" and "_rows" ask less."""
        return bool(getattr(self.ggml.raw, f"ggml_is_contiguous{which}")(self.address))


_NAMES: dict[tuple[str, int], str] = {}


def _name(ggml: Ggml, function: str, number: int) -> str:
    key = (function, number)
    if key not in _NAMES:
        _NAMES[key] = getattr(ggml.raw, function)(number).decode("utf-8", "replace")
    return _NAMES[key]
