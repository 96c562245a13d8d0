"""Command lines of an engine as words, and words back to options."""

from collections.abc import Mapping, Sequence

from planner.errors import MalformedError


def options_of(
    words: Sequence[str],
    with_value: Mapping[str, str],
    flags: Mapping[str, str],
    others: list[str] | None = None,
) -> dict[str, str]:
    """Options by the names that the tables give them, a flag's value being "true".

    Both `--name value` and `--name=value` are read. An option that is in neither table is added to `others`, with
    what follows it up to the next option; without that list it raises MalformedError, as does one without its value.
    """
    found: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name in flags:
            found[flags[name]] = "true"
        elif name in with_value:
            if not equals:
                if not rest:
                    raise MalformedError(f"{name} stands last, without its value")
                value = rest.pop(0)
            found[with_value[name]] = value
        elif others is not None and word.startswith("-"):
            others.append(name)
            while rest and not equals and not rest[0].startswith("-"):
                rest.pop(0)
        else:
            raise MalformedError(f"{word[:60]!r} is no option that decides memory; leave it out here")
    return found


def whole_number(options: Mapping[str, str], name: str) -> int | None:
    """A whole number among options, None where it is not given. Raises MalformedError for other text."""
    text = options.get(name)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise MalformedError(f"{name} is {text[:40]!r}, expected a whole number") from error


def fraction(options: Mapping[str, str], name: str) -> float | None:
    """A number among options, None where it is not given. Raises MalformedError for other text."""
    text = options.get(name)
    if text is None:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise MalformedError(f"{name} is {text[:40]!r}, expected a number") from error
