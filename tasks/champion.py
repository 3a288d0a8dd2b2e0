"""Champion: the registered model of a name that is in use, with its files, and what was last begun about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tasks import aliases, base_folder, provenance, registry
from tasks.records import HoldoutScore
from tasks.remedy import Action, Last

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

LAST_TAG = "finefold.monitor"  # of the registered model: the remedy that its monitor began last


@dataclass(frozen=True)
class Champion:
    """folder: its files. experiment_id: of the run that it came out of. client, uri: of the registry that it is in."""

    name: str
    version: int
    folder: Path
    experiment_id: str
    client: MlflowClient
    uri: str


def champion(
    client: MlflowClient, uri: str, name: str, into: Path, allow_packages: Sequence[str] = ()
) -> Champion | None:
    """The champion of the name, its files fetched into a folder; None where no version is it.

    Raises:
        Refusal: where there is no such model, or its files can't be fetched or aren't safe to read.
    """
    registry.check_registered(client, name)
    number = aliases.standing(client, name).champion
    if number is None:
        return None
    folder = base_folder.model_in(registry.download(f"models:/{name}/{number}", uri, into), "champion")
    base_folder.check(folder, f"models:/{name}/{number}", allow_packages)
    run = client.get_run(str(client.get_model_version(name, str(number)).run_id))
    return Champion(name, number, folder, run.info.experiment_id, client, uri)


def judged(folder: Path) -> tuple[str, HoldoutScore] | None:
    """The metric that the model was selected on, and its score on the holdout, where rows have no weights as those that
    are scored have none; None for a model that doesn't tell."""
    known = provenance.read(folder)
    if known is None or known.metric is None or known.metric not in known.scores:
        return None
    told = known.unweighted or known.scores[known.metric]
    score = {key: nan if value is None else value for key, value in told.items()}
    return known.metric, HoldoutScore(**score)


def last_of(client: MlflowClient, name: str) -> Last | None:
    """The remedy that was begun last for the name."""
    text = client.get_registered_model(name).tags.get(LAST_TAG)
    if not text:
        return None
    kept = json.loads(text)
    return Last(cast(Action, kept["action"]), kept["version"], datetime.fromisoformat(kept["time"]))


def remember(client: MlflowClient, name: str, last: Last) -> None:
    """Notes in the registry, which survives data/ and which all machines share, that a remedy was begun."""
    kept = {"action": last.action, "version": last.version, "time": last.time.isoformat(timespec="seconds")}
    client.set_registered_model_tag(name, LAST_TAG, json.dumps(kept))
