"""Evaluation: what the final model and the search's score are worth; told on the screen and in MLflow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from flows import config as configs
from flows import screen
from flows.build import build
from flows.decide import Job
from flows.final import Final
from flows.nested import nested
from flows.tune import Tuned
from tasks import looks
from tasks.correct import correct
from tasks.evaluate import FEWEST_UNITS, evaluate
from tasks.model import Model
from tasks.records import Evaluation, Trained, jsonable
from tasks.selected import Corrected
from tasks.tracking import Tracker
from tasks.weigh import ranks
from tasks.workspace import Experiment


def evaluated(
    job: Job,
    base: Path | None,
    experiment: Experiment,
    ended: Final,
    trained: Trained,
    outer: Sequence[Job],
    tracker: Tracker,
) -> Evaluation:
    """The final model, `trained`, by the sealed holdout; the search's score without the luck of selection; and where
    `outer` has runs, nested cross-validation."""
    corrected = corrected_score(job, experiment, ended.tuned)
    found = nested(job, outer, base) if outer else None
    made = replace(on_holdout(job, trained, tracker), corrected=corrected, nested=found)
    _say(made, job, is_ensemble=ended.combined is not None and ended.combined.trained is not None)
    _log(tracker, made)
    return made


def on_holdout(job: Job, trained: Trained, tracker: Tracker) -> Evaluation:
    """The model by the sealed holdout, whose look at it the tracker's run notes."""
    decided, target = job.decided, job.prepared.problem.target

    def look(labels: Path, model: str) -> tuple[str, ...]:
        return looks.note(tracker, looks.holdout_digest(labels, target, decided.composed.config.holdout.seed), model)

    return evaluate(
        job.split,
        trained,
        job.prepared.problem,
        decided.loss,
        decided.metric,
        decided.composed.config.seed,
        look,
        _linear(job),
        job.prepared.text,
    )


def corrected_score(job: Job, experiment: Experiment, tuned: Tuned) -> Corrected | None:
    """The search's score without the luck of selection."""
    results = [*tuned.results, *tuned.judged, *tuned.completed] if job.ladder.whole else tuned.results
    complete = job.ladder.top(results, job.split.n_folds)
    costs = ranks(experiment, complete) if experiment.takes_simplest else None
    return correct(experiment, complete, tuned.winner, costs, len(tuned.results))


def _linear(job: Job) -> Model:
    """The family with its own defaults, whatever this run says of it."""
    node = configs.compose(["model=linear"]).config.model["linear"]
    made: Model = build(node, "model.linear", job.decided.composed.config.allow_packages)
    return made


def _say(made: Evaluation, job: Job, *, is_ensemble: bool) -> None:
    if (one := made.corrected) is not None:
        of = "of the best trial alone " * is_ensemble
        screen.say_notes(one.in_words(of), one.notes)
    if made.nested is not None:
        screen.say(made.nested.in_words(), "bold")
    if made.looks > 1:
        others = ", ".join(dict.fromkeys(made.looked))
        screen.say(
            f"look {made.looks} at this holdout: {made.looks} models were scored by its {job.split.n_holdout:,} rows "
            f"(runs {others}), and the best of so many scores is flattered; {_another_holdout(job)}",
            "yellow",
        )
    if all(math.isnan(score.low) for score in made.scores.values()):
        screen.say(
            f"the holdout gives no interval: it has {job.split.n_holdout} rows, and of fewer than {FEWEST_UNITS} rows, "
            "or groups, none can be trusted",
            "yellow",
        )
    missing = [name for name, score in made.scores.items() if math.isnan(score.value)]
    if missing:
        screen.say(f"not defined on this holdout: {', '.join(missing)}", "yellow")


def _another_holdout(job: Job) -> str:
    if job.decided.composed.config.holdout.path is not None:
        return "another file in holdout.path would be looked at for the first time"
    if job.prepared.has_time:
        return "rows that come later would be looked at for the first time"
    seed = job.decided.composed.config.holdout.seed + 1
    return f"holdout.seed={seed} seals others, which the models so far were trained on"


def _log(tracker: Tracker, made: Evaluation) -> None:
    numbers: dict[str, float] = {"holdout_looks": made.looks}
    numbers |= {f"linear_{name}": score.linear for name, score in made.scores.items()}
    for what, one in (("corrected", made.corrected), ("nested", made.nested)):
        if one is not None:
            name = f"{what}_{one.metric}"
            numbers |= {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
    tracker.metrics(numbers)
    if made.nested is not None:
        tracker.series({f"nested_fold_{made.nested.metric}": list(enumerate(made.nested.folds))})
    tracker.json(jsonable(asdict(replace(made, predictions=""))), "evaluation.json")
