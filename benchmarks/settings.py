"""A fixed list of LightGBM settings, the same for `finefold run` and for what it is measured against."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from tasks.search import Space

RANGES: dict[str, BaseDistribution] = {
    "num_leaves": IntDistribution(8, 127, log=True),
    "learning_rate": FloatDistribution(0.02, 0.2, log=True),
    "min_data_in_leaf": IntDistribution(5, 100, log=True),
    "feature_fraction": FloatDistribution(0.4, 1.0),
    "lambda_l1": FloatDistribution(1e-6, 10.0, log=True),
    "lambda_l2": FloatDistribution(1e-6, 10.0, log=True),
    "bagging_fraction": FloatDistribution(0.5, 1.0),
}
FIXED = {"bagging_fraction": 1.0}  # every tree sees every row, so that the work follows from the setting alone


def drawn(n: int, seed: int) -> list[dict[str, Any]]:
    """The same list for the same n and seed; a longer one begins with a shorter one."""
    generator = random.Random(seed)
    return [{name: _value(range_, generator) for name, range_ in RANGES.items()} | FIXED for _ in range(n)]


def _value(range_: Any, generator: random.Random) -> Any:
    if not range_.log:
        return generator.uniform(range_.low, range_.high)
    value = math.exp(generator.uniform(math.log(range_.low), math.log(range_.high)))
    return round(value) if isinstance(range_, IntDistribution) else value


@dataclass(frozen=True)
class Listed:
    """A search whose n-th proposal is the n-th setting of the list."""

    n: int
    seed: int

    def ask(
        self, space: Space, view: Sequence[FrozenTrial], seed: int, *, is_higher_better: bool
    ) -> FrozenTrial | None:
        settings = drawn(self.n, self.seed)
        if len(view) >= len(settings):
            return None
        return create_trial(state=TrialState.RUNNING, params=settings[len(view)], distributions=RANGES)

    def n_trials(self, space: Space, requested: int) -> int:
        return self.n
