"""Writing an answer's files: all of them, or none."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from planner.errors import PlannerError


def write_all(folder: Path, texts: Mapping[str, str], option: str = "--out") -> list[Path]:
    """Writes all files of a folder or none: each is complete beside its place before any is put there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".report-", dir=folder) as staging:
            for name, text in texts.items():
                (Path(staging) / name).write_text(text, encoding="utf-8")
            return [(Path(staging) / name).replace(folder / name) for name in texts]
    except OSError as error:
        raise PlannerError(
            f"cannot write {', '.join(texts)} to {str(folder)!r}: {error.strerror}; choose another folder with {option}"
        ) from error
