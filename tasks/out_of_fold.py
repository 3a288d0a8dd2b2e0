"""Out of fold: what the trials of a model, the winner alone or an ensemble, predicted for rows they did not learn
from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from tasks.metric import value
from tasks.records import Member, Winner
from tasks.study import fold_file, read_fold
from tasks.workspace import Experiment, training_of

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
N_PARTS = 5


@dataclass(frozen=True)
class OutOfFold:
    """rows: (n,) the training rows that some fold validated, ascending. y, weight: (n,) of these. prediction: (n,) or
    (n, n_classes), of one model each: where folds are drawn several times over, that of the last time. parts: places of
    the rows of each fold, which are tuned on the others; of one fold alone see `parted`."""

    rows: Rows
    y: Floats
    weight: Floats | None
    prediction: Floats
    parts: Sequence[Rows]


def parted(experiment: Experiment, rows: Rows) -> list[Rows]:
    """Places of the validation rows of one fold in at most `N_PARTS` parts by chance: groups stay whole, and each class
    has its share, where there are two groups and two rows of each class. None of one row."""
    groups, y = _groups(experiment, rows), training_of(experiment).y[rows]
    rarest = int(np.unique(y, return_counts=True)[1].min()) if experiment.problem.is_classification else 1
    n_parts = min(N_PARTS, len(rows) if groups is None else groups.nunique(), rarest if rarest > 1 else N_PARTS)
    if n_parts < 2:
        return []
    ungrouped, grouped = (StratifiedKFold, StratifiedGroupKFold) if rarest > 1 else (KFold, GroupKFold)
    splitter = (ungrouped if groups is None else grouped)(n_parts, shuffle=True, random_state=experiment.seed)
    return [part for _, part in splitter.split(rows, y, groups) if len(part)]


def _groups(experiment: Experiment, rows: Rows) -> pd.Series | None:
    """(n,) the group of each row; None where there are none, or one alone."""
    file = Path(experiment.split) / "train_roles.parquet"
    if "group" not in pq.read_schema(file).names:
        return None
    groups = pd.read_parquet(file, columns=["group"])["group"].iloc[rows]
    return groups if groups.nunique() > 1 else None


def by_fold(experiment: Experiment, members: Sequence[Member]) -> Iterator[tuple[int, Rows, Floats]]:
    """Each fold that all members have predicted, with its validation rows and the weighted sum of their predictions.
    Others are left out: of a winner that was judged on some folds alone, and folds whose files were removed."""
    training = training_of(experiment)
    for fold in range(experiment.n_folds):
        records = [read_fold(fold_file(Path(experiment.folder), member.proposal, fold)) for member in members]
        known = [(one, member.weight) for one, member in zip(records, members, strict=True) if one is not None]
        if len(known) == len(members):
            rows = training.fold(fold, members[0].proposal.n_rows)[1]
            yield fold, rows, np.asarray(sum(weight * one.prediction.astype(np.float64) for one, weight in known))


def over_folds(experiment: Experiment, winner: Winner, names: Iterable[str]) -> dict[str, list[float]]:
    """Each metric on each fold that the winner was judged on and whose file is there, of the most probable classes."""
    training, found = training_of(experiment), {name: list[float]() for name in names}
    judged = {fold.fold for fold in winner.folds}
    for fold, rows, prediction in by_fold(experiment, [Member(winner.proposal, 1.0)]):
        if fold not in judged:
            continue
        weight = None if training.weight is None else training.weight[rows]
        for name, values in found.items():
            values.append(value(name, training.y[rows], prediction, weight))
    return found


def pooled(experiment: Experiment, members: Sequence[Member]) -> OutOfFold:
    """All rows that were validated, each once."""
    training, n_classes = training_of(experiment), len(experiment.problem.classes)
    n = len(training.y)
    prediction, last = np.zeros((n, n_classes) if n_classes else n), np.full(n, -1)
    for fold, rows, predicted in by_fold(experiment, members):
        prediction[rows], last[rows] = predicted, fold
    rows = np.flatnonzero(last >= 0)
    weight = None if training.weight is None else training.weight[rows]
    folds = [np.flatnonzero(last[rows] == fold) for fold in np.unique(last[rows])]
    parts = folds if len(folds) > 1 else parted(experiment, rows)
    return OutOfFold(rows, training.y[rows], weight, prediction[rows], parts)
