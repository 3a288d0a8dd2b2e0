"""Combine: an ensemble of finished trials, weighed by their predictions for rows that they did not learn from."""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import fold_model, predictor
from tasks import model as models
from tasks.ensemble import Ensemble, Floats, Fold, Rows, best_of, over_folds, score
from tasks.gone_wrong import fault_of
from tasks.metric import METRICS, better
from tasks.model import OutOfTimeError
from tasks.model._bag import Bag
from tasks.model._bag import Member as BagMember
from tasks.out_of_fold import N_PARTS, parted
from tasks.records import Combined, Member, Prepared, Trained, TrialResult, Winner
from tasks.refusal import Refusal
from tasks.store import write_folder
from tasks.study import digest_of, fold_file, read_fold
from tasks.workspace import Experiment, training_of

# Of scoring a mixture on one fold, on each of its rows, and on each of these for a class more: on five folds of 100,
# 1,000 and 4,000 rows 32, 70 and 140 to 260 microseconds each (roc_auc; rmse 7 to 20), of 26 classes 15, 85 and 480.
SECONDS_OF_A_FOLD, SECONDS_OF_A_ROW, SECONDS_OF_A_CLASS = 3e-5, 3e-8, 5e-9
MOST_PARTS = 10  # of the folds that a choice is scored on, each by a choice from the others
MARGIN = 1.5  # of the time that a fit on all rows is foreseen to take: one that is cut was for nothing
# Of writing an ensemble's models, reading and timing them: 200 MB of trees took 6 s.
SECONDS_OF_A_MEGABYTE = 0.03


@task(name="combine", task_run_name="combine", cache_policy=NO_CACHE, persist_result=False)
def combine(
    experiment: Experiment,
    prepared: Prepared,
    ensemble: Ensemble,
    results: Sequence[TrialResult],
    winner: Winner,
    n_workers: int,
    until: float | None = None,
    whole: Collection[int] | None = None,
    left_out: Collection[int] = (),
) -> Combined:
    """The ensemble, with its model where it scores better out of fold than the best trial alone.

    Both scores are honest of the choice: weights for a fold, or a part of one, and the one trial, are chosen on the
    others. Models that are needed and were not kept are fitted, `n_workers` at a time. Where that can't be done `until`
    a time (Unix time in seconds, or None) the dearest member is left out and the choice made again; where that ends
    without a better one there is no model. Nets are then fitted on all rows too, see `_whole`.

    whole, left_out: the trials, by their numbers, of which an earlier run had time for that, and for no model at all;
    whole=None: those that there is time for.
    """
    begun = time.perf_counter()
    fitting, without = _Fitting(n_workers, until), set(left_out)
    chosen, costs, is_cut = first = _chosen(experiment, ensemble, _without(results, without), winner, fitting)
    while is_cut and until is not None and time.time() < until:
        dear, number = max((fold_model.seconds(experiment, [one]), one.proposal.number) for one in chosen.used)
        if not dear:  # all its models are there: what lacks is time for those of the limits
            break
        without.add(number)
        chosen, costs, is_cut = _chosen(experiment, ensemble, _without(results, without), winner, fitting)
    if costs is None:
        (chosen, _, is_cut), without = first, set(left_out)
    alone = winner.mean + chosen.optimism
    found = replace(_described(chosen), alone=alone, is_cut=is_cut, left_out=tuple(sorted(without)))
    if costs is None:
        return found
    of_all_rows = _whole(experiment, chosen, costs, fitting, whole)
    return replace(
        found,
        milliseconds=None if ensemble.milliseconds is None else float(costs[:, 1].sum()),
        trained=replace(_write(experiment, prepared, chosen, of_all_rows), seconds=time.perf_counter() - begun),
        whole=tuple(sorted(of_all_rows)),
    )


def of_first_fold(
    experiment: Experiment, ensemble: Ensemble, results: Sequence[TrialResult], winner: Winner
) -> tuple[list[tuple[TrialResult, float]], bool]:
    """The trials with their weights that an ensemble would be of, chosen by the first fold where trials begin on that
    (none where all are judged on all folds, or one is the best alone); and whether it is better than the winner. Limits
    are not looked at."""
    _, *begun = fold_model.candidates(experiment, results, ensemble.candidates)
    if not begun:
        return [], False
    chosen = _choose(experiment, ensemble, begun[0], winner, np.zeros((len(begun[0]), 2)))
    weights = [member.weight for member in chosen.members]
    members = list(zip(chosen.used, weights, strict=True)) if len(weights) > 1 else []
    return members, _is_better(experiment, chosen, winner)


def _without(results: Sequence[TrialResult], numbers: Collection[int]) -> list[TrialResult]:
    return [result for result in results if result.proposal.number not in numbers]


