"""One measured test as a table gives it, before anybody asks what its names mean."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hardware.units import GIB, GIGA
from planner.errors import MalformedError

COLUMNS = (
    "device", "backend", "engine", "model", "quant", "file_size_gib", "params_b", "n_prompt", "n_gen", "tok_s",
)  # fmt: skip
_BUILD_NUMBER = re.compile(r"\((\d{1,6})\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRow:
    """One row: names as written, numbers in base units, None where the row does not say."""

    number: int  # of the data row, from 0
    device: str
    hardware: str
    n_devices: int
    backend: str
    engine: str
    build: str
    model: str
    architecture: str
    quantization: str
    file_bytes: float | None
    parameters: float | None
    n_gpu_layers: int | None  # None for all of them
    n_gpu_layers_said: bool
    offload: str
    flash_attention: bool | None
    n_ubatch: int | None
    k_type: str
    n_threads: int | None
    cpu: str
    n_depth_tokens: int
    n_prompt_tokens: int
    n_generated_tokens: int
    n_sequences: int  # at once; rates are those of all of them together
    tokens_per_s: float
    test: str
    origin: str
    source: str
    notes: str
    left_out: str  # why it cannot be placed, where its file says so

    @property
    def build_number(self) -> int | None:
        """The build's number, where the row has one: "4426e298 (2824)" is 2824."""
        found = _BUILD_NUMBER.search(self.build)
        return int(found[1]) if found else None

    @property
    def command(self) -> str:
        """Everything that quotes the command line."""
        return f"{self.notes} {self.offload}"


def rows_from(rows: Iterable[Mapping[str, str | None]], shown: str) -> tuple[BenchRow, ...]:
    """Rows as records; raises an error naming the line whose numbers are none."""
    found = []
    for number, row in enumerate(rows):
        try:
            found.append(_row(number, {key: (value or "").strip() for key, value in row.items()}))
        except ValueError as error:
            raise MalformedError(f"{shown}, line {number + 2}: {error}") from error
    return tuple(found)


def _row(number: int, row: Mapping[str, str]) -> BenchRow:
    def said(name: str) -> str:
        return row.get(name, "")

    layers = said("ngl")
    parameters = said("params_b")
    flash = {"1": True, "0": False}.get(said("fa"))
    if flash is None and "-fa" in said("notes").split():
        flash = True
    rate = float(said("tok_s"))
    if not 0 < rate < math.inf:
        raise ValueError(f"found tok_s = {rate}, expected a positive number")
    return BenchRow(
        number=number,
        device=said("device"),
        hardware=said("hardware"),
        n_devices=int(said("n_devices") or 1),
        backend=said("backend"),
        engine=said("engine"),
        build=said("build"),
        model=said("model"),
        architecture=said("arch"),
        quantization=said("quant"),
        file_bytes=float(said("file_size_gib")) * GIB if said("file_size_gib") else None,
        parameters=float(parameters) * GIGA if parameters else None,
        n_gpu_layers=None if layers in ("", "all") else int(layers),
        n_gpu_layers_said=bool(layers),
        offload=said("offload"),
        flash_attention=flash,
        n_ubatch=int(said("n_ubatch")) if said("n_ubatch") else None,
        k_type=said("type_k"),
        n_threads=int(said("threads")) if said("threads") else None,
        cpu=said("cpu"),
        n_depth_tokens=int(said("n_depth") or 0),
        n_prompt_tokens=int(said("n_prompt") or 0),
        n_generated_tokens=int(said("n_gen") or 0),
        n_sequences=int(said("n_sequences") or 1),
        tokens_per_s=rate,
        test=said("test"),
        origin=said("origin"),
        source=said("source"),
        notes=said("notes"),
        left_out=said("left_out"),
    )
