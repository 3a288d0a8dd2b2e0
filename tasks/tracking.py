"""MLflow, and nothing else knows it: runs, trials, artifacts, registered models."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.refusal import Refusal
from tasks.served import own_store, served
from tasks.store import check_writable

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

# Set before mlflow is imported: nothing is sent anywhere unasked, and no progress bars between our lines.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # of each trial, where a server is told
    "GIT_PYTHON_REFRESH": "quiet",
    # Waits of 0, 4, 8 ... s between tries, two minutes in all: for a server that is restarted in mid-run.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "6",
}
STUDY_TAG, BUDGET_TAG = "finefold.study", "finefold.trials"
PARENT_TAG = "mlflow.parentRunId"
LOCAL_UI = "http://127.0.0.1:5000"
MAX_POINTS = 100  # of a curve; five curves of so many take 0.1 s on SQLite
DATABASE_ERROR = re.compile(r"\([\w.]*Error\) ")  # as SQLAlchemy writes it
_making = threading.Lock()
MAX_PARAM = 5_900  # MLflow refuses a parameter's value of more than 6,000 characters


@dataclass(frozen=True)
class Tracker:
    """One parent run in one experiment. `is_resumed` says that it goes on with a run that was not finished."""

    client: MlflowClient
    uri: str
    experiment_id: str
    run_id: str
    is_resumed: bool

    @property
    def url(self) -> str:
        """The run's page. Without the query MLflow 3.17 opens its GenAI mode, where a run looks empty."""
        server = without_password(self.uri).rstrip("/") if self.uri.startswith("http") else _pages_of(self.uri)
        return f"{server}/#/experiments/{self.experiment_id}/runs/{self.run_id}?workflowType=machine_learning"

    def params(self, values: Mapping[str, Any]) -> None:
        """Logs what was chosen. A resumed run keeps what it has: MLflow lets no parameter change."""
        from mlflow.entities import Param

        known = self.client.get_run(self.run_id).data.params
        new = [Param(key, str(value)[:MAX_PARAM]) for key, value in values.items() if key not in known]
        for first in range(0, len(new), 100):
            self.client.log_batch(self.run_id, params=new[first : first + 100])

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Logs numbers; those that are none (a metric that isn't defined) are left out."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        numbers = [Metric(key, float(value), now, step) for key, value in values.items() if isfinite(value)]
        for first in range(0, len(numbers), 1_000):  # the most that MLflow takes at a time
            self.client.log_batch(self.run_id, metrics=numbers[first : first + 1_000])

    def series(self, values: Mapping[str, Sequence[tuple[int, float]]]) -> None:
        """Logs numbers that have one value for each of several steps; a curve of many is thinned."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        points = [
            Metric(key, float(value), now, step)
            for key, curve in values.items()
            for step, value in curve[:: max(1, ceil(len(curve) / MAX_POINTS))]
            if isfinite(value)
        ]
        for first in range(0, len(points), 1_000):  # the most that MLflow takes at a time
            self.client.log_batch(self.run_id, metrics=points[first : first + 1_000])

    def tags(self, values: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self.client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in values.items()])

    def json(self, value: Any, path: str) -> None:
        self.client.log_dict(self.run_id, value, path)

    def table(self, frame: pd.DataFrame, path: str) -> None:
        """Logs a table that MLflow's pages show side by side with those of other runs; text as objects, which MLflow
        asks for in a way that pandas warns of where it is text of its own kind."""
        import pandas as pd

        text = {name: object for name, kind in frame.dtypes.items() if isinstance(kind, pd.StringDtype)}
        self.client.log_table(self.run_id, frame.astype(text), path)

    def read_json(self, path: str) -> Any:
        """What `json` logged there; None where there is nothing."""
        if not any(file.path == path for file in self.client.list_artifacts(self.run_id)):
            return None
        with tempfile.TemporaryDirectory() as folder:
            return json.loads(Path(self.client.download_artifacts(self.run_id, path, folder)).read_text("utf-8"))

    def artifacts(self, folder: Path, path: str, only: Sequence[str] = ()) -> None:
        """Logs the files of a folder, or some of them, under a path of the run's artifacts."""
        for file in sorted(folder.iterdir()):
            if file.is_file() and (not only or file.name in only):
                self.client.log_artifact(self.run_id, str(file), path)

    def folder(self, folder: Path, path: str) -> None:
        """Logs a whole folder, with those within it, under a path of the run's artifacts."""
        self.client.log_artifacts(self.run_id, str(folder), path)

    def dataset(self, name: str, digest: str, source: str, profile: Mapping[str, Any]) -> None:
        """Logs which data the run used: name, digest, where from, and its size."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=name,
            digest=digest,
            source_type="finefold",
            source=json.dumps({"source": source}),
            profile=json.dumps(dict(profile)),
        )
        self.client.log_inputs(self.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])

    def finish(self, status: str = "FINISHED") -> None:
        self.client.set_terminated(self.run_id, status)


def without_password(uri: str) -> str:
    """The address as it may be shown."""
    return re.sub(r"://[^/\s]*@", "://", uri)


def said_by(error: Exception) -> str:
    """The first line of what MLflow says, or the one with the database's own error, without the password of the
    address that it repeats."""
    lines = str(error).splitlines()
    return without_password(next((line for line in lines if DATABASE_ERROR.match(line)), lines[0]))


def quieten() -> None:
    """Private and quiet settings, where the user has none of their own; before mlflow is imported."""
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # tracebacks of what is refused in words


def preload(root: Path | None = None) -> None:
    """What the first use of MLflow would do: imports, and under `root`, where it is given, the database, which takes
    two to three seconds each. Where that fails, `connect` will say so."""
    quieten()
    import mlflow.pyfunc
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401  # imported for later alone
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    if root is not None:
        with contextlib.suppress(OSError, SQLAlchemyError, MlflowException):
            _make_database(root / "mlflow.db")


def address(uri: str | None, root: Path = Path("mlruns")) -> str | None:
    """Where runs are tracked: the given address, else MLFLOW_TRACKING_URI, else the server of `finefold up` where that
    keeps runs elsewhere, else None for SQLite and files under `root`, which such a server shows as they are."""
    if uri is not None:
        return uri
    if named := os.environ.get("MLFLOW_TRACKING_URI"):
        return named
    found = served(root)
    return found.url if found and found.store != own_store(root) else None


def _pages_of(uri: str) -> str:
    """The server whose pages show the runs of a database in a file."""
    found = served(Path(uri.removeprefix("sqlite:///")).parent)
    return found.url if found else LOCAL_UI


def check(uri: str | None, root: Path = Path("mlruns")) -> None:
    """Whether runs can be tracked there, without importing MLflow.

    Raises:
        Refusal: when the server does not answer, or the folder can't be written.
    """
    uri = address(uri, root)
    if uri is None:
        check_writable(root)
    elif uri.startswith("http"):
        _check_reachable(uri)
    elif uri.startswith("sqlite:///"):
        check_writable(Path(uri.removeprefix("sqlite:///")).parent)
    elif "://" not in uri:
        raise Refusal(f"tracking.uri={uri} is no address; write http://..., sqlite:///FILE, or leave it out.")


@contextmanager
def refusing(uri: str | None) -> Iterator[None]:
    """Turns what MLflow raises inside the block, when its server goes away, its disk is full or its database is locked,
    into a refusal."""
    quieten()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        used = address(uri)
        where = "mlruns/" if used is None else f"tracking.uri={without_password(used)}"
        raise Refusal(
            f"{where} failed: {said_by(error)} "
            "Nothing is lost: mend it, and the same command goes on from here."
        ) from error


def connect(uri: str | None, root: Path = Path("mlruns")) -> tuple[MlflowClient, str]:
    """A client, and the URI it uses, see `address`; SQLite under `root` is made where it isn't there.

    Raises:
        Refusal: when the server does not answer.
    """
    quieten()
    uri = address(uri, root)
    if uri is None:
        uri = f"sqlite:///{(root / 'mlflow.db').resolve()}"
        _make_database(root / "mlflow.db")
    import mlflow
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    given = {name: value for name, value in os.environ.items() if name == "MLFLOW_TRACKING_URI"}
    mlflow.set_tracking_uri(uri)
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # which MLflow sets; it would look like a choice of the user's
    os.environ |= given
    try:
        client = mlflow.MlflowClient(uri)
        client.search_experiments(max_results=1)  # the first use makes the tables
    except (MlflowException, SQLAlchemyError, OSError) as error:
        login = " Export MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD." if "401" in str(error) else ""
        raise Refusal(f"tracking.uri={without_password(uri)} can't be used: {said_by(error)}{login}") from error
    return client, uri


def _make_database(path: Path) -> None:
    """An empty database, whole or absent: of one that was killed while it made its tables MLflow mends nothing, and
    no later run could use it. One thread of this process makes it, another waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _making:
        if not path.exists():
            _make_tables(path)


def _make_tables(path: Path) -> None:
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

    with tempfile.TemporaryDirectory(prefix=".mlflow-", dir=path.parent) as beside:
        made = Path(beside) / path.name
        engine = create_sqlalchemy_engine(f"sqlite:///{made.resolve()}")  # type: ignore[no-untyped-call]  # of MLflow
        _initialize_tables(engine)  # type: ignore[no-untyped-call]  # of MLflow
        engine.dispose()
        with contextlib.suppress(FileExistsError):  # another first run was quicker
            os.link(made, path)


def newest_schema() -> str:
    """The revision of the tables that this MLflow needs, as `alembic_version` names it."""
    quieten()
    from mlflow.store.db.utils import _get_latest_schema_revision

    return str(_get_latest_schema_revision())  # type: ignore[no-untyped-call]  # of MLflow


def begin(
    client: MlflowClient,
    uri: str,
    experiment: str,
    study: str,
    name: str,
    tags: Mapping[str, str],
    begun: float,
    root: Path = Path("mlruns"),
    *,
    trials: int,
    abandoned: Sequence[str] = (),
) -> Tracker:
    """The run of a study: one of the same budget that was begun and not finished is gone on with, else a new one.

    begun: Unix time in seconds, when the run began. trials: the budget. abandoned: earlier studies that no process
    works on; what is unfinished of these, and of other budgets, ends as killed, with its trials.

    To be called with the study's lock held: then no run of it that isn't finished has a living process.
    """
    experiment_id = experiment_of(client, uri, experiment, root)
    resumed = None
    for run in _unfinished(client, experiment_id, [study, *abandoned]):
        is_same = run.data.tags[STUDY_TAG] == study and run.data.tags.get(BUDGET_TAG) == str(trials)
        if is_same and resumed is None:
            resumed = run
        else:
            _kill(client, run)
    if resumed is not None:
        client.update_run(resumed.info.run_id, status="RUNNING")
        return Tracker(client, uri, experiment_id, resumed.info.run_id, is_resumed=True)
    all_tags = {STUDY_TAG: study, BUDGET_TAG: str(trials), **tags}
    run = client.create_run(experiment_id, start_time=int(begun * 1000), tags=all_tags, run_name=name)
    return Tracker(client, uri, experiment_id, run.info.run_id, is_resumed=False)


def _unfinished(client: MlflowClient, experiment_id: str, studies: Sequence[str]) -> list[Run]:
    """Parent runs of these studies that are neither finished nor given up, the newest first."""
    found: list[Run] = []
    for study in studies:
        asked = f"tags.`{STUDY_TAG}` = '{study}' and attributes.status != 'FINISHED'"
        found += client.search_runs([experiment_id], asked, order_by=["attributes.start_time DESC"])
    return [run for run in found if run.info.status != "KILLED"]


def _kill(client: MlflowClient, run: Run) -> None:
    asked = f"tags.`{PARENT_TAG}` = '{run.info.run_id}' and attributes.status = 'RUNNING'"
    for child in client.search_runs([run.info.experiment_id], asked):
        client.set_terminated(child.info.run_id, "KILLED")
    client.set_terminated(run.info.run_id, "KILLED")


def study_of(run_id: str, uri: str | None) -> str:
    """The name of the study that a run tracks.

    Raises:
        Refusal: when there is no such run, or it tracks none.
    """
    client, used = connect(uri)
    from mlflow.exceptions import MlflowException

    try:
        study = client.get_run(run_id).data.tags.get(STUDY_TAG)
    except MlflowException:
        raise Refusal(f"search.warm_start={run_id}: there is no such run in {without_password(used)}.") from None
    if study is None:
        raise Refusal(f"search.warm_start={run_id}: that run tracks no study; name the parent of its trials' runs.")
    return study


def git_commit() -> str | None:
    """The commit of the repository that the current folder is in, or None."""
    from mlflow.utils.git_utils import get_git_commit

    commit: str | None = get_git_commit(".")
    return commit


def experiment_of(client: MlflowClient, uri: str, name: str, root: Path) -> str:
    """The id of an experiment, which is made where it isn't there.

    Raises:
        Refusal: when it was deleted, or can't be made.
    """
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage == "deleted":
            raise Refusal(f"tracking.experiment={name} was deleted; restore it in MLflow or choose another name.")
        return str(found.experiment_id)
    location = None if uri.startswith("http") else (root / "artifacts").resolve().as_uri()
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except MlflowException as error:
        found = client.get_experiment_by_name(name)  # another run may have made it meanwhile
        if found is not None:
            return str(found.experiment_id)
        raise Refusal(f"tracking.experiment={name} can't be made: {said_by(error)}") from error


def _check_reachable(uri: str) -> None:
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=5):
            return
    except urllib.error.HTTPError:
        return  # it answers; a server behind a login may refuse this page alone
    except (OSError, ValueError) as error:
        raise Refusal(
            f"tracking.uri={without_password(uri)} does not answer ({error}); start the server, or leave "
            "tracking.uri out for SQLite under mlruns/."
        ) from error
