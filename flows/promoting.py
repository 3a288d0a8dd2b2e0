"""Promoting: the new version against the champion, and what a person sees of that."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from prefect.artifacts import create_markdown_artifact

from flows import screen
from flows.decide import Job
from flows.guard import parts_table, table
from tasks.check import Case
from tasks.promote import promote
from tasks.records import Evaluation, Registered, Trained
from tasks.rescore import Challenger
from tasks.ruling import Ruling
from tasks.tracking import Tracker
from tasks.verdict import Verdict
from tasks.workspace import Experiment

STYLES = {"first": "green", "promoted": "bold green", "kept": "", "not_comparable": "yellow"}


def promoted(
    job: Job,
    experiment: Experiment,
    trained: Trained,
    evaluation: Evaluation,
    tracker: Tracker,
    registered: Registered,
    folder: Path,
    tags: Mapping[str, str],
) -> Ruling:
    """What the rule of the run says of its version, done, told on the screen and kept as Prefect's artifact.

    folder: the model as it was registered. tags: of its version.
    """
    case = Case(
        experiment=experiment,
        trained=Path(trained.folder),
        predictions=Path(evaluation.predictions),
        base=None,
        members=(),
        slices=Path(job.prepared.slices) if job.prepared.slices else None,
    )
    config = job.decided.composed.config
    challenger = Challenger(
        folder, case, Path(job.prepared.folder), config.holdout.seed, dict(tags), trained.footprint,
        config.allow_packages,
    )  # fmt: skip
    ruling = promote(job.plan.promotion, tracker, registered, challenger)
    name, number = registered.model_name, registered.model_version
    create_markdown_artifact(ruling.markdown(name, number), key="promotion", description="Champion and challenger")
    _say(ruling, name, number)
    return ruling


def _say(ruling: Ruling, name: str, number: int) -> None:
    if ruling.findings and ruling.champion is not None:
        screen.console().print(table(Verdict.of(ruling.findings)))
    for finding in ruling.findings:
        if finding.parts:
            screen.console().print(parts_table(finding))
    if ruling.mended:
        screen.say(ruling.mended, "yellow")
    if ruling.left_out:
        n = ruling.left_out
        screen.say(f"{n:,} rows of the holdout are left out, which one of the two may have been trained on")
    screen.say(ruling.said(name, number), STYLES[ruling.state])
