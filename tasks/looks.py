"""Looks at a sealed holdout: how many models were scored against it, and by which MLflow runs.

Every further model that is compared by the same rows makes the best of their scores a little luckier. A look is noted
before the labels are opened and counted after it was noted, so that two runs at once may both count two, and neither is
lost; runs that were deleted since have looked as well.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from tasks.row_hash import unsalted
from tasks.tracking import Tracker

if TYPE_CHECKING:
    from mlflow.entities import Run

HOLDOUT_TAG, LOOK_TAG = "finefold.holdout", "finefold.look."  # the latter with the model's digest behind it


def holdout_digest(labels: Path, target: str, seed: int) -> str:
    """Of the held rows, whatever their order, their salt and the folds of the others; no label is read.

    labels: a file with the rows' stable hashes in the column `hash`, salted by the seed, and their `time` where they
    have one: rows of one group or key share a hash.
    """
    known = [name for name in ("hash", "time") if name in pq.read_schema(labels).names]
    rows = pq.read_table(labels, columns=known).to_pandas()
    rows["hash"] = unsalted(rows["hash"].to_numpy(), seed)
    ordered = rows.sort_values(known)
    return _digest(b"".join(ordered[name].to_numpy().tobytes() for name in known), target.encode())


def model_digest(prediction: npt.NDArray[np.float64], folder: Path) -> str:
    """Of all that the labels can tell of a model: what it predicts for the held rows, (n,) or (n, n_classes), and by
    which rule it decides. folder: the model's."""
    rule = folder / "decision.json"
    return _digest(prediction.astype(np.float32).tobytes(), rule.read_bytes() if rule.exists() else b"")


def _digest(content: bytes, more: bytes) -> str:
    return hashlib.sha256(hashlib.sha256(content).digest() + more).hexdigest()[:16]


def note(tracker: Tracker, holdout: str, model: str) -> tuple[str, ...]:
    """Notes that the tracker's run looks at the holdout with the model; gives the runs of all looks so far, one for
    each model, the earliest first. A model that was scored before is no new look."""
    known = tracker.client.get_run(tracker.run_id).data.tags
    if LOOK_TAG + model not in known:
        tracker.tags({HOLDOUT_TAG: holdout, LOOK_TAG + model: repr(time.time())})
    first: dict[str, tuple[float, str]] = {}
    for run in _runs(tracker, holdout):
        for key, when in run.data.tags.items():
            if key.startswith(LOOK_TAG):
                look = (float(when), run.info.run_id)
                first[key] = min(first.get(key, look), look)
    return tuple(run_id for _, run_id in sorted(first.values()))


def _runs(tracker: Tracker, holdout: str) -> Iterator[Run]:
    """Of every experiment, the deleted ones too."""
    from mlflow.entities import ViewType

    every = [it.experiment_id for it in tracker.client.search_experiments(view_type=ViewType.ALL)]
    token, asked = None, f"tags.`{HOLDOUT_TAG}` = '{holdout}'"
    while True:
        page = tracker.client.search_runs(every, asked, ViewType.ALL, page_token=token)
        yield from page
        if not (token := page.token):
            return
