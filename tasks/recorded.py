"""What MLflow has recorded of a finished run, for it to be reproduced."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.named_run import named_run
from tasks.parent_run import COMPARISON_TAG
from tasks.refusal import Refusal
from tasks.tracking import PARENT_TAG, STUDY_TAG, connect
from tasks.trial_log import TRIAL_TAG

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

OUTCOME, PREDICTIONS, CONFIG = "outcome.json", "predictions.parquet", "config.json"
REPRODUCES_TAG = "finefold.reproduces"


@dataclass(frozen=True)
class Recorded:
    """A run as it was recorded. config: resolved, with secrets as `${oc.env:NAME}`. outcome: see `flows/outcome.py`.
    predictions: a Parquet file of what was predicted for the holdout, or None where that is gone."""

    run_id: str
    name: str
    overrides: tuple[str, ...]
    config: dict[str, Any]
    outcome: dict[str, Any]
    predictions: str | None


def read(named: str, tracking_uri: str | None, into: Path) -> Recorded:
    """The run of this name; its files are copied `into` a folder.

    Raises:
        Refusal: where there is none, it is no finished run of finefold's, or what it recorded is gone.
    """
    client, uri = connect(tracking_uri)
    run = named_run(client, named, uri, "reproduce")
    _check(run, named)
    asked = _json(client, run, CONFIG, named, into)
    outcome = _json(client, run, f"outcome/{OUTCOME}", named, into)
    predictions = _fetched(client, run.info.run_id, f"outcome/{PREDICTIONS}", into)
    name = str(run.info.run_name)
    return Recorded(run.info.run_id, name, tuple(asked["overrides"]), asked["config"], outcome, predictions)


def _check(run: Run, named: str) -> None:
    tags, status, run_id = run.data.tags, run.info.status, run.info.run_id
    if run.info.lifecycle_stage == "deleted":
        raise Refusal(f"reproduce {named}: run {run_id} was deleted; restore it: mlflow runs restore --run-id {run_id}")
    if TRIAL_TAG in tags:
        raise Refusal(f"reproduce {named}: that is one trial of run {tags.get(PARENT_TAG)}; reproduce that one.")
    if (original := tags.get(REPRODUCES_TAG)) is not None:
        raise Refusal(f"reproduce {named}: that run is itself a reproduction; reproduce {original}, as it did.")
    if COMPARISON_TAG in tags:
        raise Refusal(f"reproduce {named}: that run holds those of a {tags['kind']}; name one of them.")
    if STUDY_TAG not in tags:
        raise Refusal(f"reproduce {named}: that is no run of finefold's ({run.info.run_name}); name one that is.")
    if status != "FINISHED":
        raise Refusal(
            f"reproduce {named}: that run is {status}, and has no result to compare with; the command that began it "
            "goes on with it, and then it can be reproduced."
        )


def _json(client: MlflowClient, run: Run, path: str, named: str, into: Path) -> dict[str, Any]:
    file = _fetched(client, run.info.run_id, path, into)
    if file is None:
        raise Refusal(
            f"reproduce {named}: {path} of run {run.info.run_id} is gone, or a rung or an earlier version never wrote "
            "it; without it there is nothing to reproduce by. Restore the run's artifacts, or name another run."
        )
    try:
        found: dict[str, Any] = json.loads(Path(file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise Refusal(f"reproduce {named}: {path} of run {run.info.run_id} can't be read: {error}.") from error
    return found


def _fetched(client: MlflowClient, run_id: str, path: str, into: Path) -> str | None:
    """The file on this machine, or None where it isn't there."""
    from mlflow.exceptions import MlflowException

    try:
        found = Path(client.download_artifacts(run_id, path, str(into)))
    except (MlflowException, OSError):
        return None
    return str(found) if found.is_file() else None
