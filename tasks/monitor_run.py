"""A run in MLflow that holds what a look at a model came to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from tasks.tracking import Tracker

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

KIND = "monitor"


def begin(
    client: MlflowClient, uri: str, experiment_id: str, name: str, tags: Mapping[str, str], now: datetime
) -> Tracker:
    """A new run in an experiment that is there."""
    began = int(now.timestamp() * 1000)
    run = client.create_run(experiment_id, start_time=began, tags={"kind": KIND, **tags}, run_name=name)
    return Tracker(client, uri, experiment_id, run.info.run_id, is_resumed=False)
