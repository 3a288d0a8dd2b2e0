"""Grid search: every point of a product of lists, once, those that are cheap to train first."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from pydantic import Field

from tasks.refusal import Refusal
from tasks.search import FAMILY, Space
from tasks.search._range import Numeric, spread

LARGEST = 10_000  # the most points that are looked at one by one, for those that differ in nothing that counts


@dataclass(frozen=True)
class Grid:
    """A list in a space is taken as it is, unless the family's own grid names one value of it alone. Of a range,
    `points` values at even (or evenly logarithmic) distances; with `points` null the family's own short grid, and the
    start value of what that leaves out.

    Every list runs from cheap to dear (a spread range in the direction of the family's own list), and the points in
    the order of their positions' sum: the cheapest corner first, the dearest last; families in turn.
    """

    points: Annotated[int, Field(ge=1)] | None

    visits_all = True

    def ask(
        self, space: Space, view: Sequence[FrozenTrial], seed: int, *, is_higher_better: bool
    ) -> FrozenTrial | None:
        points = self._points(space)
        if len(view) >= len(points):
            return None
        family, params = points[len(view)]
        lists = {space.name(family, key): values for key, values in self._values(space, family).items()}
        known: dict[str, BaseDistribution] = {name: CategoricalDistribution(tuple(it)) for name, it in lists.items()}
        known[FAMILY] = CategoricalDistribution(tuple(space.families))
        distributions = {name: known[name] for name in params}
        return create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)

    def n_trials(self, space: Space, requested: int) -> int:
        size = self.size(space)
        if size > requested:
            raise Refusal(
                f"search.trials={requested}: the grid has {size:,} points; raise search.trials, lower "
                "search.sampler.points, fix hyperparameters (model.NAME.hyperparameters.KEY=VALUE) or give shorter "
                "lists (model.NAME.space.KEY=[...])."
            )
        return size

    def size(self, space: Space) -> int:
        """How many points there are."""
        most = sum(prod(len(it) for it in self._values(space, family).values()) for family in space.families)
        return most if most > LARGEST else len(self._points(space))

    def _points(self, space: Space) -> list[tuple[str, dict[str, Any]]]:
        rows = itertools.zip_longest(*(self._points_of(space, family) for family in space.families))
        return [point for row in rows for point in row if point is not None]

    def _points_of(self, space: Space, family: str) -> list[tuple[str, dict[str, Any]]]:
        lists, one = self._values(space, family), space.families[family]
        positions = itertools.product(*(range(len(values)) for values in lists.values()))
        found: dict[str, dict[str, Any]] = {}
        for position in sorted(positions, key=sum):
            values = {key: it[k] for (key, it), k in zip(lists.items(), position, strict=True)}
            searched = {key: value for key, value in values.items() if one.is_searched(key, values)}
            params = space.params(family, searched)
            found.setdefault(space.point(params), params)
        return [(family, params) for params in found.values()]

    def _values(self, space: Space, family: str) -> dict[str, Sequence[Any]]:
        one = space.families[family]
        lists: dict[str, Sequence[Any]] = {}
        for key, distribution in one.free.items():
            own = one.grid.get(key, [])
            if isinstance(distribution, CategoricalDistribution):
                # The user's list is taken in the user's order; the family's own where it holds the same values.
                is_own = set(own) == set(distribution.choices) or (len(own) == 1 and own[0] in distribution.choices)
                lists[key] = own if is_own else distribution.choices
            elif self.points is not None or own:
                assert isinstance(distribution, Numeric)
                within = [value for value in own if distribution.low <= value <= distribution.high]
                is_within = self.points is None and within  # else the user's range lies elsewhere
                lists[key] = within if is_within else _spread_as(own, distribution, self.points or len(own))
        return lists


def _spread_as(own: Sequence[Any], distribution: Numeric, n: int) -> list[Any]:
    """n values over the range, falling where the family's own list falls."""
    values = spread(distribution, n)
    return values[::-1] if len(own) > 1 and own[0] > own[-1] else values
