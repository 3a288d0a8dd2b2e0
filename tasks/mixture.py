"""Mixture: which finished trials an ensemble is of, weighed and judged by their predictions out of fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks import fold_model
from tasks.ensemble import Ensemble, Floats, Fold, Rows, best_of, over_folds, score
from tasks.metric import METRICS, better
from tasks.model import Training
from tasks.out_of_fold import N_PARTS, parted
from tasks.records import Member, TrialResult, Winner
from tasks.study import fold_file, read_fold
from tasks.workspace import Experiment, training_of

# Of scoring a mixture on one fold, on each of its rows, and on each of these for a class more: on five folds of 100,
# 1,000 and 4,000 rows 32, 70 and 140 to 260 microseconds each (roc_auc; rmse 7 to 20), of 26 classes 15, 85 and 480.
SECONDS_OF_A_FOLD, SECONDS_OF_A_ROW, SECONDS_OF_A_CLASS = 3e-5, 3e-8, 5e-9
MOST_PARTS = 10  # of the folds that a choice is scored on, each by a choice from the others


@dataclass(frozen=True)
class Mixture:
    """trials and weights: (n_candidates,), all 0 where none is within the limits or there is one fold alone. values:
    the metric on parts of the rows, see `_parts`, each by weights of the others. importance: of each of these. at: by
    these weights on the rows that they were chosen by. optimism: the mean of the one trial that is the best on the
    others, part by part, less that of the one that is the best on all, where it is worse. Of some folds alone, or of
    folds that don't count alike, all are estimates of the mean over all: the winner's, and by how much they are better
    there than its own."""

    trials: Sequence[TrialResult]
    folds: tuple[int, ...]
    weights: Floats
    values: list[float]
    importance: list[float]
    at: float
    optimism: float = 0.0

    @property
    def mean(self) -> float:
        return float(np.average(self.values, weights=self.importance)) if self.values else np.nan

    @property
    def standard_error(self) -> float:
        if not self.values:
            return np.nan
        n, shares = len(self.values), np.array(self.importance) / sum(self.importance)
        return float(np.linalg.norm(shares * (np.array(self.values) - self.mean)) * (n / (n - 1)) ** 0.5)

    @property
    def used(self) -> list[TrialResult]:
        return [trial for trial, weight in zip(self.trials, self.weights, strict=True) if weight > 0]

    @property
    def members(self) -> tuple[Member, ...]:
        weights = self.weights[self.weights > 0].tolist()
        return tuple(Member(trial.proposal, weight) for trial, weight in zip(self.used, weights, strict=True))


def mix(
    experiment: Experiment,
    ensemble: Ensemble,
    trials: Sequence[TrialResult],
    winner: Winner,
    costs: Floats | None = None,
) -> Mixture:
    """The best mixture of these trials. costs: (n_trials, 2) megabytes and milliseconds of each, which the ensemble's
    limits hold for; None: these are not looked at."""
    costs = np.zeros((len(trials), 2)) if costs is None else costs
    parts = _parts(experiment, trials, winner)
    folds = tuple(dict.fromkeys(part.fold for part in parts))
    if not parts:
        return Mixture(trials, folds, np.zeros(len(trials)), [], [], np.nan)
    metric, seed = experiment.metric, experiment.seed
    share = min(1.0, ensemble.rows / sum(len(part.rows) for part in parts))
    shown = [_read(experiment, trials, part, share) for part in parts]
    weights = ensemble.weigh(shown, costs, metric, seed)
    if not weights.any():
        return Mixture(trials, folds, weights, [], [], np.nan)
    values, alone, sign = [], [], METRICS[metric].sign
    scored = np.unique(np.linspace(0, len(parts) - 1, min(MOST_PARTS, len(parts))).round().astype(int)).tolist()
    for part in (parts[place] for place in scored):
        # The part itself is left without a row, and where folds are drawn several times over, others lose theirs of it.
        others = [other for other in (one.without(part.rows) for one in shown) if len(other.rows)]
        fair = ensemble.weigh(others, costs, metric, seed)
        used = [trial for trial, weight in zip(trials, fair, strict=True) if weight > 0]
        values.append(score(metric, [_read(experiment, used, part)], fair[fair > 0]))
        single = trials[best_of(metric, _alone(metric, others))]
        alone.append(score(metric, [_read(experiment, [single], part)], np.ones(1)))
    best, there = best_of(metric, _alone(metric, shown)), [shown[place] for place in scored]
    importance = [part.importance for part in there]
    luck = float(np.average(alone, weights=importance)) - _alone(metric, there)[best]
    optimism = sign * min(0.0, sign * luck)
    elsewhere = _elsewhere(experiment, [parts[place] for place in scored], winner)
    at = score(metric, shown, weights) + _elsewhere(experiment, parts, winner)
    return Mixture(trials, folds, weights, [value + elsewhere for value in values], importance, at, optimism)


def is_better(experiment: Experiment, chosen: Mixture, winner: Winner) -> bool:
    """One member alone is the winner, or a trial that only the draw of the rows made seem better."""
    return len(chosen.members) > 1 and better(experiment.metric, chosen.mean, winner.mean + chosen.optimism)


def likely(
    experiment: Experiment, ensemble: Ensemble, results: Sequence[TrialResult], winner: Winner
) -> list[list[TrialResult]]:
    """The members of each ensemble that may be chosen, see `candidates`: of trials that were judged on all folds, and
    of those on the first; none of one that is no better than the winner. Limits are not looked at."""
    every = fold_model.candidates(experiment, results, ensemble.candidates)
    free = [mix(experiment, ensemble, one, winner) for one in every]
    return [one.used if is_better(experiment, one, winner) else [] for one in free]


def of_first_fold(
    experiment: Experiment, ensemble: Ensemble, results: Sequence[TrialResult], winner: Winner
) -> tuple[list[tuple[TrialResult, float]], bool]:
    """The trials with their weights that an ensemble would be of, chosen by the first fold where trials begin on that
    (none where all are judged on all folds, or one is the best alone); and whether it is better than the winner. Limits
    are not looked at."""
    _, *begun = fold_model.candidates(experiment, results, ensemble.candidates)
    if not begun:
        return [], False
    chosen = mix(experiment, ensemble, begun[0], winner)
    weights = [member.weight for member in chosen.members]
    members = list(zip(chosen.used, weights, strict=True)) if len(weights) > 1 else []
    return members, is_better(experiment, chosen, winner)


def choosing_seconds(experiment: Experiment, ensemble: Ensemble, trials: Sequence[TrialResult]) -> float:
    """What `mix` will take, by a rule of thumb."""
    folds = _shared(experiment, trials)
    if not folds:
        return 0.0
    n_folds, n_classes = len(folds) if len(folds) > 1 else N_PARTS, len(experiment.problem.classes)
    n_rows = min(ensemble.rows, sum(map(len, folds.values())))
    # All folds, and to score each by weights of the others, as many times all of these.
    n_scored = ensemble.n_scored(len(trials)) * min(MOST_PARTS, n_folds)
    return n_scored * (SECONDS_OF_A_FOLD * n_folds + (SECONDS_OF_A_ROW + SECONDS_OF_A_CLASS * n_classes) * n_rows)


def _alone(metric: str, folds: Sequence[Fold]) -> dict[int, float]:
    """The score of each candidate, by its place."""
    n = len(folds[0].predictions)
    return {k: over_folds(metric, folds, [fold.predictions[k].astype(np.float64) for fold in folds]) for k in range(n)}


@dataclass(frozen=True)
class _Part:
    """Validation rows of a fold: their places among these, and among the training rows."""

    fold: int
    places: Rows
    rows: Rows


def _shared(experiment: Experiment, trials: Sequence[TrialResult]) -> dict[int, Rows]:
    """The validation rows of each fold that all trials were judged on; none where there is one fold, or no trial."""
    if experiment.n_folds == 1 or not trials:
        return {}
    shared = set.intersection(*(set(trial.values) for trial in trials))
    return {fold: training_of(experiment).folds[fold][1] for fold in sorted(shared)}


def _parts(experiment: Experiment, trials: Sequence[TrialResult], winner: Winner) -> list[_Part]:
    """The folds that all trials and the winner were judged on, each to be scored by weights of the others; one fold
    alone in parts, see `parted`. None where nothing is left to choose by."""
    its_own = {fold.fold for fold in winner.folds}
    folds = {fold: valid for fold, valid in _shared(experiment, trials).items() if fold in its_own}
    if len(folds) > 1:
        return [_Part(fold, np.arange(len(valid)), valid) for fold, valid in folds.items()]
    if winner.proposal.n_rows is not None:  # which has no prediction to compare with
        return []
    return [_Part(fold, places, valid[places]) for fold, valid in folds.items() for places in parted(experiment, valid)]


def _elsewhere(experiment: Experiment, parts: Sequence[_Part], winner: Winner) -> float:
    """By how much the mean of the winner over all its folds is above its score on these parts."""
    if winner.proposal.n_rows is not None:
        return 0.0
    its_own = TrialResult(winner.proposal, winner.folds)
    here = [_read(experiment, [its_own], part) for part in parts]
    return its_own.score - score(experiment.metric, here, np.ones(1))


def _read(experiment: Experiment, trials: Sequence[TrialResult], part: _Part, share: float = 1.0) -> Fold:
    """A share of the part's rows, drawn at random, with the predictions of the trials."""
    training = training_of(experiment)
    codes = training.y[part.rows] if experiment.problem.is_classification else None
    drawn = _draw(codes, len(part.rows), share, part.fold)
    rows, places = part.rows[drawn], part.places[drawn]
    weight = None if training.weight is None else training.weight[rows]
    files = [fold_file(Path(experiment.folder), trial.proposal, part.fold) for trial in trials]
    predictions = np.stack([_prediction(file)[places] for file in files])
    return Fold(rows, training.y[rows], weight, predictions, _importance(training, part.fold))


def _importance(training: Training, fold: int) -> float:
    """Folds in time count by the rows that their models learned from: the later, the more is a fold's model like that
    of all rows."""
    return 1.0 if fold_model.are_bagged(training) else float(len(training.folds[fold][0]))


def _prediction(file: Path) -> npt.NDArray[np.float32]:
    record = read_fold(file)
    assert record is not None, file  # what a trial was judged on has just been read or written
    return record.prediction


def _draw(codes: Floats | None, n: int, share: float, fold: int) -> Rows:
    """(about n x share,) places in ascending order, drawn within each class, so that no class is lost."""
    if share >= 1:
        return np.arange(n)
    random = np.random.default_rng(fold)
    strata = [np.arange(n)] if codes is None else [np.flatnonzero(codes == code) for code in np.unique(codes)]
    drawn = [random.choice(places, int(np.ceil(share * len(places))), replace=False) for places in strata]
    return np.sort(np.concatenate(drawn))