def likely(
    experiment: Experiment, ensemble: Ensemble, results: Sequence[TrialResult], winner: Winner
) -> list[list[TrialResult]]:
    """The members of each ensemble that may be chosen, see `candidates`: of trials that were judged on all folds, and
    of those on the first; none of one that is no better than the winner. Limits are not looked at."""
    every = fold_model.candidates(experiment, results, ensemble.candidates)
    free = [_choose(experiment, ensemble, one, winner, np.zeros((len(one), 2))) for one in every]
    return [one.used if _is_better(experiment, one, winner) else [] for one in free]


def seconds(
    experiment: Experiment, ensemble: Ensemble, results: Sequence[TrialResult], n_workers: int,
    members: Sequence[Sequence[TrialResult]] | None = None,
) -> tuple[float, float]:  # fmt: skip
    """What combining these trials will take: choosing by a rule of thumb; and fitting the models that are not kept, as
    their folds had it, with writing all by a rule of thumb. members: of each choice, see `likely`; None: as many of the
    best as there may be."""
    every = fold_model.candidates(experiment, results, ensemble.candidates)
    sign = METRICS[experiment.metric].sign
    best = members or [sorted(trials, key=lambda trial: -sign * trial.score)[: ensemble.size] for trials in every]
    fitting = max(fold_model.seconds(experiment, trials) for trials in best)
    choosing = sum(_choosing_seconds(experiment, ensemble, trials) for trials in every)
    megabytes = max(sum(fold_model.megabytes(experiment, trial) for trial in trials) for trials in best)
    writing = SECONDS_OF_A_MEGABYTE * min(megabytes, ensemble.megabytes or math.inf)
    return choosing, fitting / n_workers + writing


def _choosing_seconds(experiment: Experiment, ensemble: Ensemble, trials: Sequence[TrialResult]) -> float:
    folds = _shared(experiment, trials)
    if not folds:
        return 0.0
    n_folds, n_classes = len(folds) if len(folds) > 1 else N_PARTS, len(experiment.problem.classes)
    n_rows = min(ensemble.rows, sum(map(len, folds.values())))
    # All folds, and to score each by weights of the others, as many times all of these.
    n_scored = ensemble.n_scored(len(trials)) * min(MOST_PARTS, n_folds)
    return n_scored * (SECONDS_OF_A_FOLD * n_folds + (SECONDS_OF_A_ROW + SECONDS_OF_A_CLASS * n_classes) * n_rows)


@dataclass(frozen=True)
class _Fitting:
    """How many models are fitted at a time, and until when."""

    n_workers: int
    until: float | None


def _described(chosen: _Chosen) -> Combined:
    n = len(chosen.trials)
    return Combined(chosen.members, chosen.mean, chosen.standard_error, chosen.at, chosen.folds, n, None, None)


@dataclass(frozen=True)
class _Chosen:
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


def _chosen(
    experiment: Experiment, ensemble: Ensemble, results: Sequence[TrialResult], winner: Winner, fitting: _Fitting
) -> tuple[_Chosen, Floats | None, bool]:
    """The best choice, of the complete trials or of those judged on the first fold, that is to be used, with what its
    members cost; or with None, and that there was no time for its models; or the best one of all, with None."""
    every = fold_model.candidates(experiment, results, ensemble.candidates)
    free = [_choose(experiment, ensemble, trials, winner, np.zeros((len(trials), 2))) for trials in every]
    best, *others = free
    if others and len(others[0].used) > 1 and better(experiment.metric, others[0].mean, best.mean):
        free = [*others, best]
    tried = []
    for one in free:
        if not _is_better(experiment, one, winner):
            tried.append(one)
            continue
        try:
            within = _within(experiment, ensemble, one, winner, fitting)
            if _is_better(experiment, within, winner):
                return within, _costs(experiment, ensemble, within, fitting), False
        except OutOfTimeError:
            return one, None, True
        tried.append(within)
    return next((one for one in tried if one.members), tried[0]), None, False


def _within(
    experiment: Experiment, ensemble: Ensemble, free: _Chosen, winner: Winner, fitting: _Fitting
) -> _Chosen:
    """The free choice; where it comes to more than the limits, the choice within them. Only that one needs the models
    of all candidates, which may not be kept."""
    if not _exceeds(ensemble, _costs(experiment, ensemble, free, fitting)):
        return free
    every = replace(free, weights=np.ones(len(free.trials)))
    return _choose(experiment, ensemble, free.trials, winner, _costs(experiment, ensemble, every, fitting))


def _choose(
    experiment: Experiment, ensemble: Ensemble, trials: Sequence[TrialResult], winner: Winner, costs: Floats
) -> _Chosen:
    parts = _parts(experiment, trials, winner)
    folds = tuple(dict.fromkeys(part.fold for part in parts))
    if not parts:
        return _Chosen(trials, folds, np.zeros(len(trials)), [], [], np.nan)
    metric, seed = experiment.metric, experiment.seed
    share = min(1.0, ensemble.rows / sum(len(part.rows) for part in parts))
    shown = [_read(experiment, trials, part, share) for part in parts]
    weights = ensemble.weigh(shown, costs, metric, seed)
    if not weights.any():
        return _Chosen(trials, folds, weights, [], [], np.nan)
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
    return _Chosen(trials, folds, weights, [value + elsewhere for value in values], importance, at, optimism)


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


