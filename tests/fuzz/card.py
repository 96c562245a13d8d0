"""Fuzzes the model card reader: raw bytes, then a card put together from pieces. See the package."""

from tests.fuzz.choices import Choices
from tests.fuzz.harness import instrumented, main

with instrumented():
    from planner.readers.card.model_card import parse_card

_RESULTS = """model-index:
- name: x
  results:
  - task: {type: t}
    dataset: {name: d, type: d}
    metrics: [{type: acc, value: 0.5}]
"""
_FRONT = (
    "license: apache-2.0\n", "license: [a, b]\n", "base_model: x/y\n", "base_model:\n- x/y\n", "language: [en, no]\n",
    "tags: &a [gguf]\n", "tags: *a\n", "a: !!python/object:os.system x\n", _RESULTS, "x: {",
    "datasets: 5\n", "? [a]\n: b\n", "license_name: \x00\n", "pipeline_tag: image-text-to-text\n", "-", "  ", "\n", "---\n",
)  # fmt: skip
_BODY = (
    "# Title\n", "| Parameters | 7B |\n|---|---|\n", "| Total | 1T | 32B |\n", "<table><tr><td>Context Length</td><td>",
    "128K</td></tr></table>", "It has 235B parameters in total and 22B activated. ", "Context length: 262,144 tokens. ",
    "`code` ", "```\n", "Q4_K_M ", "9" * 400, "B ", "(", ")" * 3000, "|" * 3000, "<" * 3000, "&#x41;", "**", "[a](b)",
    "\n", "\n\n", "1.5 trillion parameters", "e" * 5000, " up to 1M tokens", "x 8x7B ", "\u202e", "\x1b[31m", ", ", "- ",
)  # fmt: skip


def target(data: bytes) -> None:
    """Read what the bytes say; a card that cannot be read says so and raises nothing."""
    choices = Choices(data)
    if choices.number() < 128:
        content = choices.rest()
    else:
        text = "---\n" + "".join(choices.pick(_FRONT) for _ in range(choices.number() % 12)) + "---\n"
        repeats = choices.pick((1, 1, 1, 2, 50))
        while choices:
            text += choices.pick(_BODY)
        content = (text * repeats)[: 2**20].encode("utf-8", "replace")
    card = parse_card(content, "org/model-7B", results={"x.yaml": content[:2000]})
    assert all(problem.isprintable() for problem in card.problems)


def seeds() -> list[bytes]:
    """One card of everything, and some put together."""
    whole = ("---\n" + "".join(_FRONT[:5]) + "---\n" + "".join(_BODY)).encode()
    return [
        b"\0" + whole[:8000],
        *(bytes([200, 3, n, n + 1, 2, 0, n, 2 * n, 3 * n, 4 * n]) for n in range(20)),
    ]


if __name__ == "__main__":
    main("card", target, seeds())
