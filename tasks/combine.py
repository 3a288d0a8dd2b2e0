"""Combine: an ensemble of finished trials, weighed by their predictions for rows that they did not learn from."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import numpy.typing as npt
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import fold_model, predictor
from tasks import model as models
from tasks.ensemble import Ensemble, Floats, Fold, Rows, score
from tasks.metric import METRICS, better
from tasks.model import OutOfTimeError
from tasks.model._bag import Bag
from tasks.model._bag import Member as BagMember
from tasks.records import Combined, Member, Prepared, Trained, TrialResult, Winner
from tasks.store import write_folder
from tasks.study import digest_of, fold_file, read_fold
from tasks.workspace import Experiment, training_of

# Of scoring a mixture on one fold, and on each row of one class: 540 mixtures of 20 candidates took .6 s of a core on
# five folds of 4,000 rows, 162 mixtures of 6 took .2 s on five of 1,283 (roc_auc; rmse a fifteenth).
SECONDS_OF_A_FOLD, SECONDS_OF_A_ROW = 1.5e-4, 3e-8


@task(name="combine", task_run_name="combine", cache_policy=NO_CACHE, persist_result=False)
def combine(
    experiment: Experiment,
    prepared: Prepared,
    ensemble: Ensemble,
    results: Sequence[TrialResult],
    winner: Winner,
    n_workers: int,
    until: float | None = None,
) -> Combined:
    """The ensemble, with its model where it scores better out of fold than the winner alone.

    Its score is honest of the weights: those for a fold are chosen on the other folds. Models that are needed and were
    not kept are fitted, `n_workers` at a time; where that can't be done `until` a time (Unix time in seconds, or None)
    there is no model.
    """
    begun = time.perf_counter()
    trials, fitting = fold_model.best_complete(experiment, results, ensemble.candidates), _Fitting(n_workers, until)
    free = _choose(experiment, ensemble, trials, np.zeros((len(trials), 2)))
    try:
        chosen = _within(experiment, ensemble, free, winner, fitting)
        found = _described(chosen, len(trials))
        if not _is_better(experiment, chosen, winner):
            return found
        milliseconds = float(_costs(experiment, ensemble, chosen, fitting)[:, 1].sum())
    except OutOfTimeError:
        return replace(_described(free, len(trials)), is_cut=True)
    return replace(
        found,
        milliseconds=None if ensemble.milliseconds is None else milliseconds,
        trained=replace(_write(experiment, prepared, chosen), seconds=time.perf_counter() - begun),
    )


def seconds(
    experiment: Experiment, ensemble: Ensemble, results: Sequence[TrialResult], n_workers: int
) -> tuple[float, float]:
    """What combining these trials will take: choosing by a rule of thumb, and fitting the models that are not kept, as
    their folds had it."""
    trials = fold_model.best_complete(experiment, results, ensemble.candidates)
    n_rows = min(ensemble.rows, sum(len(valid) for _, valid in training_of(experiment).folds))
    n_outputs = max(1, len(experiment.problem.classes) - 1)
    # All folds, and to score each by weights of the others, as many times all of these.
    n_scored = ensemble.n_scored(len(trials)) * experiment.n_folds
    choosing = n_scored * (SECONDS_OF_A_FOLD * experiment.n_folds + SECONDS_OF_A_ROW * n_rows * n_outputs)
    sign = METRICS[experiment.metric].sign
    best = sorted(trials, key=lambda trial: -sign * trial.score)[: ensemble.size]
    return choosing, fold_model.seconds(experiment, best) / n_workers


@dataclass(frozen=True)
class _Fitting:
    """How many models are fitted at a time, and until when."""

    n_workers: int
    until: float | None


def _described(chosen: _Chosen, n_candidates: int) -> Combined:
    values = np.array(chosen.values or [np.nan, np.nan])
    standard_error = float(values.std(ddof=1) / len(values) ** 0.5)
    return Combined(chosen.members, float(values.mean()), standard_error, chosen.at, n_candidates, None, None)


@dataclass(frozen=True)
class _Chosen:
    """trials and weights: (n_candidates,), all 0 where none is within the limits or there is one fold alone. values:
    the metric on each fold by weights of the other folds. at: by these weights on the rows that they were chosen by."""

    trials: Sequence[TrialResult]
    weights: Floats
    values: list[float]
    at: float

    @property
    def used(self) -> list[TrialResult]:
        return [trial for trial, weight in zip(self.trials, self.weights, strict=True) if weight > 0]

    @property
    def members(self) -> tuple[Member, ...]:
        weights = self.weights[self.weights > 0].tolist()
        return tuple(Member(trial.proposal, weight) for trial, weight in zip(self.used, weights, strict=True))


def _within(
    experiment: Experiment, ensemble: Ensemble, free: _Chosen, winner: Winner, fitting: _Fitting
) -> _Chosen:
    """The free choice; where it would be used and comes to more than the limits, the choice within them. Only that one
    needs the models of all candidates, which may not be kept."""
    if not _is_better(experiment, free, winner):
        return free
    if not _exceeds(ensemble, _costs(experiment, ensemble, free, fitting)):
        return free
    every = replace(free, weights=np.ones(len(free.trials)))
    return _choose(experiment, ensemble, free.trials, _costs(experiment, ensemble, every, fitting))


def _choose(experiment: Experiment, ensemble: Ensemble, trials: Sequence[TrialResult], costs: Floats) -> _Chosen:
    if not trials:
        return _Chosen((), np.zeros(0), [], np.nan)
    metric, seed = experiment.metric, experiment.seed
    n_rows = sum(len(valid) for _, valid in training_of(experiment).folds)
    share = min(1.0, ensemble.rows / n_rows)
    shown = [_read(experiment, trials, fold, share) for fold in range(experiment.n_folds)]
    weights = ensemble.weigh(shown, costs, metric, seed)
    if not weights.any() or experiment.n_folds == 1:
        return _Chosen(trials, np.zeros(len(trials)), [], np.nan)
    values = []
    for fold in range(experiment.n_folds):
        rows = training_of(experiment).folds[fold][1]
        # The fold itself is left without a row, and where folds are drawn several times over, others lose theirs of it.
        others = [other for other in (one.without(rows) for one in shown) if len(other.rows)]
        fair = ensemble.weigh(others, costs, metric, seed)
        values.append(score(metric, [_read(experiment, trials, fold, 1.0, fair)], fair[fair > 0]))
    return _Chosen(trials, weights, values, score(metric, shown, weights))


def _read(
    experiment: Experiment, trials: Sequence[TrialResult], fold: int, share: float, weights: Floats | None = None
) -> Fold:
    """A share of the fold's validation rows, drawn at random, with the predictions of the trials; with weights, of
    those alone that have some."""
    training = training_of(experiment)
    valid = training.folds[fold][1]
    places = _draw(training.y[valid] if experiment.problem.is_classification else None, len(valid), share, fold)
    used = [trial for number, trial in enumerate(trials) if weights is None or weights[number] > 0]
    rows = valid[places]
    weight = None if training.weight is None else training.weight[rows]
    files = [fold_file(Path(experiment.folder), trial.proposal, fold) for trial in used]
    return Fold(rows, training.y[rows], weight, np.stack([_prediction(file)[places] for file in files]))


def _prediction(file: Path) -> npt.NDArray[np.float32]:
    record = read_fold(file)
    assert record is not None, file  # a complete trial's folds have just been read or written
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
    return len(chosen.members) > 1 and better(experiment.metric, fmean(chosen.values), winner.mean)


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


def _write(experiment: Experiment, prepared: Prepared, chosen: _Chosen) -> Trained:
    """The folder is named by what is in it: the same ensemble after an interruption has the same folder."""
    pairs = list(zip(chosen.used, chosen.members, strict=True))
    described = [{"family": m.proposal.family, **m.proposal.hyperparameters, "weight": m.weight} for _, m in pairs]

    members = [BagMember(m.weight, tuple(fold_model.models_of(experiment, trial))) for trial, m in pairs]

    def fill(folder: Path) -> None:
        predictor.save(Bag(tuple(members)), Path(prepared.folder), folder)
        (folder / "origin.json").write_text(json.dumps({"data": prepared.digest, "split": Path(experiment.split).name}))

    folder = write_folder(Path(experiment.folder) / "models" / digest_of({"ensemble": described}), fill)
    n_parameters = sum(fold_model.n_parameters(one) for member in members for one in member.folders)
    return Trained(str(folder), "ensemble", n_parameters, None)
