"""How long prompts and answers are: one length, a range, or a log-normal distribution."""

import math
import random
import re
from dataclasses import dataclass
from typing import Final, Literal

_MAX_TOKENS: Final = 10_000_000
_FORM: Final = re.compile(r"(\d{1,8})(?:-(\d{1,8}))?|lognormal:(\d{1,8}):(\d{1,2}(?:\.\d{1,4})?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """A distribution of token counts."""

    kind: Literal["uniform", "lognormal"]
    low: int  # the median of a log-normal one
    high: int
    sigma: float = 0.0

    @property
    def mean(self) -> float:
        """The expected length; of a log-normal one median · exp(σ²/2), its bounds aside."""
        if self.kind == "lognormal":
            return self.low * math.exp(self.sigma**2 / 2)
        return (self.low + self.high) / 2

    def draw(self, chance: random.Random) -> int:
        """One length, at least 1."""
        if self.kind == "lognormal":
            return max(1, min(_MAX_TOKENS, round(self.low * chance.lognormvariate(0.0, self.sigma))))
        return chance.randint(self.low, self.high)

    def __str__(self) -> str:
        if self.kind == "lognormal":
            return f"lognormal:{self.low}:{self.sigma:g}"
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


def parse_lengths(text: str) -> Lengths:
    """Reads "512", "256-1024" or "lognormal:MEDIAN:SIGMA"; raises ValueError, one line, for anything else."""
    match = _FORM.fullmatch(text.strip().replace(",", ""))
    if match is not None and match[3] is not None and int(match[3]) > 0:
        return Lengths(kind="lognormal", low=int(match[3]), high=int(match[3]), sigma=float(match[4]))
    if match is not None and match[1] is not None:
        low = int(match[1])
        high = int(match[2] or low)
        if 0 < low <= high:
            return Lengths(kind="uniform", low=low, high=high)
    raise ValueError(f"{text[:40]!r} is no length in tokens, such as 512, 256-1024 or lognormal:512:0.8")
