"""Objects as YAML, in the order in which they were put together."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml


def yaml_text(documents: Sequence[Mapping[str, Any]], heading: str = "") -> str:
    """The documents one after the other, below a heading in comments; the heading may come from outside."""
    lines = [f"# {line}" for line in _printable(heading).splitlines()]
    text = yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=False, default_flow_style=False
    )
    return "\n".join([*lines, text])


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are, and one object twice rather than by reference."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 (the library calls it so)
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)
