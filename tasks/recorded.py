"""What MLflow has recorded of a finished run, for it to be reproduced."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.parent_run import COMPARISON_TAG
from tasks.refusal import Refusal, did_you_mean
from tasks.registry import RUN_ID
from tasks.tracking import PARENT_TAG, STUDY_TAG, connect, without_password
from tasks.trial_log import TRIAL_TAG

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

OUTCOME, PREDICTIONS, CONFIG = "outcome.json", "predictions.parquet", "config.json"
REPRODUCES_TAG = "finefold.reproduces"
MODEL = re.compile(r"models:/(?P<name>[^@/]+)(?:/(?P<version>\d+)|@(?P<alias>[^@/]+))")
FORMS = "the id of a run, models:/NAME/3 or models:/NAME@champion"


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
    where = without_password(uri)
    run = _run(client, _run_id(client, named, where), named, where)
    _check(run, named)
    asked = _json(client, run, CONFIG, named, into)
    outcome = _json(client, run, f"outcome/{OUTCOME}", named, into)
    predictions = _fetched(client, run.info.run_id, f"outcome/{PREDICTIONS}", into)
    name = str(run.info.run_name)
    return Recorded(run.info.run_id, name, tuple(asked["overrides"]), asked["config"], outcome, predictions)


def _run_id(client: MlflowClient, named: str, where: str) -> str:
    if RUN_ID.fullmatch(named):
        return named
    if found := re.fullmatch(r"runs:/([0-9a-f]{32})(?:/model)?", named):
        return found[1]
    model = MODEL.fullmatch(named)
    if model is None:
        raise Refusal(f"reproduce {named}: not the name of a run; give {FORMS}.")
    return _run_of_model(client, model, named, where)


def _run_of_model(client: MlflowClient, model: re.Match[str], named: str, where: str) -> str:
    from mlflow.exceptions import MlflowException

    name, number, alias = model["name"], model["version"], model["alias"]
    try:
        asked = (name, number) if number else (name, alias)
        of = client.get_model_version if number else client.get_model_version_by_alias
        return str(of(*asked).run_id)
    except MlflowException:
        known = [one.name for one in client.search_registered_models()]
        if name not in known:
            shown = f" Models: {', '.join(sorted(known)[:10])}." if known else ""
            raise Refusal(
                f"reproduce {named}: no model of that name in {where}{did_you_mean(name, known)}{shown}"
            ) from None
        aliases = client.get_registered_model(name).aliases
        numbers = ", ".join(f"@{one} is {version}" for one, version in sorted(aliases.items())) or "no aliases"
        raise Refusal(f"reproduce {named}: {name} has no such version; {numbers}.") from None


def _run(client: MlflowClient, run_id: str, named: str, where: str) -> Run:
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException:
        raise Refusal(
            f"reproduce {named}: there is no such run in {where}; another server or file is named by tracking.uri=."
        ) from None
    if run.info.lifecycle_stage == "deleted":
        raise Refusal(f"reproduce {named}: run {run_id} was deleted; restore it: mlflow runs restore --run-id {run_id}")
    return run


def _check(run: Run, named: str) -> None:
    tags, status = run.data.tags, run.info.status
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
