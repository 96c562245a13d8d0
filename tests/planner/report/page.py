"""A page taken apart with the standard library's parser, for the tests of what it holds."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

Attributes = dict[str, str]
_VOID = frozenset(("meta", "link", "br", "img", "input", "hr"))


@dataclass
class Page:
    """Elements in order with their attributes, the text of each, and all visible text."""

    elements: list[tuple[str, Attributes]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)  # tag, text with entities resolved
    unclosed: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The text, one element after the other, on one line."""
        shown = " ".join(text for tag, text in self.texts if tag != "style")
        return " ".join(shown.replace("\u00a0", " ").split())

    def all(self, tag: str) -> list[Attributes]:
        """The attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.page.unclosed.append(tag)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.page.texts.append((self.open[-1] if self.open else "", data))


def parse(html: str) -> Page:
    """The page; `unclosed` names elements whose tags do not pair up."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    parser.page.unclosed += parser.open
    return parser.page