def _importance(training: models.Training, fold: int) -> float:
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


def _is_better(experiment: Experiment, chosen: _Chosen, winner: Winner) -> bool:
    """One member alone is the winner, or a trial that only the draw of the rows made seem better."""
    return len(chosen.members) > 1 and better(experiment.metric, chosen.mean, winner.mean + chosen.optimism)


def _exceeds(ensemble: Ensemble, costs: Floats) -> bool:
    limits = (ensemble.megabytes, ensemble.milliseconds)
    return any(limit is not None and cost > limit for limit, cost in zip(limits, costs.sum(axis=0), strict=True))


def _costs(experiment: Experiment, ensemble: Ensemble, chosen: _Chosen, fitting: _Fitting) -> Floats:
    """(n_members, 2) megabytes of each member's models, and milliseconds per 1,000 rows where they are limited.

    Raises:
        OutOfTimeError: where fitting the models takes too long, or will.
    """
    needed = fold_model.seconds(experiment, chosen.used)
    if fitting.until is not None and needed and time.time() + needed / fitting.n_workers > fitting.until:
        raise OutOfTimeError
    n_threads = max(1, fitting.n_workers // max(1, len(chosen.used)))
    with ThreadPoolExecutor(fitting.n_workers, thread_name_prefix="finefold-combine") as pool:
        of_trial = functools.partial(fold_model.models_of, experiment, until=fitting.until, n_threads=n_threads)
        folders = list(pool.map(of_trial, chosen.used))
    sizes = [sum(map(models.megabytes, its_own)) for its_own in folders]
    is_timed = ensemble.milliseconds is not None  # one after the other, so that they don't slow each other
    times = [fold_model.milliseconds(experiment, trial) if is_timed else 0.0 for trial in chosen.used]
    return np.column_stack([sizes, times])


def _whole(
    experiment: Experiment, chosen: _Chosen, costs: Floats, fitting: _Fitting, asked: Collection[int] | None
) -> dict[int, Path]:
    """By their trials' numbers, of members that are nets, from the heaviest on, as far as there is time: the model that
    takes the place of those of the folds, of several nets on all rows, as a final fit is. Not one that is larger, which
    the limits don't allow for, or that has gone wrong."""
    found: dict[int, Path] = {}
    if not fold_model.are_bagged(training_of(experiment)):  # they are of all rows
        return found
    until = None
    if asked is None and fitting.until is not None:
        until = fitting.until - SECONDS_OF_A_MEGABYTE * float(costs[:, 0].sum())
    members = zip(chosen.members, chosen.used, costs[:, 0].tolist(), strict=True)
    for _, trial, most in sorted(members, key=lambda one: -one[0].weight):
        family, number = experiment.families[trial.proposal.family], trial.proposal.number
        if not isinstance(family, models.FitsSeveral) or (asked is not None and number not in asked):
            continue
        seconds = fold_model.seconds_of_all_rows(experiment, trial) / fitting.n_workers
        if until is not None and time.time() + MARGIN * seconds > until:
            continue
        try:
            folder = fold_model.of_all_rows(experiment, trial, until, fitting.n_workers)
        except OutOfTimeError:
            break
        except (OSError, MemoryError, Refusal):  # the machine's fault, or one that the user can mend
            raise
        except Exception:  # of a net that explodes, say; the models of its folds did not
            continue
        if models.megabytes(folder) <= most and not fault_of(experiment, models.load(folder), trial.folds):
            found[number] = folder
    return found


def _write(experiment: Experiment, prepared: Prepared, chosen: _Chosen, whole: Mapping[int, Path]) -> Trained:
    """The folder is named by what is in it: the same ensemble after an interruption has the same folder."""
    pairs = list(zip(chosen.used, chosen.members, strict=True))
    members = [
        BagMember(m.weight, (whole[number],) if (number := m.proposal.number) in whole
                  else tuple(fold_model.models_of(experiment, trial)))
        for trial, m in pairs
    ]  # fmt: skip
    described = [
        {"family": m.proposal.family, **m.proposal.hyperparameters, "weight": m.weight,
         "models": [folder.name for folder in it.folders]}
        for (_, m), it in zip(pairs, members, strict=True)
    ]

    def fill(folder: Path) -> None:
        predictor.save(Bag(tuple(members)), Path(prepared.folder), folder)
        (folder / "origin.json").write_text(json.dumps({"data": prepared.digest, "split": Path(experiment.split).name}))

    folder = write_folder(Path(experiment.folder) / "models" / digest_of({"ensemble": described}), fill)
    n_parameters = sum(fold_model.n_parameters(one) for member in members for one in member.folders)
    return Trained(str(folder), "ensemble", n_parameters, None)
