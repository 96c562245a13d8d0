"""A device that no profile knows, by the facts that a person gives: "my-gpu=24GiB@900GB/s,fp16=150T".

given = name "=" memory "@" memory bandwidth {"," fact}
fact  = ("fp16" | "bf16" | "fp8" | "fp4" | "int8") "=" rate     150T is 150·10¹² a second, 1.2P is 1200T
      | "link" "=" bytes per second, one way | "power" "=" watts
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from hardware.errors import DescriptionError
from hardware.spec import Accelerator, Basis
from hardware.units import GB, GIB, TB, TERA, TIB, parse_size_bytes

_NAME = r"[^\s=@,;+][^=@,;+]{0,59}?"
_SIZE = r"\d{1,9}(?:\.\d{1,9})?\s*[KMGT]i?B"
_GIVEN = re.compile(rf"({_NAME})\s*=\s*({_SIZE})\s*@\s*({_SIZE})/s", re.IGNORECASE)
_FACT = re.compile(r"(fp16|bf16|fp8|fp4|int8|link|power)\s*=\s*(\S[^=@,;]{0,30})", re.IGNORECASE)
_RATE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([TP])(?:(?:FL)?OPS?(?:/s)?)?", re.IGNORECASE)
_PER_S = re.compile(rf"({_SIZE})/s", re.IGNORECASE)
_WATTS = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*W", re.IGNORECASE)
_MEMORY_RANGE = (GIB // 4, 64 * TIB)
_TERAS_PER_PETA = 1000
_PETA = _TERAS_PER_PETA * TERA
_RATE_RANGE = (GB, 1000 * TB)  # bytes per second
_FLOP_RANGE = (0.01 * TERA, 1000 * _PETA)
_EXAMPLE = "write for example my-gpu=24GiB@900GB/s,fp16=150T"


def given_accelerator(words: str) -> Accelerator | None:
    """The device that `words` describe, without further facts; None when they have another form."""
    match = _GIVEN.fullmatch(words)
    if match is None:
        if "=" in words and "@" in words:
            raise DescriptionError(f"{words[:100]!r} is not a device with its facts; {_EXAMPLE}")
        return None
    name, memory, rate = match.groups()
    memory_bytes, bytes_per_s = parse_size_bytes(memory), parse_size_bytes(rate)
    _check(words, "memory", memory, memory_bytes, _MEMORY_RANGE)
    _check(words, "bandwidth", f"{rate}/s", bytes_per_s, _RATE_RANGE)
    return Accelerator(
        id=f"given:{name.casefold()}",
        name=name,
        vendor="unknown",
        architecture="unknown",
        memory_bytes=memory_bytes,
        memory_bytes_per_s=float(bytes_per_s),
        memory_basis=Basis.GIVEN,
        bandwidth_basis=Basis.GIVEN,
        flop_basis=Basis.GIVEN,
        status="given",
        source="given with the machine",
    )


def is_fact(part: str) -> bool:
    """Whether a part of a description is a further fact, such as "fp16=150T"."""
    return _FACT.fullmatch(part) is not None


def with_fact(device: Accelerator, part: str) -> Accelerator:
    """The device with one more fact; raises DescriptionError for a value that cannot be read."""
    match = _FACT.fullmatch(part)
    if match is None:
        raise DescriptionError(f"{part[:100]!r} is not a fact of {device.name}; {_EXAMPLE}")
    kind, value = match[1].casefold(), match[2].strip()
    if kind == "link":
        rate = _PER_S.fullmatch(value)
        if rate is None:
            raise DescriptionError(
                f"{part!r}: {value!r} is not a link rate, one way; write for example link=450GB/s"
            )
        link_bytes_per_s = parse_size_bytes(rate[1])
        _check(part, "link", value, link_bytes_per_s, _RATE_RANGE)
        return replace(device, link_bytes_per_s=float(link_bytes_per_s))
    if kind == "power":
        watts = _WATTS.fullmatch(value)
        if watts is None or not float(watts[1]):
            raise DescriptionError(f"{part!r}: {value!r} is not a power; write for example power=300W")
        return replace(device, power_w=float(watts[1]))
    flop = _RATE.fullmatch(value)
    if flop is None:
        raise DescriptionError(f"{part!r}: {value!r} is not a rate; write for example {kind}=150T, dense")
    flop_per_s = float(flop[1]) * TERA * (_TERAS_PER_PETA if flop[2].casefold() == "p" else 1)
    _check(part, kind, value, flop_per_s, _FLOP_RANGE)
    rates: Mapping[str, float] = MappingProxyType({**device.dense_flop_per_s, kind: flop_per_s})
    return replace(device, dense_flop_per_s=rates)


def _check(words: str, what: str, shown: str, value: float, limits: tuple[float, float]) -> None:
    if not limits[0] <= value <= limits[1]:
        raise DescriptionError(f"{words[:100]!r}: {shown} is not the {what} of a device; {_EXAMPLE}")
