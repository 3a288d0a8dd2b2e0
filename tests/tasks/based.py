"""A base of any family in a folder, and a table that is like its source but for a shift, for tests to go on with."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flows.build import build
from flows.config import compose
from tasks import metric, model
from tasks.loss.cross_entropy import CrossEntropy
from tasks.loss.mse import MSE
from tasks.model import Floats, Model, Training
from tasks.records import Problem, ProblemKind
from tasks.search import family_space
from tasks.strategy import Strategy

N_SOURCE, N_TARGET = 300, 120
CLASSES = {"binary": ("no", "yes"), "multiclass": ("a", "b", "c"), "regression": ()}
# Fewer rounds and smaller nets than the defaults, so that tests take seconds.
SMALL = {
    "mlp": ["model.mlp.hyperparameters.epochs=8", "model.mlp.start.batch_size=32", "model.mlp.start.width=16"],
    "lightgbm": ["model.lightgbm.rounds=20"],
}


def table(n: int, seed: int, shift: float = 0.0) -> tuple[pd.DataFrame, Floats]:
    """Numbers and levels with gaps, and a score that they decide but for some noise."""
    generator = np.random.default_rng(seed)
    X = pd.DataFrame({
        "a": generator.normal(size=n) + shift, "b": generator.normal(size=n),
        "level": generator.choice(np.array(list("pqrs"), dtype=object), n),
    })  # fmt: skip
    score = 2 * X["a"] - X["b"] + 2 * X["level"].isin(["p", "q"]) - shift + generator.normal(size=n) / 4
    X.loc[generator.random(n) < 0.1, "b"] = np.nan
    X.loc[generator.random(n) < 0.1, "level"] = None
    return X, score.to_numpy()


def training(kind: ProblemKind, n: int = N_TARGET, seed: int = 1, shift: float = 0.5, n_folds: int = 3) -> Training:
    X, score = table(n, seed, shift)
    cuts = {"binary": [1.0], "multiclass": [-0.5, 2.0]}.get(kind)
    y = score if cuts is None else np.digitize(score, cuts).astype(np.float64)
    side = np.arange(n) % n_folds
    folds = [(np.flatnonzero(side != k), np.flatnonzero(side == k)) for k in range(n_folds)]
    loss = MSE() if kind == "regression" else CrossEntropy()
    return Training(X, y, None, folds, Problem(kind, "y", CLASSES[kind]), loss, metric.default(kind))


def family(name: str, *overrides: str) -> Model:
    config = compose([f"model={name}", *SMALL.get(name, []), *overrides]).config
    built: Model = build(config.model[name], f"model.{name}")
    return built


def strategy(name: str, **fixed: Any) -> Strategy:
    """fixed: values of its hyperparameters."""
    built = build(compose([f"strategy={name}"]).config.strategy, "strategy")
    return replace(built, hyperparameters={**built.hyperparameters, **fixed})


def point(it: Model, **changed: Any) -> dict[str, Any]:
    """The first trial's hyperparameters."""
    space = family_space("it", it.hyperparameters, it.start, it.space, it.grid)
    return {**space.fixed, **space.start, **changed}


def base(it: Model, kind: ProblemKind, folder: Path, *, has_source: bool = True, **changed: Any) -> Path:
    """A model of the family on rows of the source, and these rows beside it."""
    source = training(kind, N_SOURCE, seed=0, shift=0.0)
    model.save(it.fit(it.workspace(source, None, 1), point(it, **changed), 12, 0), folder)
    (folder / "problem.json").write_text(json.dumps(asdict(source.problem)))
    if has_source:
        (folder / "source").mkdir()
        source.X.to_parquet(folder / "source" / "features.parquet")
        parts = np.where(np.arange(N_SOURCE) % 10 < 8, "train", "holdout")
        pd.DataFrame({"target": source.y, "part": parts}).to_parquet(folder / "source" / "roles.parquet")
    return folder
