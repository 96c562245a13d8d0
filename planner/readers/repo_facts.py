"""Facts that the hub states of a repository beside its files, made fit to keep: bounded, on one line."""

from collections.abc import Sequence
from datetime import date, datetime

_LONGEST = 120  # characters of a licence or a name
_FIRST_NOTED = date(2022, 3, 2)  # huggingface_hub, ModelInfo.created_at: the lowest value there is
_BASE_MODEL_TAG = "base_model:"


def stated_licence(card: object) -> str | None:
    """The licence id of a card's metadata; "other" gives way to the name that stands beside it."""
    licence, name = (_one_line(getattr(card, field, None)) for field in ("license", "license_name"))
    return name if licence == "other" and name is not None else licence


def created_on(moment: datetime | None) -> date | None:
    """The day a repository was made; None for those that all carry the day on which the hub began to note it."""
    return None if moment is None or moment.date() <= _FIRST_NOTED else moment.date()


def base_models(tags: Sequence[object] | None) -> tuple[str, ...]:
    """Repositories named by tags such as base_model:ORG/NAME, each once.

    Tags that also say how the model was derived (base_model:finetune:ORG/NAME) repeat the plain ones.
    """
    stated = [tag.removeprefix(_BASE_MODEL_TAG) for tag in tags or ()
              if isinstance(tag, str) and tag.startswith(_BASE_MODEL_TAG)]  # fmt: skip
    return tuple(dict.fromkeys(name[:_LONGEST] for name in stated if name and ":" not in name))


def _one_line(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    shown = "".join(char if char.isprintable() else " " for char in value)
    return " ".join(shown.split())[:_LONGEST] or None
