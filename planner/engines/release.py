"""Versions of an engine, in order, and the release that was current on a day."""

import re
from dataclasses import dataclass

from planner.errors import MissingFactError


@dataclass(frozen=True, slots=True, order=True)
class Release:
    """A release by its first three numbers; development builds count as the release that they became."""

    major: int
    minor: int
    patch: int = 0

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def parse_release(text: str) -> Release:
    """The release in a version such as 0.19.2rc1.dev134+gfe9c3d6c5; raises MissingFactError without one.

    A build from a checkout without tags calls itself 0.1.dev1, which says nothing.
    """
    match = re.match(r"\s*v?(\d+)\.(\d+)(?:\.(\d+))?", text, re.ASCII)
    if match is None or (text.lstrip(" v").startswith("0.1.dev")):
        raise MissingFactError(f"{text[:60]!r} names no release; write one such as 0.25.1")
    major, minor, patch = match.groups()
    return Release(int(major), int(minor), int(patch or 0))
