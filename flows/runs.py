"""Runs: a line for each run in the terminal, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from rich.markup import escape
from rich.table import Table

from flows import screen
from flows.output import print_json
from flows.screen import short
from flows.tracked import address, config_for
from tasks import run_list, tracking
from tasks.run_list import Line

HEADINGS = ("run", "when", "name", "model", "metric", "folds", "holdout", "state", "version", "seconds")
STYLES = {"failed": "red", "running": "green", "killed": "yellow"}
SHOWN_ID = 8  # letters; `finefold show` takes any that tell a run from the others


def command(arguments: Sequence[str], begun: float) -> int:
    found = runs(arguments)
    say(found)
    print_json({"runs": [asdict(one) for one in found]}, arguments)
    return 0


def runs(overrides: Sequence[str] = ()) -> list[Line]:
    """The newest runs of an experiment, without their trials.

    overrides: of `runs.last`, `runs.state`, `model_name`, `tracking.experiment`, `tracking.uri` alone.

    Raises:
        Refusal: for other keys, and where no runs are tracked.
    """
    config = config_for("runs", overrides)
    uri = address(config, "runs")
    with tracking.refusing(uri):
        client, _ = tracking.connect(uri)
        asked = config.runs
        return run_list.lines(client, config.tracking.experiment, last=asked.last, model_name=config.model_name,
                              state=asked.state)  # fmt: skip


def say(found: Sequence[Line]) -> None:
    """The table; in local time."""
    if not found:
        screen.say("no such runs")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading in ("folds", "holdout", "seconds") else "left")
    for one in found:
        table.add_row(*map(escape, cells(one)), style=STYLES.get(one.state, ""))
    screen.console().print(table)


def cells(one: Line) -> list[str]:
    when = datetime.fromisoformat(one.begun).astimezone().strftime("%Y-%m-%d %H:%M")
    numbers = ("" if value is None else short(value) for value in (one.cv, one.holdout))
    name = one.name if one.kind == "run" else f"{one.name} ({one.kind})"
    seconds = "" if one.seconds is None else f"{one.seconds:,.0f}"
    versions = ", ".join(one.versions)
    return [one.run_id[:SHOWN_ID], when, name, one.model, one.metric, *numbers, one.state, versions, seconds]
