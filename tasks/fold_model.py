"""Models for an ensemble: those of finished folds, kept beside the folds' predictions; any can be fitted again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tasks import model as models
from tasks.metric import METRICS
from tasks.records import Proposal, TrialResult
from tasks.store import remove_folder, write_file, write_folder
from tasks.study import fold_file
from tasks.workspace import Experiment, training_of, units, workspace_of

SIZE, LATENCY = "size.json", "latency.json"
N_TIMED_ROWS = 1_000


def are_bagged(training: models.Training) -> bool:
    """Whether an ensemble averages the models of the folds. Where some rows are never validated it doesn't: folds in
    time learned from the past alone, some of them long ago (rentals of bicycles: an RMSE of 125 instead of 65)."""
    is_validated = np.zeros(len(training.y), dtype=np.bool_)
    for _, valid in training.folds:
        is_validated[valid] = True
    return bool(is_validated.all())


def models_of(experiment: Experiment, result: TrialResult) -> list[Path]:
    """The folders of the models that stand for a trial in an ensemble: those of its folds, or one of all training rows.
    A model that is not kept is fitted: the same seed gives the same model."""
    if are_bagged(training_of(experiment)):
        return [of_fold(experiment, result.proposal, fold) for fold in range(experiment.n_folds)]
    return [_of_all_rows(experiment, result)]


def keep(experiment: Experiment, proposal: Proposal, fold: int, fitted: models.Fitted) -> Path:
    """The folder that holds the model of a fold, whole."""
    return _write(_folder(experiment, proposal, fold), fitted)


def n_parameters(folder: Path) -> int:
    """How many parameters the model in the folder learned."""
    return int(json.loads((folder / SIZE).read_text())["n_parameters"])


def milliseconds(experiment: Experiment, result: TrialResult) -> float:
    """What the models of a trial take together to predict 1,000 rows: the least of three times, measured once in a
    study, so that what is chosen by it stays the same."""
    file = _folder(experiment, result.proposal, 0).parent / LATENCY
    if not file.exists():
        fitted = [models.load(folder) for folder in models_of(experiment, result)]
        X = training_of(experiment).X.iloc[:N_TIMED_ROWS]
        least = 1_000 * min(_seconds(fitted, X) for _ in range(3)) * N_TIMED_ROWS / len(X)

        def write(beside: Path) -> None:
            beside.write_text(json.dumps({"milliseconds": least}))

        write_file(file, write)
    return float(json.loads(file.read_text())["milliseconds"])


def of_fold(experiment: Experiment, proposal: Proposal, fold: int) -> Path:
    """The folder of a fold's model, fitted again where it is not kept, with the folds that it was trained with."""
    folder = _folder(experiment, proposal, fold)
    if folder.exists():
        return folder
    family, workspace = experiment.families[proposal.family], workspace_of(experiment, proposal.family)
    folds = next(unit for unit in units(experiment, proposal) if fold in unit)
    done = models.validated(
        family, workspace, folds, proposal.hyperparameters, experiment.seed, proposal.n_rows
    )
    for one, validated in zip(folds, done, strict=True):
        keep(experiment, proposal, one, validated.fitted)
    return folder


def _of_all_rows(experiment: Experiment, result: TrialResult) -> Path:
    proposal = result.proposal
    folder = _folder(experiment, proposal, 0).parent / "all"
    if folder.exists():
        return folder
    family, workspace = experiment.families[proposal.family], workspace_of(experiment, proposal.family)
    rounds = result.rounds(models.growth_of_rounds(family, experiment.growth))
    return _write(folder, family.fit(workspace, proposal.hyperparameters, rounds, experiment.seed))


def _write(folder: Path, fitted: models.Fitted) -> Path:
    def fill(beside: Path) -> None:
        models.save(fitted, beside)
        (beside / SIZE).write_text(json.dumps({"n_parameters": fitted.n_parameters}))

    return write_folder(folder, fill)


def _seconds(fitted: Sequence[models.Fitted], X: pd.DataFrame) -> float:
    begun = time.perf_counter()
    for one in fitted:
        one.predict(X)
    return time.perf_counter() - begun


def best_complete(experiment: Experiment, results: Iterable[TrialResult], n: int) -> list[TrialResult]:
    """The `n` best trials that finished every fold, each family's best among them, in the order of their numbers.

    Of trials with the same hyperparameters the first counts, and of equals the first is better.
    """
    complete: dict[Path, TrialResult] = {}
    for result in results:
        if result.is_complete(experiment.n_folds) and result.proposal.n_rows is None:
            complete.setdefault(_folder(experiment, result.proposal, 0), result)
    sign = METRICS[experiment.metric].sign
    ranked = sorted(complete.values(), key=lambda result: -sign * result.score)
    first = {result.proposal.family: result.proposal.number for result in reversed(ranked)}
    ranked.sort(key=lambda result: first[result.proposal.family] != result.proposal.number)
    return sorted(ranked[: max(n, len(first))], key=lambda result: result.proposal.number)


def prune(experiment: Experiment, results: Sequence[TrialResult], n: int) -> None:
    """Removes the models of trials that are not among the `n` best: they would fill the disk."""
    best = {_folder(experiment, result.proposal, 0).parent for result in best_complete(experiment, results, n)}
    for result in results:
        for fold in result.folds:
            folder = _folder(experiment, result.proposal, fold.fold)
            if folder.parent not in best:
                remove_folder(folder)


def _folder(experiment: Experiment, proposal: Proposal, fold: int) -> Path:
    return fold_file(Path(experiment.folder), proposal, fold).with_suffix("")
