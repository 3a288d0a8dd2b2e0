"""Numbers as a reader compares them: as many decimals as are sure, thousands apart, never an exponent where people
write none."""

from __future__ import annotations

import math
from collections.abc import Iterable

MINUS = "−"


def number(value: float, digits: int = 4) -> str:
    """The leading digits; all of those before the point."""
    if not math.isfinite(value):
        return "–"
    if value and not 1e-4 <= abs(value) < 1e12:
        return f"{value:.{digits}g}".replace("-", MINUS)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:,.{decimals}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", MINUS)


def fixed(value: float, decimals: int | None) -> str:
    """With so many decimals, so that numbers below each other align; None: the leading digits."""
    if decimals is None or not math.isfinite(value):
        return number(value)
    return f"{value:,.{decimals}f}".replace("-", MINUS)


def decimals_of(low: float, high: float) -> int | None:
    """How many decimals an interval bears: two digits of its width. None where there is none."""
    width = high - low
    if not math.isfinite(width) or width <= 0:
        return None
    return min(10, max(0, 1 - math.floor(math.log10(width))))


def decimals_of_all(values: Iterable[float]) -> int | None:
    """How many decimals tell numbers apart that stand below each other. None where they are all one."""
    known = [value for value in values if math.isfinite(value)]
    decimals = decimals_of(min(known), max(known)) if known else None
    return None if decimals is None else decimals + 1


def interval(low: float, high: float, decimals: int | None = None) -> str:
    """Its ends; nothing where there is none."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    decimals = decimals_of(low, high) if decimals is None else decimals
    return f"{fixed(low, decimals)} to {fixed(high, decimals)}"


def percent(share: float) -> str:
    return "–" if not math.isfinite(share) else f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"


def short(value: object) -> str:
    """A setting in few characters."""
    if isinstance(value, bool) or value is None:
        return str(value).lower() if value is not None else "none"
    return number(float(value)) if isinstance(value, int | float) else str(value)


def plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' * (n != 1)}"
