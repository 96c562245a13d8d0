"""How traffic grows: by the same factor each year."""

import math


def growth_factor(growth_per_year: float, years: float) -> float:
    """Traffic after some years over that of today: (1 + g)^years."""
    return float((1 + growth_per_year) ** years)


def mean_growth_factor(growth_per_year: float, years: float) -> float:
    """The mean traffic of the coming years over that of today: ((1 + g)^years − 1) / (years · ln(1 + g))."""
    exponent = years * math.log1p(growth_per_year)
    return 1.0 if exponent == 0 else math.expm1(exponent) / exponent
