"""Out of fold: what the trials of a model, the winner alone or an ensemble, predicted for rows they did not learn
from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.records import Member
from tasks.study import fold_file, read_fold
from tasks.workspace import Experiment, training_of

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
N_PARTS = 5


@dataclass(frozen=True)
class OutOfFold:
    """rows: (n,) the training rows that some fold validated, ascending. y, weight: (n,) of these. prediction: (n,) or
    (n, n_classes), of one model each: where folds are drawn several times over, that of the last time. fold: (n,)."""

    rows: Rows
    y: Floats
    weight: Floats | None
    prediction: Floats
    fold: Rows

    @property
    def parts(self) -> list[Rows]:
        """Places of the rows of each fold, which are tuned on the others; of one fold alone in five parts by chance."""
        folds = np.unique(self.fold)
        if len(folds) > 1:
            return [np.flatnonzero(self.fold == fold) for fold in folds]
        shuffled = np.random.default_rng(0).permutation(len(self.y))
        return [np.sort(part) for part in np.array_split(shuffled, N_PARTS) if 0 < len(part) < len(self.y)]


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


def pooled(experiment: Experiment, members: Sequence[Member]) -> OutOfFold:
    """All rows that were validated, each once."""
    training, n_classes = training_of(experiment), len(experiment.problem.classes)
    n = len(training.y)
    prediction, last = np.zeros((n, n_classes) if n_classes else n), np.full(n, -1)
    for fold, rows, predicted in by_fold(experiment, members):
        prediction[rows], last[rows] = predicted, fold
    rows = np.flatnonzero(last >= 0)
    weight = None if training.weight is None else training.weight[rows]
    return OutOfFold(rows, training.y[rows], weight, prediction[rows], last[rows])
