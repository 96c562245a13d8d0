"""What a person says about a measurement file beside it: facts that its format leaves out."""

import re
from dataclasses import dataclass
from typing import Final

from planner.errors import MissingFactError
from planner.quoting import quoted

_SEVERAL: Final = re.compile(r"(\d{1,4}) ?[xX×] ?(.+)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Facts for every row of a file. They stand over what the file says, but never over a table's own cells."""

    device: str | None = None  # "RTX 4090", "4x H100 SXM"
    processor: str | None = None
    backend: str | None = None  # of llama.cpp: "CUDA", "Vulkan" …
    model: str | None = None
    engine: str | None = None
    quantization: str | None = None
    build: str | None = None

    @property
    def device_name(self) -> str | None:
        """The device without how many there are."""
        return self._counted[1]

    @property
    def n_devices(self) -> int | None:
        """How many devices, where a device is given."""
        return self._counted[0]

    @property
    def _counted(self) -> tuple[int | None, str | None]:
        text = (self.device or "").strip()
        if not text:
            return None, None
        several = _SEVERAL.fullmatch(text)
        return (int(several[1]), several[2].strip()) if several else (1, text)


NOTHING_GIVEN: Final = Given()


def needed(value: str | None, file: str, what: str, option: str) -> str:
    """The value; raises MissingFactError that names the option which gives it."""
    if value is None or not value.strip():
        raise MissingFactError(f"{quoted(file)} does not say {what}; add {option}")
    return value.strip()
