"""A run in MLflow that holds others: those of a comparison, of a ladder of strategies, or of a replay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.tracking import PARENT_TAG, Tracker, experiment_of

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

    kind: `comparison`, `ladder` or `replay`. begun: Unix time in seconds. To be called with the lock of what has this
    digest held: then no earlier run of it has a living process.
    """
    experiment_id = experiment_of(client, uri, experiment, root)
    running = f"tags.`{COMPARISON_TAG}` = '{comparison}' and attributes.status = 'RUNNING'"
    for run in client.search_runs([experiment_id], running):
        client.set_terminated(run.info.run_id, "KILLED")
    all_tags = {"kind": kind, COMPARISON_TAG: comparison, **tags}
    made = client.create_run(experiment_id, start_time=int(begun * 1000), tags=all_tags, run_name=name)
    return Tracker(client, uri, experiment_id, made.info.run_id, is_resumed=False)


@contextmanager
def child(parent: Tracker, digest: str, name: str, tags: Mapping[str, str]) -> Iterator[Tracker]:
    """A run below the parent, for one part of what has this digest, ended as finished or failed. One that a kill left
    running ends with the next parent of that digest, see `begin`."""
    own = {PARENT_TAG: parent.run_id, COMPARISON_TAG: digest, **tags}
    made = parent.client.create_run(parent.experiment_id, tags=own, run_name=name)
    tracker = Tracker(parent.client, parent.uri, parent.experiment_id, made.info.run_id, is_resumed=False)
    try:
        yield tracker
    except BaseException:
        tracker.finish("FAILED")
        raise
    tracker.finish()
