"""Parent: the MLflow run that holds those of several runs, for as long as they take, and what is written into it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from flows.decide import Decided
from flows.record import ends, user
from flows.screen import cells, climb_cells, climb_headings, climb_verdict, headings, passed_by, verdict
from tasks import parent_run, tracking
from tasks.climb import Climb
from tasks.comparison import Comparison
from tasks.records import Prepared, jsonable
from tasks.refusal import Refusal
from tasks.tracking import Tracker

COMMANDS = {"comparison": "finefold compare", "ladder": "finefold finetune", "replay": "finefold replay"}


@contextmanager
def holding(
    uri: str | None, decided: Decided, prepared: Prepared, kind: str, digest: str, title: str, begun: float
) -> Iterator[Tracker]:
    """The same as `held` for what was decided on a table."""
    with held(uri, decided.composed.config.tracking.experiment, prepared.digest, kind, digest, title, begun) as tracker:
        yield tracker


@contextmanager
def held(
    uri: str | None, experiment: str, data: str, kind: str, digest: str, title: str, begun: float
) -> Iterator[Tracker]:
    """A run named by the title, for what has this digest; ended as finished or failed, whatever happens.

    uri: of the tracking server, or None. data: a digest. kind: `comparison`, `ladder` or `replay`. begun: Unix
    time in seconds.
    """
    tags = {"finefold.data": data, "mlflow.source.name": COMMANDS[kind], "mlflow.user": user()}
    with tracking.refusing(uri):
        client, used = tracking.connect(uri)
        tracker = parent_run.begin(client, used, experiment, digest, title, tags, begun, kind)
        try:
            yield tracker
        except BaseException:
            with suppress(OSError, Refusal), tracking.refusing(uri):
                tracker.finish("FAILED")
            raise
        tracker.finish()


def log_comparison(tracker: Tracker, made: Comparison, overrides: Sequence[str]) -> None:
    """Puts the table of a comparison, its picture and its numbers into the run that holds those of the choices."""
    tracker.params(
        {
            "overrides": " ".join(overrides),
            "metric": made.metric,
            "problem": made.problem,
            "split": made.split,
            "best": made.best or "",
        }
    )
    tracker.tags({"mlflow.note.content": _table_of(made)})
    tracker.json(jsonable(asdict(made)), "comparison.json")
    if made.plot:
        tracker.artifacts(Path(made.plot).parent, "plots", only=(Path(made.plot).name,))
    for one in made.choices:
        if one.cv is None or one.holdout is None:
            continue
        numbers = {
            **ends(f"cv_{made.metric}", one.cv),
            **ends(f"holdout_{made.metric}", one.holdout),
            **({} if one.difference is None else ends("difference", one.difference)),
            "fold_fits": one.fold_fits,
            "seconds": one.seconds,
        }
        # A metric's name may hold no `=` and no brackets.
        choice = re.sub(r"[^\w\-. :/]", ":", one.choice)
        tracker.metrics({f"{choice}/{name}": value for name, value in numbers.items()})


def log_climb(tracker: Tracker, made: Climb, overrides: Sequence[str]) -> None:
    """Puts the table of a climb and its numbers into the run that holds those of the rungs."""
    tracker.params({
        "overrides": " ".join(overrides), "metric": made.metric, "problem": made.problem, "split": made.split,
        "base": made.base, "best": made.best, "strategy": made.chosen,
    })  # fmt: skip
    names = climb_headings(made)
    rows = [names, ["---"] * len(names), *(climb_cells(made, one) for one in made.reached)]
    passed = [f"- {line}" for line in passed_by(made)]
    lines = [*(f"| {' | '.join(row)} |" for row in rows), "", climb_verdict(made), "", *passed]
    tracker.tags({"mlflow.note.content": "\n".join(lines)})
    tracker.json(jsonable(asdict(made)), "climb.json")
    for one in made.reached:
        assert one.score is not None
        numbers = {**ends(f"cv_{made.metric}", one.score), "seconds": one.seconds, "megabytes": one.megabytes}
        tracker.metrics({f"{one.strategy}/{name}": value for name, value in numbers.items()})


def _table_of(made: Comparison) -> str:
    """The comparison in Markdown, as the description of its run."""
    names = headings(made)
    rows = [names, ["---"] * len(names), *(cells(made, one) for one in made.choices)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, "", *([verdict(made)] if made.best else [])])
