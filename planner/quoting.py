"""Showing names that came from files and servers: on one line, bounded, without control characters."""

_LONGEST = 120


def quoted(text: object) -> str:
    """`text` in quotes, safe to print: control and invisible characters are escaped, long text is cut.

    Model files are hostile input; a tensor name may hold line breaks or terminal escape sequences.
    """
    shown = str(text)
    if len(shown) > _LONGEST:
        # Both ends tell something: a path's file name is at its end.
        shown = f"{shown[: _LONGEST // 3]} … {shown[-_LONGEST // 2 :]}"
    return repr(shown)
