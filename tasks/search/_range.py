"""What a hyperparameter may be: ranges and lists from YAML, their nearest values, and their unit coordinates."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Numeric: TypeAlias = FloatDistribution | IntDistribution
KEYS_OF_A_RANGE = ("low", "high", "log", "step")


def read(entry: Any, start: Any) -> BaseDistribution:
    """The distribution of a list, or of a range {low, high, log, step}.

    Raises:
        ValueError, TypeError, KeyError: where it is neither.
    """
    if isinstance(entry, list):
        if not entry:
            raise ValueError("an empty list")
        return CategoricalDistribution(entry)
    unknown = set(entry) - set(KEYS_OF_A_RANGE)
    if unknown:
        raise ValueError(f"unknown {', '.join(sorted(unknown))}")
    low, high, log, step = entry["low"], entry["high"], bool(entry.get("log", False)), entry.get("step")
    if not low < high:
        raise ValueError("low must be below high")
    if log and low <= 0:
        raise ValueError("a logarithmic range must begin above 0")
    if isinstance(low, int) and isinstance(high, int) and not isinstance(start, float):
        return IntDistribution(low, high, log=log, step=step or 1)
    return FloatDistribution(float(low), float(high), log=log, step=step)


def inside(distribution: BaseDistribution, value: Any) -> Any:
    """The value, or what lies nearest to it in the distribution; the first value where nothing is nearer."""
    if isinstance(distribution, CategoricalDistribution):
        if value in distribution.choices or not all(map(is_number, [value, *distribution.choices])):
            return value if value in distribution.choices else distribution.choices[0]
        return min(distribution.choices, key=lambda choice: abs(choice - value))
    assert isinstance(distribution, Numeric)
    return _snapped(distribution, value if is_number(value) else distribution.low)


def to_unit(distribution: Numeric, value: float) -> float:
    """Where the value lies in its range, 0 to 1, on the logarithmic scale where the range is logarithmic. A whole
    number lies in the middle of its share of the range, so that all of them are equally likely."""
    low, high = _ends(distribution)
    if distribution.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low)


def from_unit(distribution: Numeric, u: float) -> float | int:
    """The inverse of `to_unit`: 0 gives the lowest, 1 the highest value."""
    low, high = _ends(distribution)
    if distribution.log:
        return _snapped(distribution, math.exp(math.log(low) + u * (math.log(high) - math.log(low))))
    return _snapped(distribution, low + u * (high - low))


def spread(distribution: Numeric, n: int) -> list[Any]:
    """n values at even (or evenly logarithmic) distances over the range, in rising order, each once."""
    space = np.geomspace if distribution.log else np.linspace
    return sorted({_snapped(distribution, value) for value in space(distribution.low, distribution.high, n).tolist()})


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ends(distribution: Numeric) -> tuple[float, float]:
    margin = 0.5 * (distribution.step or 0)
    return distribution.low - margin, distribution.high + margin


def _snapped(distribution: Numeric, value: float) -> float | int:
    """The allowed value that lies nearest."""
    value = min(max(value, distribution.low), distribution.high)
    if isinstance(distribution, IntDistribution):
        return int(distribution.low + round((value - distribution.low) / distribution.step) * distribution.step)
    if distribution.step is not None:
        value = distribution.low + round((value - distribution.low) / distribution.step) * distribution.step
    return float(min(value, distribution.high))
