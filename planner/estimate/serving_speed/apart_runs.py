"""How many workers measured runs had that read prompts on GPUs of their own, where their rows do not say.

Their public configuration lists each run: workers that read and workers that decode, GPUs and expert ranks of each,
whether the attention has a replica on every GPU, and tokens drafted, for numbers of requests in flight. A row is looked
up by what it does say; where several lines match and differ, it stays untold.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from planner.engines.sharding import Parallel
from planner.errors import MissingFactError
from planner.estimate.serving_speed.apart import Workers
from profiles.errors import ProfileError

_EARLY: Final = timedelta(days=2)  # changes are measured shortly before they are made


@dataclass(frozen=True, slots=True, kw_only=True)
class ApartAsked:
    """What a row says of its run."""

    system: str
    model: str
    precision: str
    engine: str
    n_prompt: int
    n_output: int
    n_requests: int
    image: str | None
    day: date
    prefill_gpus: int  # of one worker
    prefill_experts: int
    decode_gpus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApartRun:
    """One line of the configuration."""

    system: str
    model: str  # the row's name of the model has these words
    precision: str
    engine: str
    n_prompt: int
    n_output: int
    image: str
    prefill: Workers
    decode: Workers
    draft_tokens: int | None  # None: some, and the line does not say how many
    requests: frozenset[int]
    since: date
    until: date

    def holds(self, asked: ApartAsked) -> bool:
        """Whether the run that a row is the result of is this line's."""
        return (
            self.system == asked.system
            and self.model in asked.model
            and self.precision == asked.precision
            and self.engine == asked.engine
            and (self.n_prompt, self.n_output) == (asked.n_prompt, asked.n_output)
            and asked.n_requests in self.requests
            and asked.image in (None, self.image)
            and self.prefill.ranks.tensor == asked.prefill_gpus
            and self.prefill.ranks.expert == asked.prefill_experts
            and self.decode.ranks.tensor == asked.decode_gpus
            and self.since <= asked.day + _EARLY
            and asked.day <= self.until
        )


def apart_run(known: Iterable[ApartRun], asked: ApartAsked) -> ApartRun:
    """The configuration of a row's run; raises MissingFactError where none matches, or several that differ."""
    matching = [one for one in known if one.holds(asked)]
    told = {(one.prefill, one.decode, one.draft_tokens) for one in matching}
    if not told:
        raise MissingFactError(
            "how many workers read prompts is not said, and no line of the runs' public configuration matches"
        )
    if len({(prefill, decode) for prefill, decode, _ in told}) > 1:
        raise MissingFactError(
            "how many workers read prompts is not said, and lines of the runs' public configuration that match differ in it"
        )
    if len(told) > 1:
        raise MissingFactError("the runs' public configuration has it with drafted tokens and without")
    if matching[0].draft_tokens is None:
        raise MissingFactError("tokens were drafted, how many the runs' public configuration does not say")
    return matching[0]


def apart_runs_from_rows(rows: Iterable[Mapping[str, str | None]]) -> tuple[ApartRun, ...]:
    """The rows of `calibrations/serving_apart_runs.csv` as records; raises ProfileError naming the row."""
    found = []
    for row in rows:
        try:
            texts = {name: row[name] or "" for name in ("system", "model", "precision", "engine", "image")}
            drafted = row["draft_tokens"]
            found.append(
                ApartRun(
                    **texts,
                    n_prompt=int(row["n_prompt"] or ""), n_output=int(row["n_output"] or ""),
                    prefill=_workers(row, "prefill"), decode=_workers(row, "decode"),
                    draft_tokens=int(drafted) if drafted else None,
                    requests=frozenset(int(n) for n in (row["requests"] or "").split(";")),
                    since=date.fromisoformat(row["since"] or ""),
                    until=date.fromisoformat(row["until"]) if row["until"] else date.max,
                )
            )  # fmt: skip
        except (KeyError, ValueError) as error:
            raise ProfileError(
                f"calibrations/serving_apart_runs.csv, row {row.get('id')!r}: {error}"
            ) from error
    return tuple(found)


def _workers(row: Mapping[str, str | None], side: str) -> Workers:
    n_gpus = int(row[f"{side}_gpus"] or "")
    replicated = {"yes": True, "no": False}[row[f"{side}_replicated"] or ""]
    ranks = Parallel(
        tensor=n_gpus,
        expert=int(row[f"{side}_experts"] or ""),
        attention_replicas=n_gpus if replicated else 1,
    )
    return Workers(count=int(row[f"{side}_workers"] or ""), ranks=ranks)
