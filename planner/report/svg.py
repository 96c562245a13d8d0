"""Turns matplotlib's SVG into one that lives inside a page: its colours, its font, nothing from outside."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_FONT_SIZE = re.compile(r"[\d.]+px")
_REFERENCE = re.compile(r"url\(#([^)]*)\)")
_DROPPED = ("metadata", "style")  # the date and the maker; a style sheet that would reach the whole page


def inline_svg(svg: str, *, key: str, title: str, description: str, colours: Mapping[str, str]) -> str:
    """An SVG to put into a page: `colours` maps each colour drawn with to a CSS one, ids start with `key`.

    Text takes the page's font. The description is for those who cannot see the chart.
    """
    from xml.etree import ElementTree

    root = ElementTree.fromstring(svg)  # noqa: S314  (matplotlib wrote it just now; names are escaped in it)
    box = root.get("viewBox", "0 0 1 1")
    _rewrite(root, key, {colour.lower(): css for colour, css in colours.items()})
    root.attrib.clear()
    root.attrib.update(
        {
            "class": "chart",
            "viewBox": box,
            "role": "img",
            "aria-labelledby": f"{key}-title",
            "aria-describedby": f"{key}-desc",
            "stroke-linejoin": "round",
            "stroke-linecap": "butt",
        }
    )
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(tag, {"id": f"{key}-{tag}"})
        element.text = text
        root.insert(position, element)
    return ElementTree.tostring(root, encoding="unicode")


def _rewrite(element: "Element", key: str, colours: Mapping[str, str]) -> None:
    element.tag = _local(element.tag)
    for name in list(element.attrib):
        value = element.attrib.pop(name)
        local = _local(name)
        if local == "id":
            value = f"{key}-{value}"
        elif local == "href":
            if not value.startswith("#"):
                raise ValueError(f"the chart {key} refers to {value[:80]!r}, outside itself")
            value = f"#{key}-{value[1:]}"
        else:
            value = _REFERENCE.sub(rf"url(#{key}-\1)", value)
            value = _painted(_in_page_font(value) if local == "style" else value, colours)
        element.set(local, value)
    for child in list(element):
        if _local(child.tag) in _DROPPED:
            element.remove(child)
        else:
            _rewrite(child, key, colours)


def _in_page_font(style: str) -> str:
    """A style without its font family; of the shorthand `font`, which some versions write, only the size stays."""
    kept = []
    for declaration in style.split(";"):
        name, _, value = declaration.strip().partition(":")
        if name == "font":
            size = _FONT_SIZE.search(value)
            kept.append(f"font-size: {size[0]}" if size else "")
            kept.append("font-weight: bold" if "bold" in value else "")
        elif name != "font-family":
            kept.append(declaration.strip())
    return "; ".join(filter(None, kept))


def _painted(style: str, colours: Mapping[str, str]) -> str:
    for colour, css in colours.items():
        style = style.replace(colour, css)
    return style


def _local(name: str) -> str:
    """A name without its namespace, as HTML writes SVG."""
    return name.rpartition("}")[2]
