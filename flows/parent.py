"""Parent: the MLflow run that holds those of several runs, for as long as they take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from flows.plan import Decided
from flows.record import user
from tasks import parent_run, tracking
from tasks.records import Prepared
from tasks.refusal import Refusal
from tasks.tracking import Tracker


@contextmanager
def holding(
    uri: str | None, decided: Decided, prepared: Prepared, kind: str, digest: str, title: str, begun: float
) -> Iterator[Tracker]:
    """A run named by the title, for what has this digest; ended as finished or failed, whatever happens.

    uri: of the tracking server, or None. kind: `comparison` or `ladder`. begun: Unix time in seconds.
    """
    command = {"comparison": "finefold compare", "ladder": "finefold finetune"}[kind]
    tags = {"finefold.data": prepared.digest, "mlflow.source.name": command, "mlflow.user": user()}
    with tracking.refusing(uri):
        client, used = tracking.connect(uri)
        experiment = decided.composed.config.tracking.experiment
        tracker = parent_run.begin(client, used, experiment, digest, title, tags, begun, kind)
        try:
            yield tracker
        except BaseException:
            with suppress(OSError, Refusal), tracking.refusing(uri):
                tracker.finish("FAILED")
            raise
        tracker.finish()
