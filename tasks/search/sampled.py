"""Searches by an Optuna sampler, made anew for every trial so that it holds no hidden state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from tasks.search import FAMILY, Space, noted_when_asked
from tasks.search._draw import N_ATTEMPTS, N_RANDOM_ATTEMPTS


@dataclass(frozen=True)
class Sampled:
    """`make(seed)` gives the sampler. Asked for trial n, it sees the view alone: the same view and seed give the
    same proposal, whatever ran before and wherever. `is_flat` proposes all hyperparameters at once, those of the other
    families and those without an effect too, for samplers whose model needs every dimension in every trial.
    `n_attempts` of the sampler's proposals may repeat an earlier trial before one is drawn at random."""

    make: Callable[[int], BaseSampler]
    is_flat: bool = False
    n_attempts: int = N_ATTEMPTS

    def ask(
        self, space: Space, view: Sequence[FrozenTrial], seed: int, *, is_higher_better: bool
    ) -> FrozenTrial | None:
        seen = {space.point(trial.params) for trial in view}
        given = dict(enumerate(space.firsts())).get(len(view))
        for attempt in range(self.n_attempts + N_RANDOM_ATTEMPTS):
            trial_seed = int(np.random.SeedSequence([seed, len(view), attempt]).generate_state(1)[0])
            sampler = self.make(trial_seed) if attempt < self.n_attempts else RandomSampler(trial_seed)
            trial = self._ask_once(sampler, space, view, is_higher_better, given)
            if space.point(trial.params) not in seen:
                return trial
            given = None
        return None

    def n_trials(self, space: Space, requested: int) -> int:
        return requested

    def _ask_once(
        self,
        sampler: BaseSampler,
        space: Space,
        view: Sequence[FrozenTrial],
        is_higher_better: bool,
        given: Mapping[str, Any] | None,
    ) -> FrozenTrial:
        study = optuna.create_study(sampler=sampler, direction="maximize" if is_higher_better else "minimize")
        study.add_trials(view)
        if given is not None:
            study.enqueue_trial(dict(given))
        trial = study.ask()
        _suggest(trial, space, is_flat=self.is_flat)
        return study.get_trials(deepcopy=False)[-1]


def as_running(trial: FrozenTrial) -> FrozenTrial:
    """The trial as it was while it ran: what a proposal may know of one that was not told in time."""
    return create_trial(
        state=TrialState.RUNNING,
        params=trial.params,
        distributions=trial.distributions,
        system_attrs=noted_when_asked(trial),
    )


def _suggest(trial: Trial, space: Space, *, is_flat: bool) -> None:
    names = list(space.families)
    chosen = names
    if len(names) > 1:
        family = trial._suggest(FAMILY, CategoricalDistribution(names))
        chosen = names if is_flat else [str(family)]
    for family in chosen:
        _suggest_family(trial, space, family, is_flat=is_flat)


def _suggest_family(trial: Trial, space: Space, family: str, *, is_flat: bool) -> None:
    """What has a condition comes last, when the values that it depends on are known."""
    one = space.families[family]
    values: dict[str, Any] = {}
    for key in sorted(one.free, key=lambda key: key in one.when):
        if is_flat or one.is_searched(key, values):
            values[key] = trial._suggest(space.name(family, key), one.free[key])
