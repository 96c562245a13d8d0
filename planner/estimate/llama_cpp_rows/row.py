"""One recorded load of an engine of the llama.cpp family, read from a row of text.

What a person knows before starting is an input: the model's metadata, the file's size, its tensor types, settings,
command line, names and number of devices. What the engine then printed to have allocated is only ever compared
with: `measured` holds it, and nothing here reads a size from it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Final

from hardware.units import GIB, MIB
from planner.engines.ik_llama_cpp.command_line import CommandLine, parse
from planner.errors import MalformedError
from planner.estimate.served.component import number, whole

Row = Mapping[str, str]

# Without these a table of logs is none of this family.
COLUMNS: Final = ("engine", "model_name", "n_ctx_tokens", "model_buf_detail_mib", "kv_total_mib")
ENGINES: Final = ("ik_llama.cpp", "ollama", "llama.cpp")  # the longer name first: one holds the other

_HOST: Final = re.compile(r"(CPU|AMX|BLAS|.*_Host$)", re.ASCII)
_MAPPED: Final = "_Mapped"
_MOST_LAYERS: Final = 4096
# Beyond these a table is broken, or made to keep the planner busy.
_LARGEST: Final = MappingProxyType(
    {
        "n_layer": _MOST_LAYERS, "layers_offloaded": _MOST_LAYERS, "n_seq_max": 1024, "pipeline_n_copies": 64,
        "mla_attn_ik": 3, "n_expert": 100_000, "n_expert_used": 100_000, "n_batch": 10_000_000,
        "n_ubatch": 10_000_000,
    }
)  # fmt: skip
_LARGEST_OTHER: Final = 10_000_000_000
_COMMAND_CHARS: Final = 300  # where tables of logs cut a command line off


@dataclass(frozen=True)
class LoadRow:
    """The cells of a row, as the values they stand for; None where a cell is empty."""

    cells: Row

    @property
    def engine(self) -> str:
        """One of ENGINES, whatever version stands beside it."""
        text = self._text("engine").lower()
        for name in ENGINES:
            if text.startswith(name):
                return name
        raise MalformedError(f"column engine holds {text[:40]!r}, expected one of {', '.join(ENGINES)}")

    @property
    def name(self) -> str:
        """What the log calls the model, with the file in brackets where both are known."""
        return self._text("model_name")

    @property
    def architecture(self) -> str | None:
        """The engine's own name for the architecture, "qwen3moe"."""
        return self._text("arch") or None

    @property
    def group(self) -> str:
        """What rows of one kind share: the architecture, or else the beginning of the name."""
        return self._text("arch") or self._text("model_name")[:16]

    def whole(self, column: str) -> int | None:
        """A whole number from 0 to the largest that the column can hold."""
        value = whole(self.cells, column)
        largest = _LARGEST.get(column, _LARGEST_OTHER)
        if value is not None and not 0 <= value <= largest:
            raise MalformedError(f"column {column} holds {value}, expected a whole number up to {largest:,}")
        return value

    def number(self, column: str) -> float | None:
        """A number."""
        return number(self.cells, column)

    def per_layer(self, column: str) -> tuple[int, ...] | int | None:
        """A whole number for all layers, or a list with one for each."""
        text = self._text(column)
        if not text.startswith("["):
            return self.whole(column)
        try:
            values = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise MalformedError(
                f"column {column} holds {text[:40]!r}, expected a list of numbers"
            ) from error
        if len(values) > _MOST_LAYERS or not all(type(value) is int and value >= 0 for value in values):
            raise MalformedError(f"column {column} holds {text[:40]!r}, expected a list of whole numbers")
        return tuple(values)

    @cached_property
    def tensor_types(self) -> Mapping[str, int]:
        """How many tensors the file has of each type."""
        found = {}
        for part in filter(None, self._text("tensor_type_counts").split(";")):
            name, equals, count = part.partition("=")
            if not equals or not count.isascii() or not count.isdigit() or len(count) > 6:
                raise MalformedError(f"column tensor_type_counts holds {part[:40]!r}, expected TYPE=COUNT")
            found[name.strip().upper()] = int(count)
        return found

    @property
    def file_bytes(self) -> float | None:
        """Bytes of all tensors, as the engine and the hub print it."""
        size = self.number("file_size_gib")
        return None if size is None else size * GIB

    @cached_property
    def command(self) -> CommandLine | None:
        """The command line, as far as somebody pasted it."""
        text = self._text("command")
        if not text:
            return None
        if len(self.cells["command"]) < _COMMAND_CHARS:
            return parse(text)
        return replace(parse(text.rpartition(" ")[0]), is_cut=True)  # the last word may lack its end

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of the GPUs that the engine saw."""
        return tuple(filter(None, (name.strip() for name in self._text("gpu").split(";"))))

    @property
    def backend(self) -> str:
        """CUDA, ROCm, Vulkan, Metal, CPU…"""
        return self._text("backend")

    @property
    def flash_attention(self) -> bool | None:
        """Whether it was on; "auto" means on, because every backend of these rows can."""
        text = self._text("flash_attn").lower()
        return None if not text else text not in ("0", "off", "disabled", "false")

    @property
    def kv_unified(self) -> bool | None:
        """Whether sequences share one cache."""
        text = self._text("kv_unified").lower()
        return None if not text else text in ("true", "1")

    def text(self, column: str) -> str:
        """The cell, without blanks around it."""
        return self._text(column)

    def _text(self, column: str) -> str:
        return (self.cells.get(column) or "").strip()

    @cached_property
    def buffer_devices(self) -> tuple[str, ...]:
        """Names, without sizes, of the GPUs that got weights; empty where the row lists no buffers."""
        names = (_device(name) for name in self._sizes("model_buf_detail_mib"))
        return tuple(dict.fromkeys(name for name in names if name != "host"))

    @property
    def names_pinned_weights(self) -> bool:
        """Whether a buffer of weights lies in memory pinned for a GPU, by its name: then no file is mapped."""
        return any(name.endswith("_Host") for name in self._sizes("model_buf_detail_mib"))

    @property
    def is_mapped(self) -> bool | None:
        """Whether weights in main memory are the mapped file, by the buffer's name; None where none is named."""
        names = list(self._sizes("model_buf_detail_mib"))
        return any(_MAPPED in name for name in names) if names else None

    def measured(self, column: str) -> dict[str, float] | None:
        """Bytes by device, all host buffers as one, of a column of buffer sizes; None where it is empty."""
        sums: dict[str, float] = {}
        for name, size in self._sizes(column).items():
            device = _device(name)
            sums[device] = sums.get(device, 0.0) + size
        return sums or None

    def measured_total(self, column: str) -> float | None:
        """Bytes of a column in MiB."""
        value = self.number(column)
        return None if value is None else value * MIB

    def _sizes(self, column: str) -> dict[str, float]:
        found: dict[str, float] = {}
        for part in filter(None, self._text(column).split(";")):
            name, equals, size = part.partition("=")
            value = number({column: size}, column) if equals else None
            if value is None:
                raise MalformedError(f"column {column} holds {part[:40]!r}, expected BUFFER=MIB")
            found[name.strip()] = found.get(name.strip(), 0.0) + value * MIB
        return found


def _device(buffer: str) -> str:
    """The device of a buffer: "CUDA0", or "host" for every kind that lies in main memory."""
    name = buffer.removesuffix(_MAPPED)
    return "host" if _HOST.match(name) else name
