"""Score: a table is predicted by a registered model, in chunks, and each row is delivered once or rejected aloud."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.runtime import flow_run

from flows import config as configs
from flows import screen, server
from flows.build import build, resolve
from flows.commands import ONLY_KEYS
from flows.config import Composed, Config
from flows.deployed import in_a_deployment, name_of_run
from flows.output import print_json
from flows.overrides import key_of
from flows.pipeline import drain, on_server
from flows.rows_seen import RowsSeen
from flows.tracked import NOWHERE, is_somewhere, uri_of
from tasks import registry, tracking
from tasks.deliver import Delivered, Output
from tasks.refusal import Refusal
from tasks.score import deliver, load, predict
from tasks.score_chunk import Champion
from tasks.score_job import Job, ended
from tasks.source import Source
from tasks.store import check_writable, locked
from tasks.table_file import SUFFIXES
from tasks.table_sql import SqlTable

JOBS = Path("data") / "scores"
KEYS = ONLY_KEYS["score"]


@dataclass(frozen=True)
class Scored:
    """What `finefold score` came to; the keys are public.

    rows: of the table, each of which is scored or rejected. repeated: rows whose key an earlier row has too. output,
    rejects: where they are; rejects is '' where every row fits. monitored: the folder with the summary for the monitor.
    before: rows that an interrupted command had done. seconds: of predicting and delivering.
    """

    model_name: str
    model_version: int
    rows: int
    scored: int
    rejected: int
    repeated: int
    before: int
    output: str
    rejects: str
    monitored: str
    seconds: float
    flow_run_id: str
    prefect_url: str


@dataclass(frozen=True)
class _Asked:
    config: Config
    recorded: dict[str, Any]
    source: Source
    keys: tuple[str, ...]
    output: Output
    tracking_uri: str | None
    name: str


def command(arguments: Sequence[str], begun: float) -> int:
    made = score(arguments, begun=begun)
    print_json(asdict(made), arguments)
    return 0


def score(overrides: Sequence[str], *, begun: float | None = None) -> Scored:
    """Predictions of a table, on a Prefect server that is found, or started for the time of the call.

    overrides: what one would type after `finefold score`. begun: when the command was given, Unix time in seconds; by
    default now. Interrupted, the same call goes on where it stopped.

    Raises:
        Refusal: for whatever the user can mend, all faults of the configuration at once.
    """
    begun = time.time() if begun is None else begun
    _asked(overrides)
    with server.start() as running:
        made = on_server(running, begun, lambda: scoring(list(overrides)))
        drain(running, made.flow_run_id)
    return replace(made, prefect_url=f"{running.ui_url}/runs/flow-run/{made.flow_run_id}")


@flow(name="finefold-score", flow_run_name=partial(name_of_run, "score"), persist_result=False)
@in_a_deployment
def scoring(overrides: list[str]) -> Scored:
    """`overrides` are what one would type after `finefold score`:
    `["model_name=sold", "source=file", "source.path=new.parquet", "predictions.path=out.parquet"]`."""
    asked = _asked(overrides)
    version = _version(asked)
    place = hashlib.sha256(asked.output.shown.encode()).hexdigest()[:16]
    with locked(JOBS / place, f"{asked.output.shown}: another process is scoring into it; wait for it to end."):
        if (known := ended(JOBS / place, str(flow_run.id or ""))) is not None:
            return Scored(**known)
        job, said = Job.of(JOBS / place, _decides(asked, version))
        asked.output.check(job)
        for note in filter(None, [said]):
            screen.say(note, "yellow")
        config = asked.config
        champion = load(
            asked.name, version, asked.tracking_uri, asked.keys, config.predictions.interval, config.allow_packages
        )
        screen.say_notes(f"{asked.name} version {version} scores {asked.source.name}", champion.notes)
        begun = time.monotonic()
        with RowsSeen(getattr(asked.source, "n_rows", None)) as seen:
            n_rows = predict(asked.source, champion, job, seen.told, _say)
        done = deliver(job, champion, asked.output, n_rows, asked.source.name)
        made = _made(asked, champion, n_rows, seen.n_before, done, time.monotonic() - begun)
        _tell(made)
        create_table_artifact([_row(made)], key="scored", description=f"{made.scored:,} rows by {asked.name} {version}")
        job.end(made.flow_run_id, asdict(made))
    return made


def _asked(overrides: Sequence[str]) -> _Asked:
    """
    Raises:
        Refusal: all faults at once, before anything is read.
    """
    composed = configs.compose(overrides)
    config, faults = composed.config, faults_of(composed, overrides)
    uri = uri_of(config)
    if not is_somewhere(uri):
        faults.append(NOWHERE)
    try:
        source: Source = build(configs.source_node(config), "source", config.allow_packages)
    except Refusal as refusal:
        raise Refusal(*faults, *refusal.faults) from None
    if faults:
        raise Refusal(*faults)
    name = str(config.model_name)
    registry.check_name(name)
    tracking.check(uri)
    return _Asked(config, composed.recorded, source, configs.roles(config).key, _output(config), uri, name)


def faults_of(composed: Composed, overrides: Sequence[str]) -> list[str]:
    """All that is wrong with what was asked, before anything is looked at."""
    config, given = composed.config, composed.config.predictions
    faults = [
        f"{text}: score looks at {', '.join(KEYS)} alone; leave it out."
        for text in overrides
        if key_of(text) not in KEYS
    ]
    if config.model_name is None:
        faults.append("score needs the name that models are registered under: model_name=NAME.")
    if "source" not in {key_of(text) for text in overrides}:
        faults.append("score needs a table: source=file source.path=FILE, or source=sql.")
    if (given.path is None) == (given.url is None):
        faults.append("predictions need one place: predictions.path=FILE, or predictions.url and predictions.table.")
    if (given.url is None) != (given.table is None):
        faults.append("predictions.url and predictions.table go together: give both, or predictions.path.")
    files = {"path": given.path, "rejects": given.rejects}
    for key, path in ((f"predictions.{name}={path}", path) for name, path in files.items() if path is not None):
        if "://" in path:
            faults.append(f"{key}: predictions go into a file of this machine, or a database by predictions.url.")
        elif Path(path).suffix not in SUFFIXES:
            faults.append(f"{key}: its name must end in {' or '.join(SUFFIXES)}.")
        elif _same(path, composed.recorded["source"].get("path")):
            faults.append(f"{key}: that is the table itself; name another file.")
    if _same(given.path, given.rejects):
        faults.append(f"predictions.rejects={given.rejects}: that is where the predictions go; name another file.")
    return faults


def _same(one: str | None, other: str | None) -> bool:
    """Whether both are given, and name one file."""
    return None not in (one, other) and len({Path(str(path)).expanduser().resolve() for path in (one, other)}) == 1


def _output(config: Config) -> Output:
    """
    Raises:
        Refusal: for folders that can't be written, and an environment variable that isn't set.
    """
    given = config.predictions
    path = None if given.path is None else Path(given.path).expanduser().absolute()
    table = None if given.url is None else SqlTable(resolve(given.url, "predictions.url"), str(given.table))
    if given.rejects is not None:
        rejects = Path(given.rejects).expanduser().absolute()
    elif path is not None:
        rejects = path.with_suffix(f".rejects{path.suffix}")
    else:
        rejects = Path(f"{given.table}.rejects.parquet").absolute()
    for folder in {one.parent for one in (path, rejects) if one is not None}:
        _make(folder)
    return Output(path, table, rejects, given.if_exists)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(f"{folder}/ can't be made: {error.strerror}; name a file in another folder.") from error
    check_writable(folder)


def _version(asked: _Asked) -> int:
    with tracking.refusing(asked.tracking_uri):
        client, _ = tracking.connect(asked.tracking_uri)
        return registry.version_of(client, asked.name, asked.config.predictions.version, "predictions.version")


def _decides(asked: _Asked, version: int) -> dict[str, Any]:
    """All that decides what comes out, without secrets."""
    source = {key: value for key, value in asked.recorded["source"].items() if value is not None}
    return {
        "model": [asked.name, version, asked.tracking_uri and tracking.without_password(asked.tracking_uri)],
        "source": source,
        "predictions": {**asked.recorded["predictions"], "version": version},
    }


def _say(text: str) -> None:
    screen.say(f"  - {text}")


def _made(asked: _Asked, champion: Champion, n_rows: int, n_before: int, done: Delivered, seconds: float) -> Scored:
    return Scored(
        model_name=champion.name,
        model_version=champion.version,
        rows=n_rows,
        scored=done.n_scored,
        rejected=done.n_rejected,
        repeated=done.n_repeated,
        before=n_before,
        output=asked.output.shown,
        rejects=done.rejects,
        monitored=done.monitored,
        seconds=seconds,
        flow_run_id=str(flow_run.id or ""),
        prefect_url=str(flow_run.ui_url or ""),
    )


def _tell(made: Scored) -> None:
    speed = (made.rows - made.before) / max(made.seconds, 1e-9)
    screen.say(
        f"{made.rows:,} rows in: {made.scored:,} scored, {made.rejected:,} rejected; {made.seconds:.1f} s, "
        f"{speed:,.0f} rows a second",
        "bold",
    )
    if made.repeated:
        have = "row has" if made.repeated == 1 else "rows have"
        screen.say(f"{made.repeated:,} {have} a key that an earlier row has too; each has its prediction", "yellow")
    for what, where in (("output", made.output), ("rejects", made.rejects), ("monitor", made.monitored)):
        if where:
            screen.say(f"{what:<9}{where}")


def _row(made: Scored) -> dict[str, Any]:
    told = ("model_name", "model_version", "rows", "scored", "rejected", "repeated", "output", "rejects", "monitored")
    return {**{key: getattr(made, key) for key in told}, "seconds": round(made.seconds, 1)}
