"""Finetune: fit the winner on all training rows, and check that fit against its folds."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import decision, fold_model, predictor
from tasks import model as models
from tasks.gone_wrong import fault_of
from tasks.model import Fitted, Model, Paced
from tasks.records import Affordable, Prepared, Trained, Winner
from tasks.refusal import Refusal
from tasks.store import write_folder
from tasks.study import digest_of
from tasks.workspace import Experiment, workspace_of


@task(name="finetune", task_run_name="finetune", cache_policy=NO_CACHE, persist_result=False)
def finetune(
    experiment: Experiment,
    prepared: Prepared,
    winner: Winner,
    n_threads: int,
    until: float | None,
    course: Affordable | None = None,
    most_rounds: int | None = None,
    hurried: Mapping[int, int] | None = None,
) -> Trained:
    """The winner's hyperparameters on all training rows, `winner.rounds` long where the family has rounds, or as long
    as the time lasts; until: Unix time in seconds, or None. course: what takes the place of the winner's rounds and of
    all of the family's models, where there is no time for these, or None. most_rounds: after which it ends where an
    earlier run's time had ended it there, or None. hurried: as it was there, see `Paced`.

    A fit that fails, or is worse on its own training rows than the folds were on rows they had not seen (one on 93,000
    rows and 7 classes went from a log-loss of .275 to 9.3), has gone wrong and is not taken; the model of the fold with
    the median cost takes its place, or the base, to which the models of folds hold only what they add. The folder is
    named by what was fitted: the same fit has the same folder.
    """
    proposal, watch = winner.proposal, Paced(until, most_rounds, hurried=dict(hurried or {}))
    family = experiment.families[proposal.family]
    hyperparameters, planned = family.final(proposal.hyperparameters, winner.rounds)
    short = ""
    if course is not None and planned is not None:
        n_models = family.n_models(hyperparameters) if isinstance(family, models.FitsSeveral) else 1
        changes = [(course.models, "models", n_models), (course.rounds, "rounds", planned)]
        fewer = [f"{paid} {what} in the place of {asked}" for paid, what, asked in changes if paid != asked]
        short = f"search.seconds paid for a final fit of {' and '.join(fewer)}"
        hyperparameters, planned = _shorter(family, hyperparameters, planned, course), course.rounds
    workspace = workspace_of(experiment, proposal.family)
    fitted: Fitted | None
    begun = time.perf_counter()
    try:
        fitted, fault = family.fit(workspace, hyperparameters, planned, experiment.seed, watch, n_threads), ""
    except (OSError, MemoryError, Refusal):  # the machine's fault, or one that the user can mend
        raise
    except Exception as error:  # as in a trial: of a net that explodes, say
        fitted, fault = None, f"the final fit failed ({error})"
    seconds = time.perf_counter() - begun
    fault = fault if fitted is None else fault_of(experiment, fitted, winner.folds)
    ends = planned and watch.ends(planned)
    rounds = ends if fitted is None else ends and min(watch.n_rounds, ends)
    note = "" if rounds == ends else f"search.seconds ended the final fit after {rounds} of {ends} rounds"
    if watch.hurried:
        short = f"search.seconds hurried the final fit after {min(watch.hurried)} of {planned} rounds, to {ends} in all"
    cut_at = None if rounds == ends else rounds
    changed = {key: value for key, value in hyperparameters.items() if value != proposal.hyperparameters.get(key)}
    identity = {"family": proposal.family, "rounds": rounds, **hyperparameters}
    identity |= {"hurried": watch.hurried} if watch.hurried else {}
    instead = ""
    is_base = bool(fault and experiment.base is not None and getattr(family, "adds_to_its_base", False))
    if is_base:
        fitted, rounds, changed, identity = models.load(Path(str(experiment.base))), None, {}, {"base": experiment.base}
        instead = "the base takes its place, unchanged"
    elif fault:
        fold = sorted(winner.folds, key=lambda score: score.cost)[len(winner.folds) // 2]
        fitted = models.load(fold_model.of_fold(experiment, proposal, fold.fold))
        rounds, identity["fold"], changed = fold.rounds, fold.fold, {}
        instead = f"the model of fold {fold.fold}, trained without that fold's rows, takes its place"
    assert fitted is not None  # whatever failed has a fault, in whose place there is another model

    def fill(folder: Path) -> None:
        predictor.save(fitted, Path(prepared.folder), folder)
        rule = Path(str(experiment.base)) / decision.FILE
        is_unchanged = is_base or getattr(family, "is_its_base", False)
        if is_unchanged and rule.exists():  # it labels as it did, unless this run asks for another rule
            shutil.copyfile(rule, folder / decision.FILE)
        (folder / "origin.json").write_text(json.dumps({"data": prepared.digest, "split": Path(experiment.split).name}))

    folder = write_folder(Path(experiment.folder) / "models" / digest_of(identity), fill)
    n_frozen = getattr(fitted, "n_frozen", 0)
    note = "; ".join(filter(None, (short, note, fault, instead, getattr(fitted, "note", ""))))
    return Trained(
        str(folder), proposal.family, fitted.n_parameters, rounds, changed, note, n_frozen=n_frozen, is_base=is_base,
        cut_at=cut_at, course=course, hurried=tuple(watch.hurried.items()), seconds=seconds,
    )  # fmt: skip


def _shorter(family: Model, hyperparameters: Mapping[str, Any], planned: int, course: Affordable) -> dict[str, Any]:
    """With fewer models; and with larger steps, or a schedule that comes as far in so many epochs as in the planned
    ones: one that ends in its middle leaves off where the steps are still large."""
    if not models.rounds_are_epochs(family) and isinstance(family, models.Shortens):
        return family.shorter(hyperparameters, planned, course.rounds)
    if isinstance(family, models.FitsSeveral):
        hyperparameters = family.of_fewer(hyperparameters, course.models)
    epochs = min(int(hyperparameters["epochs"]), getattr(family, "rounds", planned))
    return {**hyperparameters, "epochs": max(course.rounds, round(epochs * course.rounds / planned))}
