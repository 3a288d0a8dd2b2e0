"""A small search that tests of the loop and of its runners share."""

from __future__ import annotations

from pathlib import Path

from optuna.trial import FrozenTrial

from flows.config import compose
from flows.decide import decide
from flows.plan import plan
from tasks.prepare import prepare
from tasks.records import TrialResult
from tasks.split import split
from tasks.workspace import Experiment

SEARCHES = ("bayesian", "genetic", "grid", "random")
N = 8
FAST = (
    "source.name=iris", "folds.n_splits=3", "model.lightgbm.rounds=10", "model.lightgbm.check_every=5",
    "model.lightgbm.space.num_leaves=[4,6,8,12]", "model.lightgbm.space.learning_rate=[0.1,0.2,0.3]",
    "model.lightgbm.hyperparameters.link=identity",
    *(f"model.lightgbm.hyperparameters.{key}=0" for key in ("lambda_l1", "lambda_l2")),
    "model.lightgbm.hyperparameters.feature_fraction=0.9",
)  # fmt: skip


NETS = (
    "model=mlp", "source.name=iris", "folds.n_splits=3", "model.mlp.hyperparameters.epochs=8",
    "model.mlp.hyperparameters.frequencies=16", "model.mlp.portfolio=[{dropout: 0.3, spread: 0.1}, {spread: 1.0}]",
    "model.mlp.start.batch_size=16", "model.mlp.space.batch_size=[16,32]", "model.mlp.space.width=[16,64,512]",
)  # fmt: skip  # nets of 512 units are trained fold by fold, the others' folds as one


def experiment(*overrides: str) -> Experiment:
    """Iris, prepared and split under the current folder."""
    composed = compose([*(overrides or FAST)])
    planned = plan(composed)
    prepared = prepare.fn(planned.source, planned.roles, "auto", None, 0, None)
    decided = decide(composed, prepared)
    divided = split.fn(prepared, decided.splitter, "stratified", 0.2)
    return Experiment(
        digest="", folder="", split=str(Path(divided.folder).resolve()), problem=prepared.problem,
        families=planned.families, loss=decided.loss, metric=decided.metric, base=None, seed=0,
        n_folds=divided.n_folds, growth=divided.growth, n_threads=1, keep_models=False,
    )  # fmt: skip


def ignore(result: TrialResult, trial: FrozenTrial, *, is_reused: bool) -> None:
    """What a search tells whom nobody listens to."""
