"""Grid search: every point of a product of lists, once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from pydantic import Field

from tasks.refusal import Refusal
from tasks.search import FAMILY, Space


@dataclass(frozen=True)
class Grid:
    """A list in a space is taken as it is. Of a range, `points` values at even (or evenly logarithmic) distances;
    with `points` null the family's own short grid, and the start value of what that leaves out."""

    points: Annotated[int, Field(ge=1)] | None

    def ask(
        self, space: Space, view: Sequence[FrozenTrial], seed: int, *, is_higher_better: bool
    ) -> FrozenTrial | None:
        points = self._points(space)
        if len(view) >= len(points):
            return None
        params, distributions = points[len(view)]
        return create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)

    def n_trials(self, space: Space, requested: int) -> int:
        size = len(self._points(space)) if self._size(space) <= 100_000 else self._size(space)
        if size > requested:
            raise Refusal(
                f"search.trials={requested}: the grid has {size:,} points; raise search.trials, lower "
                "search.sampler.points, fix hyperparameters (model.NAME.hyperparameters.KEY=VALUE) or give shorter "
                "lists (model.NAME.space.KEY=[...])."
            )
        return size

    def _size(self, space: Space) -> int:
        sizes = [
            int(np.prod([float(len(values)) for values in self._values(space, family).values()]))
            for family in space.families
        ]
        return sum(sizes)

    def _points(self, space: Space) -> list[tuple[dict[str, Any], dict[str, BaseDistribution]]]:
        found = []
        for family in space.families:
            lists = self._values(space, family)
            for combination in itertools.product(*lists.values()):
                params = {space.name(family, key): value for key, value in zip(lists, combination, strict=True)}
                distributions: dict[str, BaseDistribution] = {
                    space.name(family, key): CategoricalDistribution(tuple(values)) for key, values in lists.items()
                }
                if len(space.families) > 1:
                    params[FAMILY] = family
                    distributions[FAMILY] = CategoricalDistribution(tuple(space.families))
                found.append((params, distributions))
        return found

    def _values(self, space: Space, family: str) -> dict[str, Sequence[Any]]:
        one = space.families[family]
        lists: dict[str, Sequence[Any]] = {}
        for key, distribution in one.free.items():
            if isinstance(distribution, CategoricalDistribution):
                lists[key] = distribution.choices
            elif self.points is not None:
                lists[key] = _spread(distribution, self.points)
            elif key in one.grid:
                assert isinstance(distribution, IntDistribution | FloatDistribution)
                inside = [value for value in one.grid[key] if distribution.low <= value <= distribution.high]
                lists[key] = inside or _spread(distribution, len(one.grid[key]))  # the user's range lies elsewhere
        return lists


def _spread(distribution: BaseDistribution, n: int) -> list[Any]:
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high = distribution.low, distribution.high
    values = np.geomspace(low, high, n) if distribution.log else np.linspace(low, high, n)
    if isinstance(distribution, IntDistribution):
        return sorted({round(value) for value in values.tolist()})
    return [float(value) for value in values.clip(low, high)]
