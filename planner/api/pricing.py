"""What API tokens cost."""

from planner.prices.api import api_prices, reference_prices
from planner.prices.price import ApiPrice


def prices(query: str | None = None, *, provider: str | None = None) -> tuple[ApiPrice, ...]:
    """API prices that match, or the reference models that a self-hosted one is compared with."""
    if query is None and provider is None:
        return reference_prices()
    return api_prices(query, provider)
