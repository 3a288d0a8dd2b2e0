"""What MLflow says of what may go: which runs need which folders of data/, what their trials left, and old versions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlparse
from urllib.request import url2pathname

from tasks import monitor_run
from tasks.aliases import REPLACED_TAG
from tasks.refusal import Refusal
from tasks.tracking import PARENT_TAG, STUDY_TAG, said_by
from tasks.trial_log import TRIAL_TAG

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

Client: TypeAlias = "MlflowClient"  # for those who only hand it on
DATA_TAG, SPLIT_TAG, BASE_TAG = "finefold.data", "finefold.split", "finefold.base"
OVER = ("FINISHED", "KILLED")  # of any other a study may still go on
MODELS = "models:/"
LOGGED = f"{MODELS}m-"  # a model as a run logged it, by its id; else a version, NAME/NUMBER


@dataclass(frozen=True)
class Made:
    """A run, and what of data/ it used. ended: Unix time in seconds, of its begin where it never ended. is_over:
    whether its study can't go on."""

    run_id: str
    study: str
    data: str
    split: str
    overrides: str
    ended: float
    is_over: bool


@dataclass(frozen=True)
class Stored:
    """Files that MLflow keeps. name: what is shown. address: where they are. version: name and number of a registered
    one. megabytes: None where they are on another machine."""

    name: str
    address: str
    used: float
    megabytes: float | None
    version: tuple[str, str] | None = None


def made_by_runs(client: MlflowClient) -> list[Made]:
    """All runs of all experiments that track a study, the newest first."""
    found: list[Run] = []
    token = None
    every = [one.experiment_id for one in client.search_experiments()]
    while True:
        page = client.search_runs(every, f"tags.`{STUDY_TAG}` LIKE '%'", page_token=token,
                                  order_by=["attributes.start_time DESC"])  # fmt: skip
        found += page
        if not (token := page.token):
            return [_made(run) for run in found]


def _made(run: Run) -> Made:
    tags, known = run.data.tags, run.info
    return Made(
        known.run_id, tags[STUDY_TAG], tags.get(DATA_TAG, ""), tags.get(SPLIT_TAG, ""),
        run.data.params.get("overrides", ""), (known.end_time or known.start_time) / 1000, known.status in OVER,
    )  # fmt: skip


def versions(client: MlflowClient) -> tuple[list[ModelVersion], list[ModelVersion]]:
    """All versions of all registered models: those that are needed, by an alias (champion, previous_champion,
    challenger, or one of the user's), by a rollback, or as the base of one that is, or that have the same files as one
    that is; and the others."""
    found: list[ModelVersion] = []
    token = None
    while True:
        page = client.search_model_versions(page_token=token)
        found += page
        if not (token := page.token):
            break
    named = {one.name: set(map(str, one.aliases.values())) for one in client.search_registered_models()}
    needed = {f"{MODELS}{one.name}/{one.version}" for one in found if str(one.version) in named.get(one.name, ())}
    by_address = {f"{MODELS}{one.name}/{one.version}": one for one in found}
    todo = list(needed)
    while todo:  # the bases of what is needed, and theirs
        one = by_address[todo.pop()]
        replaced = one.tags.get(REPLACED_TAG)
        for of in (one.tags.get(BASE_TAG, ""), f"{MODELS}{one.name}/{replaced}" if replaced else "", str(one.source)):
            if of in by_address and of not in needed:
                needed.add(of)
                todo.append(of)
    files = {str(by_address[address].source) for address in needed} | needed
    is_needed = {address: address in needed or str(one.source) in files for address, one in by_address.items()}
    return ([one for address, one in by_address.items() if is_needed[address]],
            [one for address, one in by_address.items() if not is_needed[address]])  # fmt: skip


def of_trials(client: MlflowClient, runs: Sequence[Made]) -> Iterator[Stored]:
    """What the trials of these runs left as files: adapters, errors."""
    every = [one.experiment_id for one in client.search_experiments()]
    for run in runs:
        token, asked = None, f"tags.`{PARENT_TAG}` = '{run.run_id}' and tags.`{TRIAL_TAG}` LIKE '%'"
        while True:
            page = client.search_runs(every, asked, page_token=token)
            for trial in page:
                size = _megabytes(trial.info.artifact_uri)
                if size != 0 and (size is not None or client.list_artifacts(trial.info.run_id)):
                    name = f"{trial.info.run_name} of run {run.run_id}"
                    yield Stored(name, trial.info.artifact_uri, run.ended, size)
            if not (token := page.token):
                break


def of_looks(client: MlflowClient, before: float, last: int) -> Iterator[Stored]:
    """What the monitor's runs that ended before (Unix time in seconds) left as files, but for the newest ones."""
    every = [one.experiment_id for one in client.search_experiments()]
    token, asked, n_seen = None, f"tags.kind = '{monitor_run.KIND}'", 0
    while True:
        page = client.search_runs(every, asked, page_token=token, order_by=["attributes.start_time DESC"])
        for look in page:
            n_seen += 1
            used = (look.info.end_time or look.info.start_time) / 1000
            size = _megabytes(look.info.artifact_uri)
            if n_seen > last and used < before and (size is None or size > 0):
                yield Stored(f"{look.info.run_name} {look.info.run_id}", look.info.artifact_uri, used, size)
        if not (token := page.token):
            return


def of_version(client: MlflowClient, version: ModelVersion) -> Stored:
    """The files of a registered version."""
    address = client.get_model_version_download_uri(version.name, version.version)
    used = version.last_updated_timestamp or version.creation_timestamp
    name = f"{version.name} {version.version}"
    return Stored(name, address, used / 1000, _megabytes(address), (version.name, str(version.version)))


def _megabytes(address: str) -> float | None:
    """Of the files at an address on this machine; None on another."""
    place = urlparse(address)
    if place.scheme not in ("", "file"):
        return None
    folder = Path(url2pathname(place.path))
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def remove(client: MlflowClient, stored: Stored) -> None:
    """Its files, and then the version of them where it is one; what failed halfway can be asked for again.

    Raises:
        Refusal: where they can't be removed.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        get_artifact_repository(stored.address).delete_artifacts()  # type: ignore[no-untyped-call]  # MLflow's
        if stored.version is not None:
            source = str(client.get_model_version(*stored.version).source)
            client.delete_model_version(*stored.version)
            if source.startswith(LOGGED):
                client.delete_logged_model(source.removeprefix(MODELS))
    except (MlflowException, OSError, NotImplementedError) as error:
        raise Refusal(f"{stored.name} stays: {said_by(error)}") from error
