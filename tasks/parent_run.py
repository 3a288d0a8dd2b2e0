"""A run in MLflow that holds others: those of a comparison, or of a ladder of strategies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.tracking import Tracker, experiment_of

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

COMPARISON_TAG = "finefold.comparison"


def begin(
    client: MlflowClient,
    uri: str,
    experiment: str,
    comparison: str,
    name: str,
    tags: Mapping[str, str],
    begun: float,
    kind: str,
    root: Path = Path("mlruns"),
) -> Tracker:
    """A new run of this kind for what has this digest. One that a kill left running ends as killed: what it holds stays
    with it, and a choice that it had not finished goes on below the new one.

    kind: `comparison` or `ladder`. begun: Unix time in seconds. To be called with the lock of what has this digest
    held: then no earlier run of it has a living process.
    """
    experiment_id = experiment_of(client, uri, experiment, root)
    running = f"tags.`{COMPARISON_TAG}` = '{comparison}' and attributes.status = 'RUNNING'"
    for run in client.search_runs([experiment_id], running):
        client.set_terminated(run.info.run_id, "KILLED")
    all_tags = {"kind": kind, COMPARISON_TAG: comparison, **tags}
    made = client.create_run(experiment_id, start_time=int(begun * 1000), tags=all_tags, run_name=name)
    return Tracker(client, uri, experiment_id, made.info.run_id, is_resumed=False)
