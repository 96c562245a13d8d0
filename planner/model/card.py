"""What a model's card says: its metadata, and the figures its text states, before anyone checks them."""

from dataclasses import dataclass
from enum import StrEnum


class Meaning(StrEnum):
    """What a stated number of parameters counts."""

    TOTAL = "total"
    ACTIVE = "active"
    NON_EMBEDDING = "without embeddings"
    UNSAID = "parameters"  # the card does not say whether all of them or those one token uses


class Place(StrEnum):
    """Where a figure stands, which decides how much it weighs: the weakest first."""

    PROSE = "text"
    LABELLED = "labelled"  # "Number of Parameters: …", or a table that holds one model only
    NAMED = "of this model"  # in a table row, column or sentence that names this model
    NAME = "name"  # in the repository's own name


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedParameters:
    """A number of parameters as written ("30.5B in total"): its value and the worth of its last digit."""

    meaning: Meaning
    value: float
    step: float  # one unit of the last digit written: 1e8 for "30.5B"
    text: str
    place: Place
    about: str | None = None  # the model that a table or sentence names, where it names one

    def rounds(self, exact: float) -> bool:
        """Whether the figure is `exact` rounded or cut to the digits written, or within 2 % of it.

        Publishers do all three: 8 B of 8.03 B, 37 B of 37.6 B, 70 B of 69.0 B. Names are rounder: 6 % is
        allowed there (gpt-oss-120b has 116.8 B, Nemotron-3-Nano-30B 31.6 B).
        """
        near = abs(self.value - exact)
        slack = 0.06 if self.place is Place.NAME else 0.02
        return near <= self.step / 2 or self.value <= exact < self.value + self.step or near <= exact * slack


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedContext:
    """A context length as written; "128K" may mean 128,000 or 131,072, so both ends are kept."""

    least_tokens: int
    most_tokens: int
    text: str
    place: Place
    about: str | None = None
    extended: bool = False  # the card says that it takes YaRN or another rope scaling

    def covers(self, n_tokens: int) -> bool:
        """Whether the words can mean exactly this many tokens."""
        return n_tokens in (self.least_tokens, self.most_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One result in a card's metadata, as its author states it; nothing here was run again."""

    dataset: str
    metric: str | None
    task: str | None
    value: float | None
    value_text: str
    verified: bool | None = None  # what the metadata says of itself; None where it does not say
    signed: bool = False  # it carries a token by which the hub can check it; not checked here
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A model card, read; empty or None where it says nothing. All text is from outside."""

    title: str | None = None
    licence: str | None = None  # an id such as "apache-2.0"; "other" where `licence_name` has the name
    licence_name: str | None = None
    licence_link: str | None = None
    base_models: tuple[str, ...] = ()
    base_relation: str | None = None  # quantized, finetune, merge, adapter
    languages: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    pipeline: str | None = None
    library: str | None = None
    quantized_by: str | None = None
    n_datasets: int | None = None
    gated: bool | None = None
    benchmarks: tuple[Benchmark, ...] = ()
    n_benchmarks: int = 0  # in the metadata, which may be more than were kept
    parameters: tuple[StatedParameters, ...] = ()
    contexts: tuple[StatedContext, ...] = ()
    quantizations: tuple[str, ...] = ()  # named in tags, the repository's name or its base's name
    mentioned_quantizations: tuple[str, ...] = ()  # named anywhere in the text
    modalities: tuple[str, ...] = ()  # image, audio, video: what goes in beside text
    problems: tuple[str, ...] = ()  # what of the card could not be read, one line each

    @property
    def licence_shown(self) -> str | None:
        """The licence to show: its own name where the id only says "other"."""
        return self.licence_name if self.licence in (None, "other") and self.licence_name else self.licence
