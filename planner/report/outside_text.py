"""Text from model files, drivers and price lists, made fit to show in any format."""

import unicodedata


def plain(text: object, longest: int = 300) -> str:
    """One line without control and invisible characters, cut at a length.

    A model's name is hostile input: it may hold line breaks, terminal escapes, marks that turn the writing
    direction, or characters that no XML allows. Markup is each format's own to escape.
    """
    visible = "".join(" " if unicodedata.category(char)[0] == "C" else char for char in str(text))
    line = " ".join(visible.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
