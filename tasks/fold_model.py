"""Models for an ensemble: those of finished folds, kept beside the folds' predictions; any can be fitted again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from tasks import footprint
from tasks import model as models
from tasks.metric import METRICS
from tasks.model import OutOfTimeError, Until
from tasks.records import Proposal, TrialResult
from tasks.store import remove_folder, write_file, write_folder
from tasks.study import fold_file
from tasks.workspace import Experiment, training_of, units, workspace_of

SIZE, LATENCY = "size.json", "latency-{}.json"


def are_bagged(training: models.Training) -> bool:
    """Whether an ensemble averages the models of the folds. Where some rows are never validated it doesn't: folds in
    time learned from the past alone, some of them long ago (rentals of bicycles: an RMSE of 125 instead of 65)."""
    is_validated = np.zeros(len(training.y), dtype=np.bool_)
    for _, valid in training.folds:
        is_validated[valid] = True
    return bool(is_validated.all())


def models_of(
    experiment: Experiment, result: TrialResult, until: float | None = None, n_threads: int | None = None
) -> list[Path]:
    """The folders of the models that stand for a trial in an ensemble: those of its folds, or one of all training rows.
    A model that is not kept is fitted, on `n_threads` where it is of all rows: the same seed gives the same model.

    until: Unix time in seconds, or None.

    Raises:
        OutOfTimeError: when a fit is not done by then; nothing of it is kept.
    """
    if are_bagged(training_of(experiment)):
        return [of_fold(experiment, result.proposal, fold, until) for fold in sorted(result.values)]
    return [of_all_rows(experiment, result, until, n_threads)]


def seconds(experiment: Experiment, results: Iterable[TrialResult]) -> float:
    """What fitting the models of some trials that are not kept will take on one core, as their folds had it."""
    training = training_of(experiment)
    if are_bagged(training):
        folds = [(result.proposal, fold) for result in results for fold in result.folds]
        return sum(one.seconds_alone for proposal, one in folds if not _folder(experiment, proposal, one.fold).exists())
    return sum(seconds_of_all_rows(experiment, result) for result in results)


def seconds_of_all_rows(experiment: Experiment, result: TrialResult) -> float:
    """What fitting `of_all_rows` will take on one core, as the trial's folds had it; 0 where it is kept."""
    if _all_rows(experiment, result).exists():
        return 0.0
    _, n_models = _in_full(experiment, result)
    growth = experiment.growth * _growth_of_rounds(experiment, result)  # as many more rows, and rounds
    return fmean(fold.seconds_alone for fold in result.folds) * growth * n_models


def megabytes(experiment: Experiment, result: TrialResult) -> float:
    """What the models of all its folds will take on disk, as those have it that are kept; 0 where none is."""
    folders = [_folder(experiment, result.proposal, fold) for fold in result.values]
    kept = [models.megabytes(folder) for folder in folders if folder.exists()]
    return experiment.n_folds * fmean(kept) if kept else 0.0


def keep(experiment: Experiment, proposal: Proposal, fold: int, fitted: models.Fitted) -> Path:
    """The folder that holds the model of a fold, whole."""
    return _write(_folder(experiment, proposal, fold), fitted)


def n_parameters(folder: Path) -> int:
    """How many parameters the model in the folder learned."""
    return int(json.loads((folder / SIZE).read_text())["n_parameters"])


def milliseconds(experiment: Experiment, result: TrialResult) -> float:
    """What the models of a trial take together on one core to predict 1,000 rows, measured once in a study for so many
    of them, so that what is chosen by it stays the same."""
    folders = models_of(experiment, result)
    file = _folder(experiment, result.proposal, 0).parent / LATENCY.format(len(folders))
    if not file.exists():
        fitted = [models.load(folder) for folder in folders]
        least = footprint.milliseconds(fitted, training_of(experiment).some(footprint.N_TIMED_ROWS)[0])

        def write(beside: Path) -> None:
            beside.write_text(json.dumps({"milliseconds": least}))

        write_file(file, write)
    return float(json.loads(file.read_text())["milliseconds"])


def of_fold(experiment: Experiment, proposal: Proposal, fold: int, until: float | None = None) -> Path:
    """The folder of a fold's model, fitted again where it is not kept, with the folds that it was trained with; where
    other trials were trained with it too, the same but for rounding."""
    folder = _folder(experiment, proposal, fold)
    if folder.exists():
        return folder
    family, workspace = experiment.families[proposal.family], workspace_of(experiment, proposal.family)
    folds, watch = next(unit for unit in units(experiment, proposal) if fold in unit), Until(until)
    done = models.validated(
        family, workspace, folds, proposal.hyperparameters, experiment.seed, proposal.n_rows, lambda _: watch(())
    )
    for one, validated in zip(folds, done, strict=True):
        keep(experiment, proposal, one, validated.fitted)
    return folder


def of_all_rows(experiment: Experiment, result: TrialResult, until: float | None, n_threads: int | None) -> Path:
    """The folder of a model of all training rows, of several nets as a final fit is, fitted where it is not kept.

    Raises:
        OutOfTimeError: when the fit is not done by `until` (Unix time in seconds, or None); nothing of it is kept.
    """
    proposal, folder, watch = result.proposal, _all_rows(experiment, result), Until(until)
    if folder.exists():
        return folder
    watch(())
    family, workspace = experiment.families[proposal.family], workspace_of(experiment, proposal.family)
    rounds = result.rounds(_growth_of_rounds(experiment, result))
    hyperparameters, _ = _in_full(experiment, result)
    fitted = family.fit(workspace, hyperparameters, rounds, experiment.seed, watch, n_threads)
    if watch.is_over:  # a final fit stays as far as it has come; a member cut in its middle has no known score
        raise OutOfTimeError
    return _write(folder, fitted)


