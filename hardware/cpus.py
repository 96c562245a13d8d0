"""Which processor a name means: cores, threads, and what its memory channels can carry.

Names match exactly, without brand, case and separators; "EPYC 9654" is not "EPYC 9654P" unless a row says so.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeAlias

from hardware.errors import DescriptionError
from hardware.spec import Cpu
from hardware.units import MB
from profiles.loader import cpu_rows

Row: TypeAlias = Mapping[str, str | None]

CHANNEL_BYTES = 8  # a DDR channel moves 64 bits per transfer (DDR5 splits them in two halves of 32)
MAX_SOCKETS = 16
_MAX_CORES = 1024
_BRANDS = frozenset({"amd", "intel"})
_MARKS = re.compile(r"\((?:r|tm)\)|[®™]", re.IGNORECASE)
_SEPARATORS = re.compile(r"[\s_-]+")
# What /proc/cpuinfo and people put behind the name.
_TAIL = re.compile(r"\s+(?:\d+-core processor|processor|cpu)(?:\s*@.*)?$|\s*@.*$", re.IGNORECASE)
_LIKE_CPU = re.compile(
    r"(?:(?:amd|intel)\s+)?(?:epyc|xeon|ryzen|(?:ryzen\s+)?threadripper|core\s+(?:i\d|ultra)|i[3579]-\d|"
    r"ampere\s+altra|graviton|aws\s+graviton)\b.*",
    re.IGNORECASE,
)
_CORES = re.compile(r"(.*\S)[\s,]+(\d{1,4})[ -]?cores?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Processors:
    """The processors of a described machine: how many of which, and what their memory can carry at best."""

    name: str
    n_sockets: int
    n_cores: int  # of one
    n_threads: int  # of one
    n_memory_channels: int | None = None  # of one
    memory_type: str | None = None  # "DDR5"
    memory_mt_per_s: float | None = None  # the fastest modules that the maker allows
    instruction_sets: tuple[str, ...] = ()

    @property
    def n_channels(self) -> int | None:
        """Memory channels of all sockets together."""
        return None if self.n_memory_channels is None else self.n_sockets * self.n_memory_channels

    @property
    def memory_bytes_per_s(self) -> float | None:
        """Main memory at best: every channel fitted with the fastest modules."""
        if self.n_channels is None or self.memory_mt_per_s is None:
            return None
        return self.n_channels * CHANNEL_BYTES * self.memory_mt_per_s * MB

    @property
    def cpu(self) -> Cpu:
        """The record of a machine that has these processors for itself."""
        return Cpu(
            model=self.name,
            n_sockets=self.n_sockets,
            n_physical_cores=self.n_sockets * self.n_cores,
            n_usable_threads=self.n_sockets * self.n_threads,
            instruction_sets=self.instruction_sets,
        )


def find_processors(words: str, n_sockets: int = 1, rows: Iterable[Row] | None = None) -> Processors | None:
    """The processors called `words`, such as "EPYC 9654" or "EPYC 1234 64 cores"; None when it names none.

    Raises DescriptionError for a processor that no row knows and whose cores are not given.
    """
    table = cpu_rows() if rows is None else tuple(rows)
    match = _CORES.fullmatch(words)
    name, cores = (match[1], int(match[2])) if match else (words, None)
    keys = {key: row for row in table for key in _keys(row)}
    row = keys.get(_key(name))
    if row is None and _LIKE_CPU.fullmatch(name) is None:
        return None
    if not 1 <= n_sockets <= MAX_SOCKETS or (cores is not None and not 1 <= cores <= _MAX_CORES):
        raise DescriptionError(
            f"{words[:100]!r}: {n_sockets} sockets or {cores} cores are no machine; at most {MAX_SOCKETS} and {_MAX_CORES:,}"
        )
    if row is not None:
        known = int(row["n_cores"] or 0)
        return Processors(
            name=row["name"] or name,
            n_sockets=n_sockets,
            n_cores=cores or known,
            n_threads=cores or int(row["n_threads"] or known),
            n_memory_channels=int(row["n_memory_channels"] or 0) or None,
            memory_type=row["memory_type"],
            memory_mt_per_s=float(row["memory_mt_per_s"] or 0) or None,
            instruction_sets=tuple(name for name in (row.get("instruction_sets") or "").split(";") if name),
        )
    if cores is None:
        near = get_close_matches(_key(name)[:100], keys, n=3)
        nearest = (
            f"nearest are: {'; '.join(dict.fromkeys(keys[key]['name'] or '' for key in near))}; "
            if near
            else ""
        )
        raise DescriptionError(
            f"no profile is known for the processor {name[:100]!r}; {nearest}add its cores, for example '{name[:40]} 64 cores'"
        )
    return Processors(name=name, n_sockets=n_sockets, n_cores=cores, n_threads=cores)


def _key(name: str) -> str:
    plain = _TAIL.sub("", _MARKS.sub(" ", name.casefold()).strip())
    words = [word for word in _SEPARATORS.split(plain) if word]
    while len(words) > 1 and words[0] in _BRANDS:
        words = words[1:]
    return "".join(words)


def _keys(row: Row) -> set[str]:
    names = [row["id"] or "", row["name"] or "", *(row["aliases"] or "").split(";")]
    return {_key(name) for name in names if name.strip()}
