"""The four levers of what one answer costs: the model, samples, thinking, context; the same question at every setting of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product

from planner.prices.call import CallTokens, call_price
from planner.prices.price import ApiPrice
from planner.prices.tariff import utc

ANSWER_TOKENS = 300
SAMPLES = (1, 8)
THINKING_TOKENS = (0, 4_000)
CONTEXT_TOKENS = (2_000, 200_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting of the levers. Each sample is a call of its own, which sends the whole context."""

    price: ApiPrice
    n_samples: int
    thinking_tokens: int
    context_tokens: int
    usd: float | None  # None where the model does not hold the context

    @property
    def model(self) -> str:
        """The model at its provider."""
        return f"{self.price.provider}/{self.price.model_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Levers:
    """Every setting, the cheapest first; those that cannot be come last."""

    settings: tuple[Setting, ...]
    output_tokens: int
    at: datetime

    @property
    def possible(self) -> tuple[Setting, ...]:
        """Those that have a cost."""
        return tuple(setting for setting in self.settings if setting.usd is not None)

    @property
    def ratio(self) -> float | None:
        """How many times the dearest costs what the cheapest does."""
        costs = [setting.usd for setting in self.possible if setting.usd]
        return max(costs) / min(costs) if costs else None

    def alone(self, lever: str) -> float | None:
        """How many times its dearest value costs its cheapest, all else at its cheapest setting; None where that cannot be."""
        values = {getattr(setting, lever) for setting in self.possible}
        cheapest = self.possible[0] if self.possible else None
        if cheapest is None or len(values) < 2:
            return None
        others = [name for name in LEVERS if name != lever]
        costs = [
            setting.usd
            for setting in self.possible
            if all(getattr(setting, name) == getattr(cheapest, name) for name in others) and setting.usd
        ]
        return max(costs) / min(costs) if len(costs) > 1 else None


LEVERS = ("model", "n_samples", "thinking_tokens", "context_tokens")


def levers(
    prices: Sequence[ApiPrice],
    at: datetime,
    *,
    samples: Sequence[int] = SAMPLES,
    thinking_tokens: Sequence[int] = THINKING_TOKENS,
    context_tokens: Sequence[int] = CONTEXT_TOKENS,
    output_tokens: int = ANSWER_TOKENS,
) -> Levers:
    """What one answer costs at every setting, at the prices of a moment (UTC)."""
    found = []
    for price, n, thinking, context in product(prices, samples, thinking_tokens, context_tokens):
        holds = price.context_tokens is None or context + thinking + output_tokens <= price.context_tokens
        call = call_price(price, CallTokens(prompt=context, output=output_tokens, thinking=thinking), at)
        found.append(
            Setting(
                price=price,
                n_samples=n,
                thinking_tokens=thinking,
                context_tokens=context,
                usd=float(n * call.total_usd) if holds else None,
            )
        )
    ordered = sorted(found, key=lambda setting: (setting.usd is None, setting.usd or 0.0))
    return Levers(settings=tuple(ordered), output_tokens=output_tokens, at=utc(at))
