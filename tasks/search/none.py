"""No search: each family once, with its fixed hyperparameters and the start values of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial

from tasks.search import Space


@dataclass(frozen=True)
class Fixed:
    """One trial per family."""

    visits_all = True

    def ask(
        self, space: Space, view: Sequence[FrozenTrial], seed: int, *, is_higher_better: bool
    ) -> FrozenTrial | None:
        names = list(space.families)
        if len(view) >= len(names):
            return None
        return space.trial(space.params(names[len(view)], {}))

    def n_trials(self, space: Space, requested: int) -> int:
        return len(space.families)
