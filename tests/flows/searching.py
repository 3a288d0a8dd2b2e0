"""Searches on iris that go through the loop itself, for its tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from on_iris import FAST, N, ignore
from optuna.trial import FrozenTrial
from prefect import flow
from wrapped import Uneven

from flows.budget import Budget
from flows.config import compose
from flows.decide import settle
from flows.plan import plan
from flows.tune import Rules, Told, Tuned, tune
from tasks.evidence import Ladder, Rung
from tasks.footprint import Limits
from tasks.records import TrialResult
from tasks.study import opened
from tasks.workspace import Experiment

WHOLE, NONE = Ladder(), Limits()
LADDER = Ladder((Rung(20, 1), Rung(40, 3), Rung()), n_rows=80)
SHORT = Ladder((Rung(20, 1), Rung(40, 3)), n_rows=80)
POPULATION = 4


@dataclass(frozen=True)
class Searching:
    """Searches on iris, all in one folder of studies: the same `name` goes on with the same study."""

    studies: Path
    experiment: Experiment
    overrides: tuple[str, ...] = FAST

    def run(
        self,
        choice: str,
        name: str,
        *,
        n_trials: int = N,
        workers: int = 2,
        seconds: float | None = None,
        told: Told | None = None,
        fails: Callable[[Mapping[str, Any]], bool] = lambda _: False,
        pause: float = 0.0,
        racing: float | None = 2.5,
        ladder: Ladder = WHOLE,
        limits: Limits = NONE,
        takes_simplest: bool = False,
        confirming: Mapping[str, Collection[int]] | None = None,
        completing: Mapping[int, Collection[int]] | None = None,
        together: int = 1,
    ) -> Tuned:
        planned = plan(compose([f"search={choice}", f"runner.workers={workers}", *self.overrides]))
        families: dict[str, Any] = {
            key: Uneven(family, fails, pause) if key == "lightgbm" else family
            for key, family in self.experiment.families.items()
        }

        budget = Budget(time.time(), seconds, workers, confirming=confirming, completing=completing)
        rules = Rules(n_trials, 4, budget, ladder, racing, planned.ensemble, together)

        @flow(name="searching")
        def searching() -> Tuned:
            with opened(self.studies, name, is_higher_better=False) as study:
                here = replace(self.experiment, digest=name, folder=str(study.folder), families=families)
                here = replace(here, limits=limits, takes_simplest=takes_simplest)
                return tune(
                    here, study, settle(planned.search, POPULATION), planned.space, planned.runner, rules,
                    n_workers=workers, told=told or ignore,
                )  # fmt: skip

        return searching()

    def folds(self, name: str) -> dict[str, tuple[int, int]]:
        """The stored folds of a study, with what would change if one were written again."""
        files = (self.studies / name).glob("*/folds/*/[!.]*.npz")
        return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}

    def trials(self, name: str) -> list[FrozenTrial]:
        with opened(self.studies, name, is_higher_better=False) as study:
            return study.trials()


def outcome(tuned: Tuned) -> list[tuple[Any, ...]]:
    """Every trial with its folds and its estimate, but for the seconds that they took."""
    return [(r.proposal, [r.estimate, *((f.fold, f.value, f.cost, f.rounds) for f in r.folds)]) for r in tuned.results]


class StopError(Exception):
    """What interrupts a search in these tests."""


def stop_at(number: int) -> Told:
    def told(result: TrialResult, trial: FrozenTrial, *, is_reused: bool) -> None:
        if result.proposal.number == number:
            raise StopError

    return told
