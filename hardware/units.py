"""Units: base units inside the program, conversions only here.

Bytes are int, rates are per second, money is US dollars. Text sizes must say GiB (2**30) or GB (10**9):
"64G" is refused because it means either, and the two differ by 7 %.
"""

import re

KIB = 2**10
MIB = 2**20
GIB = 2**30
TIB = 2**40
KB = 10**3
MB = 10**6
GB = 10**9
TB = 10**12
MILLI = 1e-3
MICRO = 1e-6
MEGA = 10**6
GIGA = 10**9
TERA = 10**12
TOKENS_PER_MTOK = 10**6
HOURS_PER_MONTH = 365.25 * 24 / 12
SECONDS_PER_HOUR = 3600
SECONDS_PER_DAY = 86_400
DAYS_PER_MONTH = 365.25 / 12

_SIZE_UNITS = {
    "b": 1, "kib": KIB, "mib": MIB, "gib": GIB, "tib": TIB, "kb": KB, "mb": MB, "gb": GB, "tb": TB,
}  # fmt: skip
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")
_COUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kKmMbBtT]?)\s*")
_TOKENS = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kKmM]?)\s*")


def parse_size_bytes(text: str) -> int:
    """Bytes of a size such as "24GiB" or "80 GB"; raises ValueError for a bare number or a bare G."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size; write a number and a unit, for example 24GiB")
    number, unit = match.groups()
    factor = _SIZE_UNITS.get(unit.lower())
    if factor is None:
        raise ValueError(f"{text!r} has the unit {unit!r}; write GiB (2**30 bytes) or GB (10**9 bytes)")
    return round(float(number) * factor)


def parse_tokens(text: str) -> int:
    """Tokens of "8192", "64k" (65,536: contexts are counted in 1,024s) or "1M" (1,048,576)."""
    match = _TOKENS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a number of tokens; write for example 8192 or 64k")
    number, unit = match.groups()
    factor = {"": 1, "k": 1024, "m": 1024 * 1024}[unit.lower()]
    tokens = float(number) * factor
    if tokens < 1 or tokens != int(tokens):
        raise ValueError(f"{text!r} is not a whole positive number of tokens")
    return int(tokens)


def parse_count(text: str) -> int:
    """A count of parameters: "7B", "270M", "1.5 T" or a bare number."""
    match = _COUNT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a number of parameters; write for example 7B or 270M")
    number, unit = match.groups()
    return round(float(number) * {"": 1, "k": KB, "m": MB, "b": GB, "t": TB}[unit.lower()])


def format_tokens(n_tokens: int) -> str:
    """A context for people, the way `parse_tokens` reads it: "128k", "1M", "4,100"."""
    for unit, name in ((MIB, "M"), (KIB, "k")):
        if n_tokens % unit == 0 and n_tokens:
            return f"{n_tokens // unit:,}{name}"
    return f"{n_tokens:,}"


def format_bytes(n_bytes: float) -> str:
    """A size for people: binary units, three significant places or so ("92.1 MiB", "24.0 GiB")."""
    for unit, name in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if abs(n_bytes) >= unit:
            return f"{n_bytes / unit:,.1f} {name}"
    return f"{n_bytes:,.0f} B"


def format_rate_bytes_per_s(bytes_per_s: float) -> str:
    """A bandwidth for people, in the decimal GB/s that data sheets use."""
    return f"{bytes_per_s / GB:,.1f} GB/s"


def format_count(n: float) -> str:
    """A parameter count for people: "134.5 M", "70.6 B", "1.03 T"."""
    for unit, name in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if abs(n) >= unit:
            value = n / unit
            return f"{value:,.2f} {name}" if value < 10 else f"{value:,.1f} {name}"
    return f"{n:,.0f}"
