"""Cases for checks: splits, predictions and models on disk whose scores can be computed by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from flows.build import build
from flows.config import compose
from tasks import model as models
from tasks.check import Case
from tasks.folds import write_folds
from tasks.loss.cross_entropy import CrossEntropy
from tasks.loss.mse import MSE
from tasks.model import Floats, Model
from tasks.records import FoldScore, Member, Problem, Proposal
from tasks.study import FoldRecord, fold_file, write_fold
from tasks.workspace import Experiment

NUMBER, CLASSES = Problem("regression", "y", ()), Problem("binary", "y", ("no", "yes"))
PROPOSAL = Proposal(0, "sums", {})


@dataclass(frozen=True)
class Sums:
    """Predicts x plus an offset; of classes that as the probability of the second."""

    offset: float = 0.0
    is_classes: bool = False

    @property
    def n_parameters(self) -> int:
        return 1

    def predict(self, X: pd.DataFrame) -> Floats:
        made = X["x"].to_numpy(dtype=np.float64) + self.offset
        return np.column_stack([1 - made, made]) if self.is_classes else made

    def importance(self) -> dict[str, float]:
        return {"x": 1.0}

    def save(self, folder: Path) -> None:
        (folder / "sums.json").write_text(json.dumps([self.offset, self.is_classes]))

    @classmethod
    def load(cls, folder: Path) -> Sums:
        return cls(*json.loads((folder / "sums.json").read_text()))


class Net(Sums):
    """With weights, of length 5 without an offset."""

    def weights(self) -> dict[str, Floats]:
        return {"weight": np.array([3.0, 4.0 + self.offset]), f"of {self.offset:g} alone": np.ones(9)}


def linear() -> Model:
    """The family that stands beside every score, with its own defaults."""
    made: Model = build(compose(["model=linear"]).config.model["linear"], "model.linear")
    return made


def case(
    root: Path, problem: Problem, metric: str, train: pd.DataFrame, held: pd.DataFrame, model: Sums,
    *, out_of_fold: Sequence[float] = (), base: Sums | None = None, n_folds: int = 2,
) -> Case:
    """train and held: columns x, y, and weight or group. Folds, of which the first validates the first rows;
    out_of_fold: (n_train,) what they predict, for classes the probability of the second."""
    split, study = root / "split", root / "study"
    split.mkdir(parents=True)
    for table, side, roles in ((train, "train", "roles"), (held, "holdout", "labels")):
        table[["x"]].to_parquet(split / f"{side}_features.parquet")
        table.drop(columns="x").rename(columns={"y": "target"}).to_parquet(split / f"{side}_{roles}.parquet")
    parts, every = np.array_split(np.arange(len(train)), n_folds), np.arange(len(train))
    write_folds(split, [(np.setdiff1d(every, part), part) for part in parts])
    for fold, rows in enumerate(parts if len(out_of_fold) else ()):
        predicted = np.asarray(out_of_fold, dtype=np.float32)[rows]
        predicted = np.column_stack([1 - predicted, predicted]) if problem.is_classification else predicted
        write_fold(fold_file(study, PROPOSAL, fold), FoldRecord(FoldScore(fold, 0.0, 0.0, None, 0.0), (), predicted))
    models.save(model, root / "model")
    if base is not None:
        models.save(base, root / "base")
        (root / "base" / "problem.json").write_text(json.dumps(asdict(problem)))
    predictions = model.predict(held)
    table = pd.DataFrame({"prediction": predictions}) if predictions.ndim == 1 else pd.DataFrame(
        predictions, columns=[f"probability_{label}" for label in problem.classes]
    )
    table.to_parquet(root / "predictions.parquet")
    experiment = Experiment(
        digest=str(root), folder=str(study), split=str(split), problem=problem, families={},
        loss=CrossEntropy() if problem.is_classification else MSE(), metric=metric, base=None, seed=0, n_folds=n_folds,
        growth=2.0, n_threads=1, keep_models=False,
    )  # fmt: skip
    return Case(
        experiment, root / "model", root / "predictions.parquet", None if base is None else root / "base",
        (Member(PROPOSAL, 1.0),),
    )  # fmt: skip


def write_source(base: Path, table: pd.DataFrame) -> None:
    """table: columns of features, target (codes of the base's classes), part and maybe weight."""
    roles = [name for name in ("target", "part", "weight") if name in table]
    (base / "source").mkdir()
    table.drop(columns=roles).to_parquet(base / "source" / "features.parquet")
    table[roles].to_parquet(base / "source" / "roles.parquet")
