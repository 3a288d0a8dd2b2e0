"""Examine: where the model fails, by the loss of every row on a prediction of it that was made out of fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import decision as decisions
from tasks import parquet
from tasks.calibration import Curve
from tasks.calibration._calibrated import curve_of
from tasks.decision import Decision, labels_of
from tasks.out_of_fold import by_fold
from tasks.records import Examined, Member, Prepared, Problem
from tasks.store import write_folder
from tasks.study import digest_of
from tasks.workspace import Experiment, training_of

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
N_WORST = 100
OUT_OF_FOLD, WORST = "out_of_fold.parquet", "worst.csv"


@task(name="examine", task_run_name="examine", cache_policy=NO_CACHE, persist_result=False)
def examine(
    experiment: Experiment, prepared: Prepared, members: Sequence[Member], model: Path | None = None
) -> Examined:
    """Every training row that the trials of `members` (the winner alone, or an ensemble) predicted out of fold, with
    its loss, from the worst on; and the hundred worst with their features and keys. No row's weight and no class's is
    in the losses, so that the worst rows are those that are predicted worst.

    The predictions are read fold by fold, the features of the hundred rows alone. model: the folder of the final model,
    whose calibration and decision are then in the predictions too.
    """
    curve, decision = (None, None) if model is None else (curve_of(model), decisions.read(model))
    found = _out_of_fold(experiment, members, curve, decision)
    order = found.rows[np.argsort(-found.loss[found.rows], kind="stable")]
    worst = order[:N_WORST]
    places = _places(Path(experiment.split), Path(prepared.folder), len(found.loss))

    def fill(folder: Path) -> None:
        parquet.write(folder / OUT_OF_FOLD, _batches(found, order, places, experiment.problem))
        shown = _described(_table(found, worst, places, experiment.problem), worst, places, experiment, prepared)
        shown.to_csv(folder / WORST, index=False)

    identity = [[member.proposal.family, member.proposal.hyperparameters, member.weight] for member in members]
    concluded = {} if curve is None and decision is None else {"model": str(model and model.name)}
    of = {"members": identity, "n_rows": members[0].proposal.n_rows, "folds": found.folds}
    name = digest_of({**of, **concluded})
    folder = write_folder(Path(experiment.folder) / "losses" / name, fill)
    total = float(found.loss[order].sum())
    share = float(found.loss[worst].sum()) / total if total else 0.0
    return Examined(str(folder), len(order), len(worst), share)


@dataclass(frozen=True)
class _OutOfFold:
    """folds: that were predicted. y and loss: (n_train,); prediction: (n_train,) or (n_train, n_classes) float32;
    n_folds: (n_train,) how many folds validated a row, over which its prediction and loss are averaged; fold:
    (n_train,) the last of them; decision: by which a row gets its label."""

    y: Floats
    prediction: npt.NDArray[np.float32]
    loss: Floats
    folds: tuple[int, ...]
    n_folds: npt.NDArray[np.uint16]
    fold: npt.NDArray[np.uint16]
    decision: Decision | None

    @property
    def rows(self) -> Rows:
        """The rows that were validated at all."""
        return np.flatnonzero(self.n_folds)


def _out_of_fold(
    experiment: Experiment, members: Sequence[Member], curve: Curve | None, decision: Decision | None
) -> _OutOfFold:
    training, k = training_of(experiment), len(experiment.problem.outputs)
    n = len(training.y)
    total = np.zeros((n, k) if k > 1 else n, np.float32)
    loss, n_folds, last = np.zeros(n), np.zeros(n, np.uint16), np.zeros(n, np.uint16)
    folds = []
    for fold, rows, predicted in by_fold(experiment, members):
        prediction = predicted if curve is None else curve(predicted)
        loss[rows] += experiment.loss.per_sample(training.y[rows], prediction)
        total[rows] += prediction
        n_folds[rows] += 1
        last[rows] = fold
        folds.append(fold)
    often = np.maximum(n_folds, 1)
    total /= often[:, None] if k > 1 else often
    return _OutOfFold(training.y, total, loss / often, tuple(folds), n_folds, last, decision)


def _places(split: Path, prepared: Path, n_train: int) -> tuple[Rows, Rows]:
    """(n_train,) of each training row: its place in the prepared table, and its position in the source, from 0."""
    held = split / "is_held.npy"
    places = np.arange(n_train)
    if held.exists():
        is_held = np.unpackbits(np.load(held)).astype(np.bool_)
        places = np.flatnonzero(~is_held)[:n_train]  # the last byte's spare bits are 0 too
    left = prepared / "places.parquet"
    return places, pd.read_parquet(left)["row"].to_numpy(np.int64)[places] if left.exists() else places


def _table(found: _OutOfFold, rows: Rows, places: tuple[Rows, Rows], problem: Problem) -> pd.DataFrame:
    columns: dict[str, Any] = {"loss": found.loss[rows], "row": places[1][rows]}
    is_once = found.n_folds.max(initial=0) <= 1
    columns |= {"fold": found.fold[rows]} if is_once else {"n_folds": found.n_folds[rows]}
    prediction = found.prediction[rows]
    if problem.is_generation:
        return pd.DataFrame({**columns, "bytes": found.y[rows], "tokens": prediction[:, 1]})
    if not problem.is_classification:
        return pd.DataFrame({**columns, "target": found.y[rows], "prediction": prediction})
    labels = np.array(problem.classes)
    columns |= {"target": labels[found.y[rows].astype(np.int64)]}
    columns |= {"prediction": labels[labels_of(prediction.astype(np.float64), found.decision)]}
    return pd.DataFrame(
        {**columns, **{f"probability_{label}": prediction[:, code] for code, label in enumerate(problem.classes)}}
    )


def _batches(
    found: _OutOfFold, order: Rows, places: tuple[Rows, Rows], problem: Problem
) -> Iterator[pa.RecordBatch]:
    for begin in range(0, max(1, len(order)), parquet.ROWS_IN_GROUP):
        part = _table(found, order[begin : begin + parquet.ROWS_IN_GROUP], places, problem)
        yield pa.RecordBatch.from_pandas(part, preserve_index=False).replace_schema_metadata(None)


def _described(
    table: pd.DataFrame, rows: Rows, places: tuple[Rows, Rows], experiment: Experiment, prepared: Prepared
) -> pd.DataFrame:
    """The table with the rows' keys, where the user gave some, and their features. A name that is there already gets
    its kind behind it."""
    parts = [table]
    keys = Path(prepared.folder) / "keys.parquet"
    sources = [("key", keys, places[0][rows])] if keys.exists() else []
    sources.append(("feature", Path(experiment.split) / "train_features.parquet", rows))
    for kind, path, at in sources:
        ascending = np.sort(at)
        taken = parquet.take(path, ascending).iloc[np.searchsorted(ascending, at)].reset_index(drop=True)
        known = {name for part in parts for name in part.columns}
        parts.append(taken.rename(columns={name: f"{name} ({kind})" for name in taken.columns if name in known}))
    return pd.concat(parts, axis=1)
