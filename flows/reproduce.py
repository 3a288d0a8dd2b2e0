"""Reproduce: a run once more as it was recorded, and whether the same came out."""

from __future__ import annotations

import tempfile
import textwrap
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import flow
from prefect.runtime import flow_run
from rich.markup import escape
from rich.table import Table

from flows import config as configs
from flows import narrate, screen, server
from flows.budget import Budget
from flows.commands import FAILED, ONLY_KEYS
from flows.conclude import concluded
from flows.config import Composed
from flows.decide import Job
from flows.evaluation import corrected_score, on_holdout
from flows.final import Final, final
from flows.outcome import circumstances, outcome, plain, read_predictions
from flows.output import print_json
from flows.overrides import key_of
from flows.pipeline import drain, on_server, with_frame
from flows.record import tagged
from flows.searching import DATA, job_from, search, studying, tracked
from flows.tracked import uri_of
from tasks import recorded as records
from tasks.recorded import Recorded
from tasks.records import Affordable, Evaluation, jsonable
from tasks.refusal import Refusal, did_you_mean
from tasks.reproduction import Difference, Reproduction, causes, how_far_apart, n_results, of_results, why
from tasks.store import locked, remove_folder

if TYPE_CHECKING:
    import pandas as pd

GIVEN = ONLY_KEYS["reproduce"]
FILES = ("source.path", "holdout.path", "source_data")
ROOT = DATA / "reproduced"
MOST_SHOWN = 15


def command(arguments: Sequence[str], begun: float) -> int:
    """0 where the same came out, 1 where something differs."""
    if not arguments or "=" in arguments[0]:
        raise Refusal("reproduce needs one run: finefold reproduce RUN_ID, or models:/NAME@champion.")
    made = reproduce(arguments[0], arguments[1:], begun=begun)
    say(made)
    print_json(asdict(made), [text for text in arguments[1:] if text.startswith("output=")])
    return 0 if made.is_equal else FAILED


def reproduce(
    named: str, overrides: Sequence[str] = (), *, frame: pd.DataFrame | None = None, begun: float | None = None
) -> Reproduction:
    """The run of this name once more, from what was recorded of it, in a study of its own that is removed at the end;
    nothing is registered, and no earlier study, run or model changes.

    named: the id of a run, at least four letters of its beginning, `models:/NAME/3` or `models:/NAME@champion`.
    overrides: of `GIVEN` alone, such as `source.path=` where the table has moved. frame: the table, where the run was
    given one from Python. begun: when the command was given, Unix time in seconds; by default now.

    A run whose time was over is as long as it was: as many trials as were told, and as many rounds in the final fit.

    Raises:
        Refusal: where that can't be done: the run isn't there or not finished, or what it read is gone.
    """
    begun = time.time() if begun is None else begun
    if faults := [_fault(text) for text in overrides if key_of(text) not in GIVEN]:
        raise Refusal(*faults)
    with tempfile.TemporaryDirectory(prefix="finefold-recorded-") as into:
        known = records.read(named, _tracking_uri(overrides), Path(into))
        composed = _composed(known, [*overrides, *([] if frame is None else [with_frame([], frame)[1]])])
        with server.start() as running:
            flow_run_id, made = on_server(running, begun, lambda: again(known, composed))
            drain(running, flow_run_id)
    return replace(made, seconds=time.time() - begun)


def _fault(text: str) -> str:
    key = key_of(text)
    return (
        f"{text}: a run is reproduced as it was recorded; what can be given decides no result"
        f"{did_you_mean(key, GIVEN)} {', '.join(GIVEN)}."
    )


def _tracking_uri(overrides: Sequence[str]) -> str | None:
    return uri_of(configs.compose([text for text in overrides if key_of(text) == "tracking.uri"]).config)


