"""Gradient-boosted trees by LightGBM (Ke et al. 2017), on bins that all trials of a study share."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from pydantic import Field

from tasks.model import Floats, Rows, Training, Validated, unsupported
from tasks.model._encode import Levels, relative
from tasks.records import Problem

OBJECTIVES = {  # rmse has mse's gradient up to a positive factor, so LightGBM trains both exactly alike
    ("binary", "cross_entropy"): "binary",
    ("multiclass", "cross_entropy"): "multiclass",
    ("regression", "mse"): "regression",
    ("regression", "rmse"): "regression",
    ("regression", "mae"): "regression_l1",
}
# LightGBM's own metrics are computed in C++; a metric that is not among them stops on the objective's cost.
WATCHED = {
    ("binary", "roc_auc"): "auc",
    ("binary", "average_precision"): "average_precision",
    ("regression", "mae"): "l1",
    ("regression", "mape"): "mape",
}
COST = {"binary": "binary_logloss", "multiclass": "multi_logloss", "regression": "l2", "regression_l1": "l1"}
SILENT = logging.getLogger("finefold.lightgbm")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False
# Parameters that decide how a Dataset is binned; all others may vary between trials on one Dataset.
DATASET_PARAMETERS = ("max_bin", "min_data_in_bin")


@dataclass(frozen=True)
class Bins:
    """One fold (or all rows): its training set, its validation set, and how its features are encoded."""

    levels: Levels
    train: lgb.Dataset
    valid: lgb.Dataset | None


@dataclass(frozen=True)
class Workspace:
    """Bins are made once per fold, when a trial first needs them, from that fold's training rows alone."""

    training: Training
    base: Fitted | None
    n_threads: int
    parameters: Mapping[str, Any]
    bins: dict[int | None, Bins] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fold(self, fold: int) -> Bins:
        with self.lock:
            if fold not in self.bins:
                self.bins[fold] = self._bin(fold)
            return self.bins[fold]

    def _bin(self, fold: int) -> Bins:
        train_rows, valid_rows = self.training.folds[fold]
        levels = self.learn_levels(train_rows)
        train = self.dataset(levels, train_rows).construct()
        valid = self.dataset(levels, valid_rows, reference=train).construct()
        return Bins(levels, train, valid)

    def learn_levels(self, rows: Rows) -> Levels:
        return Levels.learn(self.training.X.iloc[rows], self.base.levels if self.base else None)

    def dataset(self, levels: Levels, rows: Rows, reference: lgb.Dataset | None = None) -> lgb.Dataset:
        matrix = levels.encode(self.training.X.iloc[rows])
        weight = None if self.training.weight is None else relative(self.training.weight[rows])
        start = None if self.base is None else self.base.raw(matrix).ravel(order="F")
        # Named by position: LightGBM refuses `: , " [` and the like in feature names.
        return lgb.Dataset(
            matrix, self.training.y[rows], weight=weight, init_score=start, reference=reference,
            feature_name=[f"f{i}" for i in range(matrix.shape[1])], categorical_feature=levels.categorical,
            params=dict(self.parameters), free_raw_data=True,
        )


@dataclass(frozen=True)
class Fitted:
    """A booster with its encoding."""

    booster: lgb.Booster
    levels: Levels
    is_binary: bool

    @property
    def n_parameters(self) -> int:
        """Leaf values and split thresholds of all trees, counted in the model's text: dump_model takes a second."""
        leaves = [int(line[11:]) for line in self.booster.model_to_string().splitlines() if line[:11] == "num_leaves="]
        return sum(2 * n - 1 for n in leaves)

    def predict(self, X: pd.DataFrame) -> Floats:
        prediction = np.asarray(self.booster.predict(self.levels.encode(X)), dtype=np.float64)
        return np.column_stack([1 - prediction, prediction]) if self.is_binary else prediction

    def raw(self, matrix: Floats) -> Floats:
        """Scores before the link function: (n_rows,) or (n_rows, n_classes)."""
        return np.asarray(self.booster.predict(matrix, raw_score=True), dtype=np.float64)

    def importance(self) -> dict[str, float]:
        """Share of the total gain."""
        gain = self.booster.feature_importance("gain")
        return dict(zip(self.levels.columns, (gain / max(gain.sum(), 1e-300)).tolist(), strict=True))

    def contributions(self, X: pd.DataFrame) -> Floats:
        """(n_rows, n_columns) mean absolute SHAP values over the classes (Lundberg and Lee 2017, exact for trees)."""
        values = np.asarray(self.booster.predict(self.levels.encode(X), pred_contrib=True))
        per_class = values.reshape(len(X), -1, len(self.levels.columns) + 1)[:, :, :-1]
        return np.asarray(np.abs(per_class).mean(axis=1), dtype=np.float64)

    def save(self, folder: Path) -> None:
        self.booster.save_model(str(folder / "booster.txt"))
        (folder / "levels.json").write_text(json.dumps(self.levels.as_json(), ensure_ascii=False))

    @classmethod
    def load(cls, folder: Path) -> Fitted:
        levels = Levels.from_json(json.loads((folder / "levels.json").read_text()))
        try:
            booster = lgb.Booster(model_file=str(folder / "booster.txt"))
        except lgb.basic.LightGBMError as error:
            raise ValueError(str(error)) from error
        objective = str(booster.dump_model(num_iteration=1)["objective"])
        return cls(booster, levels, objective.split()[0] == "binary")


