"""How long prompts and answers are: one length, a range, a log-normal distribution, or measured quantiles."""

import math
import random
import re
from bisect import bisect_right
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal

MOST_TOKENS: Final = 10_000_000
_NUMBER: Final = r"\d{1,8}"
_FORM: Final = re.compile(
    rf"(?P<low>{_NUMBER})(?:-(?P<high>{_NUMBER}))?"
    rf"|lognormal:(?P<median>{_NUMBER}):(?P<sigma>\d{{1,2}}(?:\.\d{{1,4}})?)(?::(?P<most>{_NUMBER}))?"
    rf"|quantiles:(?P<points>{_NUMBER}(?:/{_NUMBER}){{1,200}})"
)
_NORMAL: Final = NormalDist()
FORMS: Final = "512, 256-1024, lognormal:512:0.8 or quantiles:40/180/512/1500/8000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """A distribution of token counts.

    Quantiles are the lengths at equal steps of probability, from the shortest to the longest; in between they are
    joined by straight lines. A log-normal one may have an end, `most`, at which longer ones are cut.
    """

    kind: Literal["uniform", "lognormal", "quantiles"]
    low: int  # the median of a log-normal one
    high: int
    sigma: float = 0.0
    most: int | None = None  # of a log-normal one
    points: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.kind == "quantiles" and (len(self.points) < 2 or list(self.points) != sorted(self.points)):
            raise ValueError("quantiles are two lengths or more, from the shortest to the longest")

    @property
    def mean(self) -> float:
        """The expected length."""
        return self.mean_up_to(None)

    def mean_up_to(self, most: int | None) -> float:
        """The expected length when longer ones are cut at `most`: E[min(X, most)].

        Log-normal: median · exp(σ²/2) · Φ(z − σ) + most · Φ(−z) with z = ln(most/median)/σ.
        """
        ends = [end for end in (most, self.most) if end is not None]
        end = min(ends) if ends else None
        if end is None or (self.kind != "lognormal" and end >= self.high):
            return self._whole_mean()
        if end <= 0:
            return 0.0
        if self.kind == "uniform":
            if end <= self.low:
                return float(end)
            below = end - self.low + 1
            n = self.high - self.low + 1
            return (below * (self.low + end) / 2 + (n - below) * end) / n
        if self.kind == "quantiles":
            parts = zip(self.points, self.points[1:], strict=False)
            return sum(_mean_of_part(before, after, end) for before, after in parts) / (len(self.points) - 1)
        if self.sigma == 0:
            return float(min(self.low, end))
        z = math.log(end / self.low) / self.sigma
        return self._whole_mean() * _NORMAL.cdf(z - self.sigma) + end * _NORMAL.cdf(-z)

    def _whole_mean(self) -> float:
        if self.kind == "uniform":
            return (self.low + self.high) / 2
        if self.kind == "quantiles":
            inner = sum(self.points[1:-1])
            return (self.points[0] / 2 + inner + self.points[-1] / 2) / (len(self.points) - 1)
        return self.low * math.exp(self.sigma**2 / 2)

    def quantile(self, share: float) -> float:
        """The length below which this share lies; a share between 0 and 1."""
        if self.kind == "uniform":
            return self.low + (self.high - self.low) * share
        if self.kind == "quantiles":
            whole, part = divmod(share * (len(self.points) - 1), 1)
            before = self.points[int(whole)]
            return before + (self.points[min(int(whole) + 1, len(self.points) - 1)] - before) * part
        length = self.low * math.exp(self.sigma * _NORMAL.inv_cdf(share)) if self.sigma else float(self.low)
        return length if self.most is None else min(length, float(self.most))

    @property
    def largest(self) -> int | None:
        """The longest one that can come; None where nothing bounds it."""
        return {"uniform": self.high, "quantiles": self.high}.get(self.kind, self.most)

    @property
    def smallest(self) -> int:
        """The shortest one that can come."""
        return 1 if self.kind == "lognormal" else self.low

    def share_above(self, n_tokens: int) -> float:
        """The probability of a length above a whole number, counted as `draw` rounds."""
        largest = self.largest
        if n_tokens < self.smallest:
            return 1.0
        if largest is not None and n_tokens >= largest:
            return 0.0
        if self.kind == "uniform":
            return (self.high - n_tokens) / (self.high - self.low + 1)
        at = n_tokens + 0.5
        if self.kind == "quantiles":
            right = bisect_right(self.points, at)
            before, after = self.points[right - 1], self.points[right]
            return 1.0 - (right - 1 + (at - before) / (after - before)) / (len(self.points) - 1)
        if self.sigma == 0:
            return 1.0 if self.low > n_tokens else 0.0
        return _NORMAL.cdf(-math.log(at / self.low) / self.sigma)

    def draw(self, chance: random.Random) -> int:
        """One length; of a log-normal one at least 1."""
        if self.kind == "lognormal":
            length = round(self.low * chance.lognormvariate(0.0, self.sigma))
            return max(1, min(self.most or MOST_TOKENS, length))
        if self.kind == "quantiles":
            whole, part = divmod(chance.random() * (len(self.points) - 1), 1)
            before, after = self.points[int(whole)], self.points[int(whole) + 1]
            return round(before + (after - before) * part)
        return chance.randint(self.low, self.high)

    def __str__(self) -> str:
        if self.kind == "lognormal":
            end = "" if self.most is None else f":{self.most}"
            return f"lognormal:{self.low}:{self.sigma:g}{end}"
        if self.kind == "quantiles":
            return "quantiles:" + "/".join(str(point) for point in self.points)
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


def _mean_of_part(before: int, after: int, end: int) -> float:
    """The mean of a length that is uniform from `before` to `after` and cut at `end`."""
    if end >= after:
        return (before + after) / 2
    if end <= before:
        return float(end)
    below = (end - before) / (after - before)
    return below * (before + end) / 2 + (1 - below) * end


def parse_lengths(text: str, *, least: int = 1) -> Lengths:
    """Reads "512", "256-1024", "lognormal:MEDIAN:SIGMA[:MOST]" or "quantiles:A/B/C".

    Raises ValueError, one line, for anything else and for lengths below `least`.
    """
    match = _FORM.fullmatch(text.strip().replace(",", "").replace("_", ""))
    if match is not None and match["median"] is not None and int(match["median"]) > 0:
        median = int(match["median"])
        most = None if match["most"] is None else int(match["most"])
        if most is None or most > 0:
            return Lengths(kind="lognormal", low=median, high=median, sigma=float(match["sigma"]), most=most)
    elif match is not None and match["points"] is not None:
        points = tuple(int(point) for point in match["points"].split("/"))
        if points[0] >= least and list(points) == sorted(points) and points[-1] <= MOST_TOKENS:
            return Lengths(kind="quantiles", low=points[0], high=points[-1], points=points)
    elif match is not None and match["low"] is not None:
        low = int(match["low"])
        high = int(match["high"] or low)
        if least <= low <= high <= MOST_TOKENS:
            return Lengths(kind="uniform", low=low, high=high)
    raise ValueError(f"{text[:40]!r} is no length in tokens, such as {FORMS}")
