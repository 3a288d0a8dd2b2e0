"""Correct: the search's score less the luck of its winner's having been selected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.bias import Fold, Select, luck
from tasks.metric import METRICS, Floats
from tasks.records import Proposal, TrialResult, Winner
from tasks.selected import Corrected
from tasks.simplest import best, simplest
from tasks.study import fold_file, read_fold
from tasks.workspace import Experiment, rho, training_of

Rows = npt.NDArray[np.int64]

MAX_CANDIDATES = 100  # trials; one behind so many others is never selected in a resample
MAX_ROWS = 10_000  # validation rows; of 100 trials with two classes their predictions take 16 MB


@task(name="correct", task_run_name="correct", cache_policy=NO_CACHE, persist_result=False)
def correct(
    experiment: Experiment, complete: Sequence[TrialResult], winner: Winner, ranks: Sequence[int] | None, n_told: int
) -> Corrected | None:
    """The winner's score, corrected by the predictions of all trials that could have won (`tasks/bias.py`); None where
    their files are gone.

    complete: the trials that the winner was chosen among, all judged on the same rows and folds. ranks: of each, 0 for
    the cheapest, where the cheapest of those that are as good as the best is taken; else None. n_told: all trials.

    A row that no fold validates is not among those that are drawn; one that several validate is drawn for all of them.
    Rows of one group are drawn together. Of many rows some are taken once for all; what the best by these owes to luck
    is brought to all rows by the root of their share, as the luck of a mean goes.
    """
    places = _candidates(experiment, complete, winner)
    used = [complete[place] for place in places]
    folds = [score.fold for score in used[0].folds]
    sample = _sample(experiment, used[0].proposal, folds)
    shown = [_read(experiment, used, fold, sample) for fold in folds]
    known = [fold for fold in shown if fold is not None]
    if len(known) < len(shown):
        return None
    sign = METRICS[experiment.metric].sign
    own = None if ranks is None else np.array([ranks[place] for place in places])
    select = _rule(sign, own, rho(experiment, used[0]))
    at = None if sample.scale < 1 else next((n for n, one in enumerate(used) if _is_of(winner, one)), None)
    found = luck(experiment.metric, known, sample.n_units, at, select, experiment.seed)
    value = winner.mean - sample.scale * found.optimism
    ends = (value + sample.scale * found.below, value + sample.scale * found.above)
    notes = _notes(experiment, used, winner, sample, n_told - len(complete))
    return Corrected(experiment.metric, value, *ends, winner.mean, len(used), sample.n_rows, notes)


@dataclass(frozen=True)
class _Sample:
    """is_in and units: (n_train,) whether a row is shown, and what it belongs to of what is drawn; scale: what becomes
    of a deviation when all n_rows validated rows are taken instead of those that are shown."""

    is_in: npt.NDArray[np.bool_]
    units: Rows
    n_units: int
    n_rows: int
    scale: float
    n_times: float


def _is_of(winner: Winner, one: TrialResult) -> bool:
    """Whether the winner is that trial's setting; it may have been judged again, on more."""
    ours, theirs = winner.proposal, one.proposal
    return (ours.family, ours.hyperparameters) == (theirs.family, theirs.hyperparameters)


def _candidates(experiment: Experiment, complete: Sequence[TrialResult], winner: Winner) -> list[int]:
    """The places of the best trials, each setting once, the winner's among them, in the order of their trials."""
    first: dict[Path, int] = {}
    for place, one in enumerate(complete):
        first.setdefault(fold_file(Path(experiment.folder), one.proposal, 0), place)
    sign = METRICS[experiment.metric].sign
    ranked = sorted(first.values(), key=lambda place: -sign * complete[place].score)
    ranked.sort(key=lambda place: not _is_of(winner, complete[place]))
    return sorted(ranked[:MAX_CANDIDATES])


def _sample(experiment: Experiment, proposal: Proposal, folds: Sequence[int]) -> _Sample:
    training = training_of(experiment)
    n_times = np.zeros(len(training.y), np.int64)
    for fold in folds:
        n_times[training.fold(fold, proposal.n_rows)[1]] += 1
    rows = np.flatnonzero(n_times)
    shown = rows
    if len(rows) > MAX_ROWS:
        shown = np.sort(np.random.default_rng(experiment.seed).choice(rows, MAX_ROWS, replace=False))
    is_in = np.zeros(len(training.y), np.bool_)
    is_in[shown] = True
    groups = _groups(experiment)
    codes = np.arange(len(shown)) if groups is None else np.unique(groups[shown], return_inverse=True)[1]
    units = np.zeros(len(training.y), np.int64)
    units[shown] = codes
    scale = float(np.sqrt(len(shown) / len(rows)))
    return _Sample(is_in, units, int(codes.max()) + 1, len(rows), scale, float(n_times[rows].mean()))


def _groups(experiment: Experiment) -> Rows | None:
    roles = pd.read_parquet(Path(experiment.split) / "train_roles.parquet")
    return pd.factorize(roles["group"], sort=True)[0] if "group" in roles else None


def _read(experiment: Experiment, used: Sequence[TrialResult], fold: int, sample: _Sample) -> Fold | None:
    training = training_of(experiment)
    valid = training.fold(fold, used[0].proposal.n_rows)[1]
    places = np.flatnonzero(sample.is_in[valid])
    rows, predictions = valid[places], []
    for one in used:
        record = read_fold(fold_file(Path(experiment.folder), one.proposal, fold))
        if record is None:
            return None
        predictions.append(record.prediction[places])
    weight = None if training.weight is None else training.weight[rows]
    return Fold(sample.units[rows], training.y[rows], weight, np.stack(predictions))


def _rule(sign: int, ranks: Rows | None, rho_: float) -> Select:
    def select(values: Floats) -> Rows:
        return best(values, sign) if ranks is None else simplest(values, ranks, sign, rho_)

    return select


def _notes(
    experiment: Experiment, used: Sequence[TrialResult], winner: Winner, sample: _Sample, n_out: int
) -> tuple[str, ...]:
    """What the number doesn't know, and what was done about it."""
    validated = np.unique(np.concatenate([valid for _, valid in training_of(experiment).folds]))
    n_never, n_elsewhere = len(sample.is_in) - len(validated), len(validated) - sample.n_rows
    is_of_all, shown = used[0].proposal.n_rows is None, int(sample.is_in.sum())
    return tuple(filter(None, (
        f"{n_out} trials that racing, a limit, a failure or cheaper evidence kept from winning are not in it, so that "
        "it may take too little off" * bool(n_out),
        "each fold stopped at the round that was best on its own validation rows, which flatters it and is not taken "
        "off; evaluation=nested is free of that" * (winner.rounds is not None),
        "the trial was chosen on a sample of the rows; what that luck is worth there is taken off"
        * (not is_of_all),
        f"{n_never:,} rows that no fold validates are not in it" * (n_never > 0 and is_of_all),
        f"{n_elsewhere:,} rows of folds that not all of its trials were judged on are not in it"
        * (n_elsewhere > 0 and is_of_all),
        f"each row was validated {sample.n_times:g} times, of which the mean counts" * (sample.n_times > 1),
        f"found on {shown:,} of {sample.n_rows:,} rows and brought to all of them" * (shown < sample.n_rows),
    )))  # fmt: skip
