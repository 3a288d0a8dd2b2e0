"""Searches by an Optuna sampler, made anew for every trial so that it holds no hidden state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from tasks.search import FAMILY, Space

N_ATTEMPTS = 8  # proposals of the sampler before a repeated one is replaced by a random one
N_RANDOM_ATTEMPTS = 500  # random proposals before the space counts as used up


@dataclass(frozen=True)
class Sampled:
    """`make(seed)` gives the sampler. Asked for trial n, it sees the view alone: the same view and seed give the
    same proposal, whatever ran before and wherever. `is_flat` proposes the hyperparameters of all families at
    once, for samplers that can't cross families over otherwise."""

    make: Callable[[int], BaseSampler]
    is_flat: bool = False

    def ask(
        self, space: Space, view: Sequence[FrozenTrial], seed: int, *, is_higher_better: bool
    ) -> FrozenTrial | None:
        seen = {_identity(trial, space) for trial in view}
        for attempt in range(N_ATTEMPTS + N_RANDOM_ATTEMPTS):
            trial_seed = int(np.random.SeedSequence([seed, len(view), attempt]).generate_state(1)[0])
            sampler = self.make(trial_seed) if attempt < N_ATTEMPTS else RandomSampler(trial_seed)
            trial = self._ask_once(sampler, space, view, is_higher_better)
            if _identity(trial, space) not in seen:
                return trial
        return None

    def n_trials(self, space: Space, requested: int) -> int:
        return requested

    def _ask_once(
        self, sampler: BaseSampler, space: Space, view: Sequence[FrozenTrial], is_higher_better: bool
    ) -> FrozenTrial:
        study = optuna.create_study(sampler=sampler, direction="maximize" if is_higher_better else "minimize")
        study.add_trials(view)
        start = space.start(len(view))
        if start is not None:
            study.enqueue_trial(start)
        trial = study.ask()
        _suggest(trial, space, is_flat=self.is_flat)
        return study.get_trials(deepcopy=False)[-1]


def as_running(trial: FrozenTrial) -> FrozenTrial:
    """The trial as it was while it ran: what a proposal may know of one that was not told in time."""
    return create_trial(
        state=TrialState.RUNNING,
        params=trial.params,
        distributions=trial.distributions,
        system_attrs=dict(trial.system_attrs),
    )


def _suggest(trial: Trial, space: Space, *, is_flat: bool) -> None:
    _ = trial.relative_params  # an enqueued trial too takes its place in a generation: Optuna assigns it lazily
    names = list(space.families)
    chosen = names
    if len(names) > 1:
        family = trial._suggest(FAMILY, CategoricalDistribution(names))
        chosen = names if is_flat else [str(family)]
    for family in chosen:
        for name, distribution in space.distributions(family).items():
            trial._suggest(name, distribution)


def _identity(trial: FrozenTrial, space: Space) -> tuple[str, str]:
    proposal = space.proposal(trial)
    return proposal.family, repr(sorted(proposal.hyperparameters.items()))
