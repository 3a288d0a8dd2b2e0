"""Finetune: fit the winner on all training rows."""

from __future__ import annotations

import json
import time
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import predictor
from tasks.model import Curve, OutOfTimeError
from tasks.records import Prepared, Trained, Winner
from tasks.store import write_folder
from tasks.study import digest_of
from tasks.workspace import Experiment, workspace_of


@task(name="finetune", task_run_name="finetune", cache_policy=NO_CACHE, persist_result=False)
def finetune(
    experiment: Experiment, prepared: Prepared, winner: Winner, n_threads: int, until: float | None
) -> Trained:
    """The winner's hyperparameters on all training rows, `winner.rounds` long where the family has rounds, or as long
    as the time lasts; until: Unix time in seconds, or None.

    The folder is named by what was fitted: the same fit after an interruption has the same folder.
    """
    proposal = winner.proposal
    family = experiment.families[proposal.family]

    def watch(curve: Curve) -> None:
        if until is not None and time.time() > until:
            raise OutOfTimeError

    fitted = family.fit(
        workspace_of(experiment, proposal.family), proposal.hyperparameters, winner.rounds, experiment.seed, watch,
        n_threads,
    )
    name = digest_of({"family": proposal.family, "rounds": winner.rounds, **proposal.hyperparameters})

    def fill(folder: Path) -> None:
        predictor.save(fitted, Path(prepared.folder), folder)
        (folder / "origin.json").write_text(json.dumps({"data": prepared.digest, "split": Path(experiment.split).name}))

    folder = write_folder(Path(experiment.folder) / "models" / name, fill)
    return Trained(str(folder), proposal.family, fitted.n_parameters, winner.rounds)
