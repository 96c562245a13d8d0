"""What the public scripts and pages of a row's source say of its devices, where the row's own words say too little.

"Nvidia H100 GPU" can be three products; the source that a row names may have printed which.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from profiles.errors import ProfileError


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDevice:
    """A device as one source calls it."""

    origin: str
    engine: str | None  # None: whichever engine ran
    hardware: str
    accelerator: str  # id of its profile
    n_accelerators: int  # that the source counts as one: 2 where a module shows as two GPUs
    backend: str  # of llama.cpp there


def source_device(
    known: Iterable[SourceDevice], origin: str, engine: str, hardware: str
) -> SourceDevice | None:
    """What a source means by a device's name; None where it says nothing of it."""
    return next(
        (
            one
            for one in known
            if one.origin == origin and one.hardware == hardware and one.engine in (None, engine)
        ),
        None,
    )


def source_devices_from_rows(rows: Iterable[Mapping[str, str | None]]) -> tuple[SourceDevice, ...]:
    """The rows of `calibrations/serving_sources.csv` as records; raises ProfileError naming the row."""
    found = []
    for row in rows:
        try:
            found.append(
                SourceDevice(
                    origin=row["origin"] or "", engine=row["engine"] or None, hardware=row["hardware"] or "",
                    accelerator=row["accelerator"] or "", n_accelerators=int(row["n_accelerators"] or ""),
                    backend=row["backend"] or "",
                )
            )  # fmt: skip
        except (KeyError, ValueError) as error:
            raise ProfileError(f"calibrations/serving_sources.csv, row {row.get('id')!r}: {error}") from error
    return tuple(found)
