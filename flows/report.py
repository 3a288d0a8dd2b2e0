"""Report: what a run was, gathered once for its page; whatever goes wrong here never ends the run."""

from __future__ import annotations

import os
import platform
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run

from flows import screen
from flows.base import seen_by_base
from flows.decide import Job
from flows.final import Final
from flows.overrides import key_of
from flows.record import origin_of, versions_of
from flows.screen import climb_cells, climb_headings, climb_verdict, passed_by
from tasks import provenance, tracking
from tasks.climb import Climb
from tasks.page import Points, Section, Setting, Table, Values
from tasks.records import Evaluation, Examined, Registered
from tasks.report import FOLDER, REPORT, Reported, report
from tasks.study import Study
from tasks.tracking import Tracker
from tasks.verdict import Verdict

# Sections of the command that a run belongs to.
MORE: ContextVar[Sequence[Section]] = ContextVar("MORE", default=())


@contextmanager
def beside(section: Section) -> Iterator[None]:
    """The reports of runs within the block have this section too."""
    token = MORE.set((*MORE.get(), section))
    try:
        yield
    finally:
        MORE.reset(token)


def reported(
    tracker: Tracker,
    job: Job,
    base: Path | None,
    study: Study,
    ended: Final,
    evaluation: Evaluation,
    examined: Examined,
    verdict: Verdict,
    registered: Registered,
    **found: Any,
) -> str:
    """The path of the run's report, or nothing where there is none. found: what later stages found, see `Values`."""

    def make() -> Reported:
        tuned = ended.tuned
        values = Values(
            setting=_setting(tracker, job, study),
            prepared=job.prepared,
            split=job.split,
            metric=job.decided.metric,
            loss=job.decided.loss.name,
            results=tuned.results,
            winner=tuned.winner,
            counts=tuned.counts,
            combined=ended.combined,
            trained=ended.trained,
            evaluation=evaluation,
            examined=examined,
            verdict=verdict,
            registered=registered,
            plots=study.folder / "plots",
            searched={name: frozenset(space.free) for name, space in job.plan.space.families.items()},
            base=_base(job, base),
            more=MORE.get(),
            **found,
        )
        return report(tracker, values, study.folder / FOLDER)

    return told(tracker, make)


def told(tracker: Tracker, make: Callable[[], Reported]) -> str:
    """The path of what is made; a fault is a warning, for the model is there."""
    try:
        made = make()
        for fault in made.faults:
            screen.say(f"{fault}; the rest of the report is there", "yellow")
        if flow_run.id:
            _link(tracker, made)
    except Exception as error:  # of whatever library, or of a full disk
        screen.say(f"the report: {type(error).__name__}: {error}; all else of the run is there", "yellow")
        return ""
    return os.path.relpath(made.path) if made.path.is_relative_to(Path.cwd()) else str(made.path)


def _link(tracker: Tracker, made: Reported) -> None:
    """The model card with a link to the report, as an artifact of the flow run."""
    page = tracker.url.replace("?", f"/artifacts/{FOLDER}/{REPORT}?", 1)
    create_markdown_artifact(
        f"[The report]({page}) is `{made.path}`\n\n{made.card}", key="report", description="What the run came to"
    )


def _setting(tracker: Tracker, job: Job, study: Study) -> Setting:
    composed = job.decided.composed
    return Setting(
        commands=(
            " ".join(["finefold run", *map(shlex.quote, composed.overrides)]),
            " ".join(["finefold reproduce", tracker.run_id, *(
                shlex.quote(text) for text in composed.overrides if key_of(text) == "tracking.uri"
            )]),
        ),
        overrides=composed.overrides,
        choices=composed.choices,
        config=composed.recorded,
        seed=composed.config.seed,
        versions=versions_of(job),
        commit=tracking.git_commit(),
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        date=datetime.fromtimestamp(job.begun).astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        seconds=time.time() - job.begun,
        run_id=tracker.run_id,
        study=str(study.folder),
        mlflow_url=tracker.url,
        prefect_url=str(flow_run.ui_url or ""),
    )


def _base(job: Job, base: Path | None) -> dict[str, Any] | None:
    if base is None:
        return None
    known = provenance.read(base)
    lineage = [] if known is None else [asdict(one)["base"] for one in known.lineage]
    return {**(origin_of(base) or {}), "lineage": lineage, "n_seen": seen_by_base(job, base)}


def ladder(made: Climb) -> Section:
    """The rungs of a climb, of which the run is the chosen one."""
    rows = [climb_cells(made, one) for one in made.reached]
    strong = frozenset(n for n, one in enumerate(made.reached) if one.strategy == made.chosen)
    head = climb_headings(made)
    note = f"In brackets 95 % intervals; of the folds ({made.n_folds}), with what they share taken into account."
    table = Table("What each strategy came to", head, rows, "l" + "r" * (len(head) - 1), note, strong)
    return Section("ladder", "The ladder", [table, Points([climb_verdict(made), *passed_by(made)])], in_card=2)
