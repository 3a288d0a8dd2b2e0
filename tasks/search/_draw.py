"""Settings drawn at random from a space, for searches that draw all or some of their trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from tasks.search import FamilySpace, Space
from tasks.search._range import Numeric, from_unit

N_ATTEMPTS = 8  # proposals of a search before a repeated one is replaced by a random one
N_RANDOM_ATTEMPTS = 500  # random proposals before the space counts as used up


def value(distribution: BaseDistribution, rng: np.random.Generator) -> Any:
    """A value at random, evenly over the list or the range."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(rng.integers(len(distribution.choices)))]
    assert isinstance(distribution, Numeric)
    return from_unit(distribution, float(rng.random()))


def setting(space: FamilySpace, rng: np.random.Generator, given: Mapping[str, Any]) -> dict[str, Any]:
    """A value for every hyperparameter that is searched beside the others': the given ones, and random ones."""
    values = {key: given[key] if key in given else value(one, rng) for key, one in space.free.items()}
    return {key: value for key, value in values.items() if space.is_searched(key, values)}


def at_random(space: Space, seed: int, number: int) -> Iterator[dict[str, Any]]:
    """Parameters for trial `number` without an end that matters: any family, any setting."""
    names = list(space.families)
    for attempt in range(N_RANDOM_ATTEMPTS):
        rng = np.random.default_rng([seed, number, N_ATTEMPTS + attempt])
        family = names[int(rng.integers(len(names)))]
        yield space.params(family, setting(space.families[family], rng, {}))
