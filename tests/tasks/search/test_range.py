"""Ranges: unit coordinates, nearest values, and values spread over them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from tasks.search._range import Numeric, from_unit, inside, spread, to_unit

NUMERIC: list[Numeric] = [
    FloatDistribution(0.02, 0.2, log=True),
    FloatDistribution(0.4, 1.0),
    FloatDistribution(0.0, 1.0, step=0.25),
    IntDistribution(4, 255, log=True),
    IntDistribution(0, 7),
    IntDistribution(10, 50, step=10),
]


@pytest.mark.parametrize("distribution", NUMERIC, ids=str)
def test_unit_coordinates_lead_back_to_the_value_and_cover_the_range(distribution: Numeric) -> None:
    values = [from_unit(distribution, u) for u in np.linspace(0, 1, 301)]
    assert (min(values), max(values)) == (distribution.low, distribution.high)
    assert all(distribution._contains(value) for value in values)
    assert [from_unit(distribution, to_unit(distribution, value)) for value in values] == pytest.approx(values)


def test_every_whole_number_has_the_same_share_of_unit_coordinates() -> None:
    drawn = [from_unit(IntDistribution(0, 7), u) for u in np.linspace(0, 1, 8001)]
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == list(range(8))
    assert counts.max() - counts.min() <= 2


@pytest.mark.parametrize(
    ("distribution", "value", "nearest"),
    [
        (FloatDistribution(0.1, 0.5), 0.7, 0.5),
        (IntDistribution(10, 50, step=10), 34, 30),
        (CategoricalDistribution([15, 31, 63]), 40, 31),
        (CategoricalDistribution(["gini", "entropy"]), "log", "gini"),
        (CategoricalDistribution([True, False]), False, False),
        (IntDistribution(4, 9), None, 4),
    ],
    ids=str,
)
def test_a_value_outside_becomes_the_nearest_one_inside(
    distribution: BaseDistribution, value: Any, nearest: Any
) -> None:
    found = inside(distribution, value)
    assert found == nearest
    assert type(found) is type(nearest)


def test_values_spread_over_a_logarithmic_range_have_equal_ratios() -> None:
    assert spread(FloatDistribution(0.01, 1.0, log=True), 3) == pytest.approx([0.01, 0.1, 1.0])
    assert spread(IntDistribution(1, 3), 9) == [1, 2, 3]