@dataclass(frozen=True)
class LightGBM:
    """The family. `rounds` is the most a fold may train; it stops after `patience` rounds without gain, looking
    every `check_every` rounds (looking at AUC every round costs 5-19 % of a trial, every tenth 1-4 %)."""

    hyperparameters: dict[str, Any]
    start: dict[str, Any]
    space: dict[str, Any]
    grid: dict[str, Any]
    portfolio: list[dict[str, Any]]
    rounds: Annotated[int, Field(ge=1)]
    patience: Annotated[int, Field(ge=1)]
    check_every: Annotated[int, Field(ge=1)]

    def check(self, problem: Problem, loss: str) -> list[str]:
        known = [name for kind, name in OBJECTIVES if kind == problem.kind]
        free = [name for name in self.space if self.hyperparameters.get(name) is None]
        return unsupported("lightgbm", loss, known, problem.kind) + [
            f"model.lightgbm.space.{name}: all trials share one set of bins, so it can't be searched; fix it by "
            f"model.lightgbm.hyperparameters.{name}=VALUE, or compare values by --multirun."
            for name in free
            if name in DATASET_PARAMETERS
        ]

    def workspace(self, training: Training, base: Path | None, n_threads: int) -> Workspace:
        binning = {name: self.hyperparameters[name] for name in DATASET_PARAMETERS if name in self.hyperparameters}
        lgb.register_logger(SILENT)  # what it says of a failing trial is in the exception too
        # feature_pre_filter would tie the bins to one min_data_in_leaf.
        quiet = {"verbose": -1, "num_threads": n_threads, "feature_pre_filter": False}
        return Workspace(training, Fitted.load(base) if base else None, n_threads, {**quiet, **binning})

    def validate(self, workspace: Workspace, fold: int, hyperparameters: Mapping[str, Any], seed: int) -> Validated:
        bins = workspace.fold(fold)
        assert bins.valid is not None
        booster = lgb.Booster(self._parameters(workspace, hyperparameters, seed), bins.train)
        booster.add_valid(bins.valid, "valid")
        return _boost_until_no_gain(booster, self.rounds, self.patience, self.check_every)

    def fit(self, workspace: Workspace, hyperparameters: Mapping[str, Any], rounds: int | None, seed: int) -> Fitted:
        rows = workspace.training.rows(None)
        levels = workspace.learn_levels(rows)
        data = workspace.dataset(levels, rows)
        parameters = self._parameters(workspace, hyperparameters, seed)
        base = None
        if workspace.base is not None:  # init_model adds the base's raw scores itself, and its trees to the result
            data.set_init_score(None)
            base = workspace.base.booster
        booster = lgb.train(parameters, data, num_boost_round=rounds or self.rounds, init_model=base)
        return Fitted(booster.free_dataset(), levels, workspace.training.problem.kind == "binary")

    def _parameters(self, workspace: Workspace, hyperparameters: Mapping[str, Any], seed: int) -> dict[str, Any]:
        problem, loss = workspace.training.problem, workspace.training.loss
        objective = OBJECTIVES[problem.kind, loss]
        watched = WATCHED.get((problem.kind, workspace.training.metric), COST[objective])
        fixed = {
            "objective": objective, "metric": watched, "seed": seed, "deterministic": True, "force_row_wise": True,
            **({"num_class": len(problem.classes)} if problem.kind == "multiclass" else {}),
        }
        return {**workspace.parameters, **hyperparameters, **fixed}


def _boost_until_no_gain(booster: lgb.Booster, rounds: int, patience: int, check_every: int) -> Validated:
    best: tuple[int, float, Floats] | None = None
    curve = []
    for n_rounds in range(1, rounds + 1):
        is_finished = booster.update()
        if n_rounds % check_every and n_rounds != rounds and not is_finished:
            continue
        value, is_higher_better, prediction = _look(booster)
        curve.append((n_rounds, value))
        if best is None or (value > best[1] if is_higher_better else value < best[1]):
            best = (n_rounds, value, prediction)
        if is_finished or n_rounds - best[0] >= patience:
            break
    assert best is not None
    return Validated(_as_probabilities(booster, best[2]), best[0], tuple(curve))


def _look(booster: lgb.Booster) -> tuple[float, bool, Floats]:
    """The watched metric on the validation rows, and their predictions, from scores that LightGBM keeps up to date."""
    kept = {}

    def keep(prediction: Floats, _: lgb.Dataset) -> tuple[str, float, bool]:
        kept["prediction"] = prediction.copy()
        return "kept", 0.0, True

    _, _, value, is_higher_better = booster.eval_valid(keep)[0][:4]
    return float(value), bool(is_higher_better), kept["prediction"]


def _as_probabilities(booster: lgb.Booster, prediction: Floats) -> Floats:
    objective = booster.params["objective"]
    if objective == "binary":
        return np.column_stack([1 - prediction, prediction])
    return prediction