def _composed(known: Recorded, given: Sequence[str]) -> Composed:
    """The recorded configuration with what was given, and its base by content.

    Raises:
        Refusal: where a file is gone; all of them at once.
    """
    keys = {key_of(text) for text in given}
    # What an earlier study gave is recorded; that study may have gone on since, or be gone.
    changes = ["resume=auto", "output=text", "search.warm_start=null"]
    changes += [] if keys & {"tracking.uri"} else ["tracking.uri=null"]
    changes += [] if "base" in keys else _base(known)
    moved = {key: _place_of(known, key) for key in FILES if key not in keys}
    if gone := [_gone(known, key) for key, place in moved.items() if place is None]:
        raise Refusal(*gone)
    changes += [f"{key}={place}" for key, place in moved.items() if place]
    return configs.recomposed(known.config, known.overrides, known.outcome["choices"], [*changes, *given])


def _base(known: Recorded) -> list[str]:
    """The base's copy by content where it is still there, else the version that its alias stood for."""
    base = known.outcome["base"]
    if base is None:
        return []
    is_there = Path(base["folder"]).is_dir() and known.config["source_data"] is None
    return [f"base={base['folder'] if is_there else base['named']}"]


def _value(config: dict[str, Any], key: str) -> Any:
    for name in key.split("."):
        config = config.get(name) or {}
    return config or None


def _place_of(known: Recorded, key: str) -> str | None:
    """Where a recorded file is now, from the folder that the run was in if it isn't below this one; '' where there is
    none or nobody can tell, None where it is gone."""
    path = _value(known.config, key)
    if not isinstance(path, str) or "://" in path or "${" in path or Path(path).expanduser().exists():
        return ""
    there = Path(known.outcome["place"]) / path
    return str(there) if there.exists() else None


def _gone(known: Recorded, key: str) -> str:
    path = str(_value(known.config, key))
    is_frame = path.startswith(f"{DATA / 'frames'}/")
    remedy = "reproduce(..., frame=FRAME) gives it again" if is_frame else f"if it was moved: {key}=NEW/PATH"
    return f"{key}={path}: the table of run {known.run_id} isn't there any more; {remedy}."


def _name_of_flow_run() -> str:
    return f"reproduce-{flow_run.parameters['known'].name}"


@flow(name="finefold-reproduce", flow_run_name=_name_of_flow_run, persist_result=False, validate_parameters=False)
def again(known: Recorded, composed: Composed) -> tuple[str, Reproduction]:
    """The run again, with as many trials as were told, and the id of the flow run."""
    job, base = job_from(composed, is_told=False)
    warm = [(name, values) for name, values in known.outcome["identity"].get("warm_start", ())]
    space = replace(job.plan.space, warm=warm)
    job = replace(job, plan=replace(job.plan, n_trials=known.outcome["trials"], space=space))
    because = causes(known.outcome, plain(circumstances(job, base)))
    other = [one for one in because if one.what in ("identity.data", "identity.split")]
    if other:
        size = f"{known.outcome['rows']:,} rows then, {job.prepared.n_rows:,} now"
        notes = (*why(other, because), size, "so it is another run, and its search was spared")
        return str(flow_run.id), Reproduction(known.run_id, False, 0, tuple(other), because, notes, None, 0.0)
    screen.say(f"{job.prepared.name}: the table, its holdout and its folds are those of run {known.run_id}")
    with _apart(job, base, known) as (reproduced, ended, evaluation):
        return str(flow_run.id), _compared(known, because, outcome(job, ended, evaluation), evaluation, reproduced)


