"""Foresee: what a search has still before it when its trials end, and how long that will take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from flows.budget import Budget
from tasks import fold_model
from tasks.combine import seconds as combining_seconds
from tasks.ensemble import Ensemble
from tasks.evidence import SHARE_OF_COMPLETING, SHARE_OF_CONFIRMING, SHARE_OF_THE_FIT, Ladder, Rung, rung_of
from tasks.metric import METRICS, better
from tasks.model import FitsSeveral, Model, Shortens, growth_of_rounds, rounds_are_epochs
from tasks.racing import best_of
from tasks.records import TrialResult
from tasks.study import fold_file
from tasks.workspace import Experiment, training_of

Members = Sequence[Sequence[TrialResult]]
LOOK = 1 / 3  # of the time that a net takes to train on a row: what it takes to score one, after each epoch


@dataclass(frozen=True)
class Foresight:
    """Of a search by this `ladder` of evidence, from its results so far: its finalists, its final fit and its
    `ensemble`, if it has one."""

    experiment: Experiment
    ladder: Ladder
    budget: Budget
    ensemble: Ensemble | None
    n_workers: int

    def deadline(self, results: Sequence[TrialResult], members: Members | None = None) -> float | None:
        """When asking ends, so that there is time for what comes after. members: see `combining_seconds`."""
        budget, best = self.budget, self._best_of(results)
        if budget.seconds is None or best is None:
            return budget.end
        ahead = self.finalists(results, best)
        confirming = min(self._confirming_seconds(ahead), SHARE_OF_CONFIRMING * budget.seconds)
        final_seconds = max(map(self.least_seconds, [best, *ahead]))
        combining = self.combining_seconds(results, ahead, final_seconds, members)
        return budget.deadline(final_seconds, confirming + combining)

    def finalists(self, results: Sequence[TrialResult], best: TrialResult) -> list[TrialResult]:
        """What is to be judged on all rows and folds after the search, as it is foreseen, of what was judged on less:
        that trial and, where families were compared on samples of the rows, of which some learn faster than others, or
        for an ensemble of complete trials alone, each other family's best; and where some families began on all folds,
        another's best that is better than that trial on the one that it was judged on."""
        is_of_complete = self.ensemble is not None and not fold_model.are_bagged(training_of(self.experiment))
        is_of_many = best.proposal.n_rows is not None or is_of_complete
        known = self.budget.confirming or ()  # of an earlier run, that is gone through again
        others = [name for name in self.experiment.families if name != best.proposal.family]
        leading = (one for name in others if (one := self._best_of(results, name)))
        found = [best, *(one for one in leading
                         if is_of_many or one.proposal.family in known or self._may_be_better(one, best))]  # fmt: skip
        return [self._as_whole(one) for one in found if rung_of(one.proposal) != Rung()]

    def _may_be_better(self, begun: TrialResult, best: TrialResult) -> bool:
        first = self.experiment.order[0]
        is_known = bool(self.ladder.whole) and first in begun.values and first in best.values
        is_known = is_known and not self.experiment.takes_simplest  # by which none takes the winner's place later
        return is_known and better(self.experiment.metric, begun.values[first], best.values[first])

    @property
    def judges_all(self) -> bool:
        """Whether all finalists are judged on more than the first fold, or the best one there alone."""
        return self.ensemble is not None or self.budget.confirming is not None

    def folds_of(self, family: str) -> list[int]:
        """On which its finalist is to be judged, in their order."""
        confirming, order = self.budget.confirming, self.experiment.order
        return [fold for fold in order if confirming is None or fold in confirming.get(family, ())]

    def fold_seconds(self, result: TrialResult) -> float:
        """What a fold of mean size takes; folds in time grow, and a trial may have been judged on the largest alone."""
        training, n_rows, n_folds = training_of(self.experiment), result.proposal.n_rows, self.experiment.n_folds
        sizes = [training.sizes(fold, n_rows)[0] for fold in range(n_folds)]
        share = fmean(sizes) / fmean(sizes[fold.fold] for fold in result.folds)
        return share * fmean(fold.seconds_alone for fold in result.folds)

    def combining_seconds(
        self, results: Sequence[TrialResult], finalists: Sequence[TrialResult], final_seconds: float,
        members: Members | None = None,
    ) -> float:  # fmt: skip
        """What an ensemble of the trials so far, and of these, will take beside a final fit of so many seconds on one
        thread: its members are judged on more folds, and its models fitted, in the place of that one. members: of each
        choice that it may be, as the results so far have it; None: as many of the best as there may be."""
        choosing, fitting = self._combining(results, finalists, members)
        completing = self._completing_seconds(results, members)
        return choosing + max(0.0, completing + fitting - final_seconds / self.budget.speed)

    def completing_deadline(self, results: Sequence[TrialResult], best: TrialResult | None) -> float | None:
        """When judging an ensemble's members on more folds ends, so that there is time to combine them; and where they
        are no better than the `best` trial, for its final fit too."""
        choosing, fitting = self._combining(results, ())
        final_seconds = 0.0 if best is None else self.least_seconds(best)
        return self.budget.deadline(final_seconds, choosing + max(0.0, fitting - final_seconds / self.budget.speed))

    def _combining(
        self, results: Sequence[TrialResult], finalists: Sequence[TrialResult], members: Members | None = None
    ) -> tuple[float, float]:
        if self.ensemble is None:
            return 0.0, 0.0
        if fold_model.are_bagged(training_of(self.experiment)):  # what is judged keeps the models of its folds
            finalists = [self._free_but(one) for one in finalists]
        return combining_seconds(self.experiment, self.ensemble, [*results, *finalists], self.n_workers, members)

    def _completing_seconds(self, results: Sequence[TrialResult], members: Members | None) -> float:
        """What is kept to judge an ensemble's members on the other folds, where they were judged on one: what that
        takes of them, or of the best there, or a share of the budget at most."""
        if self.ensemble is None or self.budget.seconds is None:
            return 0.0
        _, *begun = members or fold_model.candidates(self.experiment, results, self.ensemble.candidates)
        sign, first = METRICS[self.experiment.metric].sign, self.experiment.order[0]
        best = sorted(begun[0], key=lambda one: -sign * one.values[first])[: self.ensemble.size] if begun else []
        needed = sum(self.fold_seconds(one) * len(self.missing(one)) for one in best)
        return min(needed / self.n_workers, SHARE_OF_COMPLETING * self.budget.seconds)

    def missing(self, member: TrialResult) -> list[int]:
        """The folds on which a member of an ensemble is still to be judged, in their order."""
        known = self.budget.completing
        asked = self.experiment.order if known is None else known.get(member.proposal.number, ())
        return [fold for fold in self.experiment.order if fold in asked and fold not in member.values]

    def least_seconds(self, best: TrialResult) -> float:
        """What is kept for its final fit, on one thread: what that takes, or, where larger steps or fewer models make
        it shorter, a share of the budget at least."""
        whole, budget = self.final_seconds(best), self.budget
        family = self.experiment.families[best.proposal.family]
        if budget.seconds is None:
            return whole
        least = family.least_share if isinstance(family, Shortens) else 1 / self._turns(family, best)
        return min(whole, max(least * whole, SHARE_OF_THE_FIT * budget.seconds * budget.speed))

    def _turns(self, family: Model, best: TrialResult) -> int:
        hyperparameters, _ = family.final(best.proposal.hyperparameters, None)
        return self.budget.turns(family.n_models(hyperparameters)) if isinstance(family, FitsSeveral) else 1

    def final_seconds(self, best: TrialResult) -> float:
        """What the final fit will take on one thread, as the folds of that trial have it; of models that have no use
        for more threads, as many times that as it would else be faster, for each time that all threads have one."""
        fold = self.fold_seconds(best)
        family = self.experiment.families[best.proposal.family]
        _, rounds = family.final(best.proposal.hyperparameters, 100)
        steps = (rounds or 100) / 100
        if rounds_are_epochs(family):  # each fold was scored after every one
            training = training_of(self.experiment)
            sizes = [training.sizes(one.fold, best.proposal.n_rows) for one in best.folds]
            fold /= 1 + LOOK * sum(valid for _, valid in sizes) / sum(train for train, _ in sizes)
        # More rows than a fold's by `growth`, or by what the sample left out, and as many more rounds as `growth`.
        more_rows = self.experiment.growth * self.ladder.scale(best.proposal)
        slower = self.budget.speed * self._turns(family, best) if isinstance(family, FitsSeveral) else 1.0
        return fold * more_rows * growth_of_rounds(family, self.experiment.growth) * steps * slower

    def _confirming_seconds(self, finalists: Sequence[TrialResult]) -> float:
        seconds = [[fold.seconds for fold in one.folds] for one in finalists]
        if len(seconds) > 1 and not self.judges_all:
            seconds = [[folds[0] for folds in seconds], max(seconds)[1:]]
        each = [second for folds in seconds for second in folds]
        return math.ceil(len(each) / self.n_workers) * fmean(each) if each else 0.0

    def _free_but(self, whole: TrialResult) -> TrialResult:
        """Without the seconds of folds that are still to run."""
        folder = Path(self.experiment.folder)
        folds = [fold if fold_file(folder, whole.proposal, fold.fold).exists() else replace(fold, seconds=0.0)
                 for fold in whole.folds]  # fmt: skip
        return replace(whole, folds=tuple(folds))

    def _best_of(self, results: Sequence[TrialResult], family: str | None = None) -> TrialResult | None:
        own = [result for result in results if family in (None, result.proposal.family)]
        return best_of(self.ladder.top(own, self.experiment.n_folds), self.experiment.metric)

    def _as_whole(self, result: TrialResult) -> TrialResult:
        """On all folds and rows, in the seconds that its folds let foresee; the scores are not its own."""
        seconds, like = self.fold_seconds(result) * self.ladder.scale(result.proposal), result.folds[0]
        folds = [replace(like, fold=fold, seconds=seconds, alone=None) for fold in range(self.experiment.n_folds)]
        return replace(result, proposal=replace(result.proposal, n_rows=None, n_folds=None), folds=tuple(folds))
