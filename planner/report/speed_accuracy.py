"""The section of the accuracy page on llama.cpp's speed, from what its calibration scored itself at."""

from collections.abc import Mapping, Sequence

_TITLE = "## Speed: llama.cpp and ik_llama.cpp"
_TEXT = """\
**Input**: the model by architecture and parameter count, the file's size and type, the device by its name, the layers and
experts on it, flash attention, micro-batch and build. Every row is predicted by a fit that has not seen its **cell**
(device, backend, model and type), its **device**, or its **model**. A group is a device, architecture, type and
backend. **Noise** is what independent sources disagree by on the same test of the same model on the same device: no
prediction can be surer than that. How it is done, and where it is weak: [speed.md](speed.md).
"""
_HEADERS = (
    "left out", "what", "groups", "median error", "90th percentile", "80 % holds", "high / low", "noise (tests)",
)  # fmt: skip


def speed_section(rows: Sequence[Mapping[str, str | None]]) -> str:
    """Markdown of the packaged scores (`llama_cpp_speed_scores.csv`)."""
    if not rows:
        return f"{_TITLE}\n\n{_TEXT}"
    first = rows[0]
    placed, of_all = int(first["n_placed"] or 0), int(first["n_in_file"] or 0)
    lines = [
        _TITLE,
        "",
        _TEXT,
        f"{placed:,} of {of_all:,} rows were placed ({placed / of_all:.1%}); fitted on {first['date']}.",
        "",
        "| " + " | ".join(_HEADERS) + " |",
        "|---|---|" + "---:|" * (len(_HEADERS) - 2),
    ]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
    return "\n".join(lines)


def _cells(row: Mapping[str, str | None]) -> tuple[str, ...]:
    def number(name: str) -> float:
        return float(row[name] or 0)

    noise = f"{number('noise_median'):.1%} ({row['noise_tests']})" if row["noise_tests"] else "–"
    return (
        row["held_out"] or "",
        (row["speed_class"] or "").replace("_", " "),
        row["n_groups"] or "",
        f"{number('median_error'):.1%}",
        f"{number('p90_error'):.1%}",
        f"{number('coverage'):.0%}",
        f"{number('width_ratio'):.2f}",
        noise,
    )
