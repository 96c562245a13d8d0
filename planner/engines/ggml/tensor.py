"""Tensors of a ggml graph as shapes: what an operation makes, reads and looks into.

ggml.h, ggml.c: a graph lists nodes in the order in which their sources are complete (depth first, left to
right); views own no memory and keep the tensor that they look into alive.
"""

from collections.abc import Sequence
from typing import Any

from planner.model.ggml_types import type_by_name

# Operations that only look at another tensor (ggml_is_view_op).
VIEW_OPS = frozenset(("NONE", "RESHAPE", "TRANSPOSE", "VIEW", "PERMUTE"))


class Tensor:
    """One tensor: its type and shape, the tensors it is made from, and where it must lie, if anywhere.

    `home` is the index of the device that already holds it (a weight, a cache), `root` the tensor that a view
    looks into, `layout` the strides of a tensor that is not contiguous, as any value that differs from None.
    """

    __slots__ = (
        "_n_bytes", "backend", "home", "is_input", "is_output", "is_weight", "layout", "name", "ne", "op", "root", "src",
        "type_name", "use",
    )  # fmt: skip

    def __init__(
        self,
        op: str,
        type_name: str,
        ne: Sequence[int],
        src: Sequence["Tensor"] = (),
        *,
        name: str = "",
        root: "Tensor | None" = None,
        layout: object = None,
        home: int | None = None,
        is_weight: bool = False,
        is_input: bool = False,
        backend: int | None = None,
    ) -> None:
        self.op = op
        self.type_name = type_name
        self.ne = tuple(ne) + (1,) * (4 - len(ne))
        self.src = list(src)
        self.name = name
        self.root = root
        self.layout = layout
        self.home = home
        self.is_weight = is_weight
        self.is_input = is_input
        self.is_output = False
        self.backend = backend
        self.use: Any = None  # the allocator's notes
        self._n_bytes = -1

    @property
    def n_bytes(self) -> int:
        """Bytes of the data of a contiguous tensor."""
        if self._n_bytes < 0:
            ne = self.ne
            self._n_bytes = type_by_name(self.type_name).row_bytes(ne[0]) * ne[1] * ne[2] * ne[3]
        return self._n_bytes

    @property
    def is_leaf(self) -> bool:
        """Whether no operation makes it."""
        return self.op == "NONE"

    def same_layout(self, other: "Tensor") -> bool:
        """Whether an operation could write its result over the other tensor."""
        return (
            self.type_name == other.type_name
            and self.ne == other.ne
            and self.layout is None
            and other.layout is None
        )


class Graph:
    """Nodes and leaves in the order in which ggml_build_forward_expand meets them."""

    def __init__(self) -> None:
        self.nodes: list[Tensor] = []
        self.leaves: list[Tensor] = []
        self._seen: set[int] = set()

    def expand(self, tensor: Tensor) -> Tensor:
        """Adds a tensor and everything it needs; returns it."""
        stack = [(tensor, 0)]
        while stack:
            current, position = stack.pop()
            if position == 0:
                if id(current) in self._seen:
                    continue
                self._seen.add(id(current))
            if position < len(current.src):
                stack.append((current, position + 1))
                stack.append((current.src[position], 0))
            elif current.is_leaf:
                self.leaves.append(current)
            else:
                self.nodes.append(current)
        return tensor


def weight(name: str, type_name: str, ne: Sequence[int], home: int) -> Tensor:
    """A tensor of the model, on the device that holds it."""
    return Tensor("NONE", type_name, ne, name=name, home=home, is_weight=True)


def cache(name: str, type_name: str, ne: Sequence[int], home: int) -> Tensor:
    """A tensor that lives outside the graph, such as a layer's keys."""
    return Tensor("NONE", type_name, ne, name=name, home=home)


def graph_input(name: str, type_name: str, ne: Sequence[int]) -> Tensor:
    """What the host writes before the graph runs."""
    return Tensor("NONE", type_name, ne, name=name, is_input=True)


def view(source: Tensor, ne: Sequence[int], *, contiguous: bool = False, op: str = "VIEW") -> Tensor:
    """A look into part of a tensor, or at all of it in another shape."""
    layout = None if contiguous else ("view", id(source), tuple(ne))
    return Tensor(op, source.type_name, ne, (source,), root=source.root or source, layout=layout)


def reshape(source: Tensor, *ne: int) -> Tensor:
    """The same data in another shape."""
    return view(source, ne, contiguous=source.layout is None, op="RESHAPE")


def permute(source: Tensor, a: int, b: int, c: int, d: int) -> Tensor:
    """Axes in another order: axis i of the source becomes axis a, b, c or d."""
    ne = [1, 1, 1, 1]
    for old, new in enumerate((a, b, c, d)):
        ne[new] = source.ne[old]
    return view(source, ne, op="PERMUTE")


def transpose(source: Tensor) -> Tensor:
    """The first two axes exchanged."""
    ne = source.ne
    return view(source, (ne[1], ne[0], ne[2], ne[3]), op="TRANSPOSE")


def mul_mat(matrix: Tensor, x: Tensor) -> Tensor:
    """Matrix times columns: [k, m] and [k, n, …] make [m, n, …] in f32."""
    return Tensor("MUL_MAT", "F32", (matrix.ne[1], *x.ne[1:]), (matrix, x))


def like(op: str, x: Tensor, *others: Tensor) -> Tensor:
    """An operation whose result has the shape of its first source."""
    return Tensor(op, x.type_name, x.ne, (x, *others))


def cast(x: Tensor, type_name: str) -> Tensor:
    """A copy in another type; ggml_cast lists its own result as second source."""
    return Tensor("CPY", type_name, x.ne, (x,))


def store(x: Tensor, target: Tensor) -> Tensor:
    """A copy into a view of a cache: the result is a view of the cache."""
    return Tensor("CPY", target.type_name, target.ne, (x, target), root=target.root or target, layout="cache")


def concat(a: Tensor, b: Tensor, axis: int) -> Tensor:
    """Two tensors joined along an axis."""
    ne = list(a.ne)
    ne[axis] += b.ne[axis]
    return Tensor("CONCAT", a.type_name, ne, (a, b))


def get_rows(table: Tensor, rows: Tensor, ne: Sequence[int]) -> Tensor:
    """Picked rows of a table, in f32."""
    return Tensor("GET_ROWS", "F32", ne, (table, rows))
