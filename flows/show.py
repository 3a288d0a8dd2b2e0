"""Show: one run in the terminal: what was asked for, what came out, what was decided, and where to look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rich.markup import escape
from rich.table import Table

from flows import screen
from flows.output import print_json
from flows.runs import cells
from flows.screen import short
from flows.tracked import address, config_for
from tasks import run_list, tracking
from tasks.named_run import named_run
from tasks.report import FOLDER, REPORT
from tasks.run_list import Shown
from tasks.tracking import Tracker

STATES = {"failed": "red", "passed": "green", "warned": "yellow"}
HELD = "holdout_"


def command(arguments: Sequence[str], begun: float) -> int:
    made = show(arguments[0] if arguments else "", arguments[1:])
    say(made)
    print_json(asdict(made), [text for text in arguments[1:] if text.startswith("output=")])
    return 0


def show(named: str, overrides: Sequence[str] = ()) -> Shown:
    """A run, as MLflow knows it.

    named: its id, at least four letters of its beginning, `models:/NAME/3` or `models:/NAME@champion`. overrides:
    `tracking.uri` alone.

    Raises:
        Refusal: where there is no such run, or several.
    """
    config = config_for("show", overrides)
    address_ = address(config, "show")
    with tracking.refusing(address_):
        client, uri = tracking.connect(address_)
        run = named_run(client, named, uri, "show")
        page = Tracker(client, uri, run.info.experiment_id, run.info.run_id, is_resumed=False).url
        return run_list.shown(client, run, page, f"{FOLDER}/{REPORT}")


def say(made: Shown) -> None:
    one = made.line
    _, when, name, model, *_ = cells(one)
    screen.say(f"{name}: run {one.run_id}", "bold")
    took = "" if one.seconds is None else f", {one.seconds:,.0f} s"
    screen.say(f"{one.state}, begun {when}{took}")
    screen.say(f"finefold {'run' if one.kind == 'run' else one.kind} {made.overrides}".rstrip())
    if model:
        best = ", ".join(f"{key.removeprefix('best.')} {value}" for key, value in made.parameters.items()
                         if key.startswith("best.") and key != "best.model")  # fmt: skip
        screen.say(f"{model} ({best})" if best else model)
    if table := _scores(made):
        screen.console().print(table)
    for line in _findings(made):
        screen.say(*line)
    for page, where in (("report", made.report), ("MLflow", made.mlflow_url), ("Prefect", made.prefect_url)):
        if where:
            screen.say(f"{page:<9}{where}")


def _scores(made: Shown) -> Table | None:
    """Each metric of the holdout with its interval beside a constant's, and the folds' of the one selected on."""
    names = [key.removeprefix("baseline_") for key in made.metrics if key.startswith("baseline_")]
    if not names:
        return None
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("metric", "holdout", "95 % interval", "constant", "folds"):
        table.add_column(heading, justify="left" if heading == "metric" else "right")
    for name in sorted(names, key=lambda name: name != made.line.metric):
        low, high, constant, cv, error = (
            made.metrics.get(key)
            for key in (f"{HELD}{name}_low", f"{HELD}{name}_high", f"baseline_{name}", f"cv_{name}", f"cv_{name}_se")
        )
        ends = "none" if low is None or high is None else f"{short(low)} to {short(high)}"
        folds = "" if cv is None else short(cv) + ("" if error is None or error != error else f" ± {error:.2g}")
        constant_ = "" if constant is None else short(constant)
        table.add_row(escape(name), short(made.metrics[f"{HELD}{name}"]), ends, constant_, folds)
    return table


def _findings(made: Shown) -> Iterator[tuple[str, str]]:
    if made.trials:
        yield f"trials: {', '.join(f'{n} {state}' for state, n in sorted(made.trials.items()))}", ""
    for name, (state, reason) in made.checks.items():
        yield f"check {name}: {state}{f', {reason}' if reason else ''}", STATES.get(state, "")
    if made.gate:
        yield f"the checks together: {made.gate}", STATES.get(made.gate, "")
    for version in made.line.versions:
        yield f"version  {version}", "bold"
    state, reason = made.promotion
    if state:
        yield f"promotion: {state}, {reason}", ""
    if not made.metrics and made.notes:
        yield made.notes, ""
