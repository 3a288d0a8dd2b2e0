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
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import fold_model, predictor
from tasks import model as models
from tasks.ensemble import Ensemble, Floats
from tasks.gone_wrong import fault_of
from tasks.metric import METRICS, better
from tasks.mixture import Mixture, choosing_seconds, is_better, mix
from tasks.model import OutOfTimeError
from tasks.model._bag import Bag
from tasks.model._bag import Member as BagMember
from tasks.records import Combined, Prepared, Trained, TrialResult, Winner
from tasks.refusal import Refusal
from tasks.store import write_folder
from tasks.study import digest_of
from tasks.workspace import Experiment, training_of

# Of the time that a fit on all rows, and the models of all members, are foreseen to take: what is cut was for nothing,
# and the best trial's own fit would begin after these.
MARGIN, MARGIN_OF_ALL = 1.5, 1.1
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


def _without(results: Sequence[TrialResult], numbers: Collection[int]) -> list[TrialResult]:
    return [result for result in results if result.proposal.number not in numbers]


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
    choosing = sum(choosing_seconds(experiment, ensemble, trials) for trials in every)
    megabytes = max(sum(fold_model.megabytes(experiment, trial) for trial in trials) for trials in best)
    writing = SECONDS_OF_A_MEGABYTE * min(megabytes, ensemble.megabytes or math.inf)
    return choosing, MARGIN_OF_ALL * fitting / n_workers + writing


@dataclass(frozen=True)
class _Fitting:
    """How many models are fitted at a time, and until when."""

    n_workers: int
    until: float | None


def _described(chosen: Mixture) -> Combined:
    n = len(chosen.trials)
    return Combined(chosen.members, chosen.mean, chosen.standard_error, chosen.at, chosen.folds, n, None, None)


def _chosen(
    experiment: Experiment, ensemble: Ensemble, results: Sequence[TrialResult], winner: Winner, fitting: _Fitting
) -> tuple[Mixture, Floats | None, bool]:
    """The best choice, of the complete trials or of those judged on the first fold, that is to be used, with what its
    members cost; or with None, and that there was no time for its models; or the best one of all, with None."""
    every = fold_model.candidates(experiment, results, ensemble.candidates)
    free = [mix(experiment, ensemble, trials, winner) for trials in every]
    best, *others = free
    if others and len(others[0].used) > 1 and better(experiment.metric, others[0].mean, best.mean):
        free = [*others, best]
    tried = []
    for one in free:
        if not is_better(experiment, one, winner):
            tried.append(one)
            continue
        try:
            within = _within(experiment, ensemble, one, winner, fitting)
            if is_better(experiment, within, winner):
                return within, _costs(experiment, ensemble, within, fitting), False
        except OutOfTimeError:
            return one, None, True
        tried.append(within)
    return next((one for one in tried if one.members), tried[0]), None, False


def _within(
    experiment: Experiment, ensemble: Ensemble, free: Mixture, winner: Winner, fitting: _Fitting
) -> Mixture:
    """The free choice; where it comes to more than the limits, the choice within them. Only that one needs the models
    of all candidates, which may not be kept."""
    if not _exceeds(ensemble, _costs(experiment, ensemble, free, fitting)):
        return free
    every = replace(free, weights=np.ones(len(free.trials)))
    return mix(experiment, ensemble, free.trials, winner, _costs(experiment, ensemble, every, fitting))


def _exceeds(ensemble: Ensemble, costs: Floats) -> bool:
    limits = (ensemble.megabytes, ensemble.milliseconds)
    return any(limit is not None and cost > limit for limit, cost in zip(limits, costs.sum(axis=0), strict=True))


def _costs(experiment: Experiment, ensemble: Ensemble, chosen: Mixture, fitting: _Fitting) -> Floats:
    """(n_members, 2) megabytes of each member's models, and milliseconds per 1,000 rows where they are limited.

    Raises:
        OutOfTimeError: where fitting the models takes too long, or will.
    """
    needed = MARGIN_OF_ALL * fold_model.seconds(experiment, chosen.used)
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
    experiment: Experiment, chosen: Mixture, costs: Floats, fitting: _Fitting, asked: Collection[int] | None
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


def _write(experiment: Experiment, prepared: Prepared, chosen: Mixture, whole: Mapping[int, Path]) -> Trained:
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
