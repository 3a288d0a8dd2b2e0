"""The models of finished folds, kept beside the folds' predictions for an ensemble; any of them can be fitted again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

import pandas as pd

from tasks import model as models
from tasks.metric import METRICS
from tasks.records import Proposal, TrialResult
from tasks.store import remove_folder, write_file, write_folder
from tasks.study import fold_file
from tasks.workspace import Experiment, training_of, workspace_of

SIZE, LATENCY = "size.json", "latency.json"
N_TIMED_ROWS = 1_000


def keep(experiment: Experiment, proposal: Proposal, fold: int, fitted: models.Fitted) -> Path:
    """The folder that holds the model, whole, and how many parameters it learned."""

    def fill(folder: Path) -> None:
        models.save(fitted, folder)
        (folder / SIZE).write_text(json.dumps({"n_parameters": fitted.n_parameters}))

    return write_folder(_folder(experiment, proposal, fold), fill)


def kept(experiment: Experiment, proposal: Proposal, fold: int) -> Path:
    """The folder of the model of a finished fold. One that is not kept is fitted again: the same seed gives the same
    model."""
    folder = _folder(experiment, proposal, fold)
    if folder.exists():
        return folder
    family, workspace = experiment.families[proposal.family], workspace_of(experiment, proposal.family)
    fitted = family.validate(workspace, fold, proposal.hyperparameters, experiment.seed).fitted
    return keep(experiment, proposal, fold, fitted)


def n_parameters(folder: Path) -> int:
    """How many parameters the model in the folder learned."""
    return int(json.loads((folder / SIZE).read_text())["n_parameters"])


def milliseconds(experiment: Experiment, proposal: Proposal) -> float:
    """What the models of a trial's folds take together to predict 1,000 rows: the least of three times, measured once
    in a study, so that what is chosen by it stays the same."""
    file = _folder(experiment, proposal, 0).parent / LATENCY
    if not file.exists():
        fitted = [models.load(kept(experiment, proposal, fold)) for fold in range(experiment.n_folds)]
        X = training_of(experiment).X.iloc[:N_TIMED_ROWS]
        least = 1_000 * min(_seconds(fitted, X) for _ in range(3)) * N_TIMED_ROWS / len(X)

        def write(beside: Path) -> None:
            beside.write_text(json.dumps({"milliseconds": least}))

        write_file(file, write)
    return float(json.loads(file.read_text())["milliseconds"])


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
        if result.error is None and len(result.folds) == experiment.n_folds:
            complete.setdefault(_folder(experiment, result.proposal, 0), result)
    sign = METRICS[experiment.metric].sign
    ranked = sorted(complete.values(), key=lambda result: -sign * fmean(fold.value for fold in result.folds))
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