def _in_full(experiment: Experiment, result: TrialResult) -> tuple[Mapping[str, Any], int]:
    """Hyperparameters of a fit on all rows, and how many models it is of: as many as a final fit, and no more than the
    models of folds in whose place it is; but without its smaller steps, which take several times as long."""
    proposal, family = result.proposal, experiment.families[result.proposal.family]
    if not isinstance(family, models.FitsSeveral):
        return proposal.hyperparameters, 1
    hyperparameters, _ = family.final(proposal.hyperparameters, None)
    n_models = family.n_models(hyperparameters)
    if len(result.folds) < n_models and are_bagged(training_of(experiment)):
        n_models = len(result.folds)
        hyperparameters = family.of_fewer(hyperparameters, n_models)
    return hyperparameters, n_models


def _growth_of_rounds(experiment: Experiment, result: TrialResult) -> float:
    return models.growth_of_rounds(experiment.families[result.proposal.family], experiment.growth)


def _all_rows(experiment: Experiment, result: TrialResult) -> Path:
    rounds = result.rounds(_growth_of_rounds(experiment, result))
    return _of_trial(experiment, result) / f"all-{_in_full(experiment, result)[1]}-{rounds or 'no'}-rounds"


def _write(folder: Path, fitted: models.Fitted) -> Path:
    def fill(beside: Path) -> None:
        models.save(fitted, beside)
        (beside / SIZE).write_text(json.dumps({"n_parameters": fitted.n_parameters}))

    return write_folder(folder, fill)


def candidates(experiment: Experiment, results: Sequence[TrialResult], n: int) -> list[list[TrialResult]]:
    """The trials that an ensemble may be of, in one or two choices of at most `n` but each family's best few among
    them, in the order of their numbers: the best of those judged on all rows and folds; and where the search judges
    trials on one fold first, the best there of all but those that lost a race, each with the models of the folds that
    it has."""
    complete = best_complete(experiment, results, n)
    has_begun = any(not one.is_complete(experiment.n_folds) for one in _in_play(results))
    if not has_begun or not are_bagged(training_of(experiment)):
        return [complete]
    return [complete, _best(experiment, _in_play(results), n, by_fold=experiment.order[0])]


def best_complete(experiment: Experiment, results: Iterable[TrialResult], n: int) -> list[TrialResult]:
    """The `n` best trials that finished every fold, each family's best few among them, in the order of their numbers.

    Of trials with the same hyperparameters the first counts, and of equals the first is better.
    """
    return _best(experiment, [one for one in _in_play(results) if one.is_complete(experiment.n_folds)], n)


def prune(experiment: Experiment, results: Sequence[TrialResult], n: int) -> None:
    """Removes the models of trials that are not among the `candidates`, nor among the `n` best of those that were
    judged on some folds alone and may be judged on the others: they would fill the disk."""
    best = {_of_trial(experiment, result) for some in candidates(experiment, results, n) for result in some}
    whole = {_of_trial(experiment, result) for result in results if result.is_complete(experiment.n_folds)}
    begun = [one for one in _in_play(results) if _of_trial(experiment, one) not in whole]
    best |= {_of_trial(experiment, result) for result in _best(experiment, begun, n)}
    for result in results:
        for fold in result.folds:
            folder = _folder(experiment, result.proposal, fold.fold)
            if folder.parent not in best:
                remove_folder(folder)


def _in_play(results: Iterable[TrialResult]) -> list[TrialResult]:
    """Those that have scores of models of all rows, on some folds at least, and lost no race."""
    return [one for one in results
            if one.error is None and one.folds and one.estimate is None and one.proposal.n_rows is None]  # fmt: skip


def _best(
    experiment: Experiment, results: Iterable[TrialResult], n: int, by_fold: int | None = None
) -> list[TrialResult]:
    """The `n` best, on one fold or in all, in the order of their numbers; among them the best of each family, which
    share half of the places. Of results with the same hyperparameters the one of most folds counts, of equals the
    first."""
    distinct: dict[Path, TrialResult] = {}
    for result in sorted(results, key=lambda result: -len(result.folds)):
        if by_fold is None or by_fold in result.values:
            distinct.setdefault(_of_trial(experiment, result), result)
    sign = METRICS[experiment.metric].sign
    ranked = sorted(distinct.values(), key=lambda result: result.proposal.number)
    ranked.sort(key=lambda result: -sign * (result.score if by_fold is None else result.values[by_fold]))
    families = {result.proposal.family for result in ranked}
    n_each = max(1, n // 2 // max(1, len(families)))
    of_family = {name: [it for it in ranked if it.proposal.family == name][:n_each] for name in families}
    ranked.sort(key=lambda result: result not in of_family[result.proposal.family])
    return sorted(ranked[: max(n, len(families))], key=lambda result: result.proposal.number)


def _of_trial(experiment: Experiment, result: TrialResult) -> Path:
    return _folder(experiment, result.proposal, 0).parent


def _folder(experiment: Experiment, proposal: Proposal, fold: int) -> Path:
    return fold_file(Path(experiment.folder), proposal, fold).with_suffix("")