@contextmanager
def _apart(job: Job, base: Path | None, known: Recorded) -> Iterator[tuple[str, Final, Evaluation]]:
    """The search, the final fit and its evaluation in a study apart, which is there for the time of the block, and in
    an MLflow run that names the one it reproduces; nothing is registered."""
    root = ROOT / known.run_id
    tags = {records.REPRODUCES_TAG: known.run_id, "mlflow.source.name": "finefold reproduce"}
    with locked(root, f"another process reproduces run {known.run_id}; wait for it."), tagged(tags):
        remove_folder(root / "study")  # of a reproduction that was killed
        try:
            with (
                studying(job, base, root / "study", "reproduced-") as (study, experiment),
                tracked(job, study) as tracking_,
            ):
                study.remember("population", known.outcome["population"])
                fitted = known.outcome["final"]
                budget = Budget(
                    time.time(), None, known.outcome["threads"], _course(fitted), fitted.get("cut_at"),
                    dict(fitted.get("hurried", ())), _confirming(known), _completing(known), _whole(known),
                    (known.outcome["ensemble"] or {}).get("is_cut", False),
                    (known.outcome["ensemble"] or {}).get("left_out", ()),
                )  # fmt: skip
                tuned, _ = search(job, experiment, study, tracking_, budget)
                narrate.say_what_won(job, tuned)
                ended, tracker = final(job, experiment, tuned, budget), tracking_.result()
                trained = concluded(job, experiment, ended.trained, ended.members).trained
                corrected = corrected_score(job, experiment, ended.tuned)
                yield tracker.run_id, ended, replace(on_holdout(job, trained, tracker), corrected=corrected)
        finally:
            remove_folder(root / "study")


def _course(fitted: Mapping[str, Any]) -> Affordable | None:
    """What its final fit was to be; older runs say the rounds alone, of one model."""
    course = fitted.get("course")
    return course if course is None else Affordable(**course) if isinstance(course, dict) else Affordable(course)


def _confirming(known: Recorded) -> dict[str, Collection[int]]:
    """Of each family the folds on which the run had time to judge its best on all their rows."""
    outcome_ = known.outcome
    if "judged" in outcome_:
        return dict(outcome_["judged"])
    if outcome_.get("rows_of_folds") is not None:  # of an earlier version, which judged the winner alone
        return {}
    return {outcome_["hyperparameters"]["model"]: [int(name.removeprefix("fold ")) for name in outcome_["folds"]]}


def _whole(known: Recorded) -> list[int]:
    """The members of its ensemble that the run had time to fit on all rows, by their trials."""
    members = (known.outcome["ensemble"] or {}).get("members", [])
    return [member["trial"] for member in members if member.get("is_of_all_rows")]


def _completing(known: Recorded) -> dict[int, Collection[int]]:
    """Of each member of its ensemble, by its trial, the folds on which the run had time to judge it."""
    return {int(number): folds for number, folds in known.outcome.get("completed", {}).items()}


def _compared(
    known: Recorded, because: tuple[Difference, ...], now: dict[str, Any], evaluation: Evaluation, reproduced: str
) -> Reproduction:
    found = of_results(known.outcome, plain(jsonable(now)))
    notes = why(found, because)
    if any(one.what == "predictions" for one in found):
        notes.append(how_far_apart(known.predictions, read_predictions(evaluation)))
    if known.config.get("evaluation") == "nested":
        notes.append("nested cross-validation, as dear as the run itself, was not repeated")
    return Reproduction(
        known.run_id, not found, n_results(known.outcome), found, because, tuple(notes), reproduced, 0.0
    )


def say(made: Reproduction) -> None:
    """What came of it, on the screen."""
    if made.is_equal:
        screen.say(f"equal: all {made.checked} results of run {made.run_id} came out again, bit for bit", "bold green")
    else:
        n = len(made.differences)
        of = f" of {made.checked} results" if made.checked else ""
        screen.say(f"differs from run {made.run_id}: {n}{of}", "bold red")
        screen.console().print(_table("what differs", made.differences))
    for note in made.notes:
        screen.say(f"  - {note}")
    if made.causes and not made.is_equal:
        screen.console().print(_table("what was not the same to begin with", made.causes))
    elif made.causes:
        screen.say(f"though {', '.join(one.what for one in made.causes[:MOST_SHOWN])} was not the same")


def _table(title: str, found: Sequence[Difference]) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in (title, "recorded", "now"):
        made.add_column(name)
    for one in found[:MOST_SHOWN]:
        made.add_row(escape(one.what), *(escape(textwrap.shorten(str(value), 60)) for value in (one.recorded, one.now)))
    if len(found) > MOST_SHOWN:
        made.add_row(f"and {len(found) - MOST_SHOWN} more", "", "")
    return made
