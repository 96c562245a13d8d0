"""`--apart 2xtp4+1xtp8`: workers that read prompts, and workers that decode."""

import re
from typing import Any, Final

import click

from planner.engines.sharding import Parallel
from planner.estimate.serving_speed.apart import Workers

_WORKERS: Final = re.compile(
    r"(?:(?P<count>\d{1,4})\s*[x×])?\s*tp(?P<tp>\d{1,4})\s*(?:pp(?P<pp>\d{1,3}))?\s*(?:dp(?P<dp>\d{1,4}))?\s*(?P<ep>ep)?",
    re.ASCII | re.IGNORECASE,
)


class ApartWorkersType(click.ParamType[tuple[Workers, Workers]]):
    """Two kinds of workers with a plus between them: [COUNTx]tpN[ppN][dpN][ep]."""

    name = "PREFILL+DECODE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Workers, Workers]:
        """The workers; a usage error for anything else."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split("+")
        if len(parts) != 2:
            self.fail(
                f"{str(value)[:60]!r} is not two kinds of workers, such as 2xtp4+1xtp8: readers, plus, decoders",
                param,
                ctx,
            )
        prefill, decode = (self._workers(part.strip(), param, ctx) for part in parts)
        return prefill, decode

    def _workers(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> Workers:
        match = _WORKERS.fullmatch(text)
        if match is None:
            self.fail(
                f"{text[:60]!r} is no kind of workers; write for example 2xtp4, tp8pp2 or tp8dp8ep",
                param,
                ctx,
            )
        count, tensor, stages, replicas = (int(match[name] or 1) for name in ("count", "tp", "pp", "dp"))
        try:
            ranks = Parallel(
                tensor=tensor,
                pipeline=stages,
                attention_replicas=replicas,
                expert=tensor if match["ep"] else 1,
            )
        except ValueError as error:
            self.fail(f"{text[:60]!r}: {error}", param, ctx)
        if count < 1:
            self.fail(f"{text[:60]!r} is no worker at all", param, ctx)
        return Workers(count=count, ranks=ranks)
