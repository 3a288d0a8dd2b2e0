"""Conclude: from predictions out of fold, calibrated probabilities, the threshold of a decision, and residuals by
which a regression's intervals are told. The holdout is not looked at."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import decision as decisions
from tasks import interval as intervals
from tasks.calibration import Calibration, Curve, crossed, log_loss
from tasks.calibration._calibrated import wrap
from tasks.decision import Decision, tuned
from tasks.interval import Residuals
from tasks.out_of_fold import OutOfFold, pooled
from tasks.records import Concluded, Member, Trained
from tasks.store import write_folder
from tasks.study import digest_of
from tasks.workspace import Experiment


@dataclass(frozen=True)
class Asked:
    """threshold: of two classes, or the metric that it is tuned for. costs: (k, k), true classes in rows."""

    calibration: Calibration | None = None
    threshold: float | str | None = None
    costs: Sequence[Sequence[float]] | None = None


@task(name="conclude", task_run_name="conclude", cache_policy=NO_CACHE, persist_result=False)
def conclude(experiment: Experiment, trained: Trained, members: Sequence[Member], asked: Asked) -> Concluded:
    """The model in a folder of its own, with what was concluded; the same folder where nothing was.

    A calibration is kept where it lowers the log-loss out of fold, each fold by a curve of the others; else the model
    stays as it is. It is fitted on the predictions of the winner, or of the ensemble's members together, for all rows
    that some fold validated. A base that took the model's place has no predictions out of fold: nothing is concluded
    from them then.
    """
    if experiment.problem.is_generation:
        return Concluded(trained)
    if trained.is_base:
        return _of_base(trained, asked)
    found = pooled(experiment, members)
    if not len(found.rows):
        return replace(_of_base(trained, asked), note="no prediction out of fold is stored")
    if not experiment.problem.is_classification:
        return _written(Concluded(trained), None, None, Residuals.of(found.y - found.prediction, found.weight))
    made, curve = _calibrated(Concluded(trained), found, asked.calibration)
    prediction = found.prediction if curve is None else curve(found.prediction)
    decision = _decision(asked, replace(found, prediction=prediction))
    threshold = None if decision is None else decision.threshold
    return _written(replace(made, threshold=threshold), curve, decision, None)


def _of_base(trained: Trained, asked: Asked) -> Concluded:
    given = replace(asked, threshold=None if isinstance(asked.threshold, str) else asked.threshold)
    decision = None if given.threshold is None and given.costs is None else _decision(given, None)
    threshold = None if decision is None else decision.threshold
    note = "the base took the model's place: it has no predictions out of fold to calibrate or to tune it by"
    return _written(Concluded(trained, threshold=threshold, note=note), None, decision, None)


def _calibrated(
    made: Concluded, found: OutOfFold, calibration: Calibration | None
) -> tuple[Concluded, Curve | None]:
    if calibration is None:
        return made, None
    before = log_loss(found.prediction, found.y, found.weight)
    on_others = crossed(calibration, found.prediction, found.y, found.weight, found.parts)
    after = log_loss(on_others, found.y, found.weight)
    made = replace(made, before=before, after=after)
    if not after < before:
        note = f"calibration={calibration.name} does not lower the log-loss out of fold; the model stays as it is"
        return replace(made, note=note), None
    curve = calibration.fit(found.prediction, found.y, found.weight)
    return replace(made, curve=curve.described), curve


def _decision(asked: Asked, found: OutOfFold | None) -> Decision | None:
    if asked.costs is not None:
        return Decision(tuple(tuple(map(float, row)) for row in asked.costs))
    if isinstance(asked.threshold, str):
        assert found is not None
        return Decision.at(tuned(asked.threshold, found.y, found.prediction, found.weight), asked.threshold)
    return None if asked.threshold is None else Decision.at(asked.threshold)


def _written(
    made: Concluded, curve: Curve | None, decision: Decision | None, residuals: Residuals | None
) -> Concluded:
    """Named by what is in it: the same conclusions after an interruption have the same folder."""
    files = {decisions.FILE: decision, intervals.FILE: residuals}
    texts = {name: it.as_json() for name, it in files.items() if it is not None}
    if curve is None and not texts:
        return made
    source = Path(made.trained.folder)
    identity = {"of": source.name, "calibration": None if curve is None else json.dumps(curve.as_json()), **texts}

    def fill(folder: Path) -> None:
        if curve is None:
            shutil.copytree(source, folder, dirs_exist_ok=True)
        else:
            wrap(source, curve, folder)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")

    folder = write_folder(source.parent / digest_of(identity), fill)
    return replace(made, trained=replace(made.trained, folder=str(folder)))
