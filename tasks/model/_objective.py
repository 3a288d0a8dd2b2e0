"""How LightGBM trains on a loss: by an objective of its own, or by the loss's gradient and curvature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from tasks.loss import Curved, Loss
from tasks.loss.huber import Huber
from tasks.loss.quantile import Quantile
from tasks.metric import METRICS, value
from tasks.model import Floats, Places, Training
from tasks.model._booster import leaf_counts
from tasks.model._encode import relative
from tasks.records import Problem

OBJECTIVES = {  # rmse has mse's gradient up to a positive factor, so LightGBM trains both exactly alike
    ("binary", "cross_entropy"): "binary",
    ("multiclass", "cross_entropy"): "multiclass",
    ("regression", "mse"): "regression",
    ("regression", "rmse"): "regression",
    ("regression", "mae"): "regression_l1",
    ("regression", "huber"): "huber",  # its alpha is delta in the target's unit: src/objective/regression_objective.hpp
    ("regression", "quantile"): "quantile",
}
# LightGBM's own metrics are computed in C++; where the selected one is not among them, the objective's cost is watched.
WATCHED = {
    ("binary", "roc_auc"): "auc",
    ("binary", "average_precision"): "average_precision",
    ("binary", "log_loss"): "binary_logloss",
    ("multiclass", "log_loss"): "multi_logloss",
    ("regression", "rmse"): "rmse",
    ("regression", "mae"): "l1",
    ("regression", "mape"): "mape",
}
COST = {
    "binary": "binary_logloss", "multiclass": "multi_logloss", "regression": "l2", "regression_l1": "l1",
    "huber": "huber", "quantile": "quantile", "poisson": "l2",
}
IDENTITY, LOG = "identity", "log"  # a regression's prediction is the sum of its trees, or the exponential of that
LINKS = {"binary": "binary sigmoid:1", "multiclass": "multiclass num_class:{}", "regression": "regression"}
Singles = npt.NDArray[np.float32]
ROWS_AT_A_TIME = 1 << 14  # a dozen arrays of them stay in the processor's cache
EPS = 1e-15  # LightGBM's kEpsilon, the share of a class that no row has


@dataclass(frozen=True)
class Look:
    """What is seen of the validation rows after a round: the watched value, the cost, and the predictions."""

    value: float
    is_higher_better: bool
    cost: float
    prediction: Floats

    def is_better(self, other: Look) -> bool:
        return self.value > other.value if self.is_higher_better else self.value < other.value


def can_be_log(loss: Loss, problem: Problem) -> bool:
    """Whether LightGBM can predict exponentials: by Poisson's likelihood, which the mean maximises, as it minimises the
    mse, however the target is distributed (Gourieroux, Monfort and Trognon 1984, Pseudo maximum likelihood methods)."""
    return problem.kind == "regression" and loss.name in ("mse", "rmse")


def trainable(loss: Loss, problem: Problem) -> list[str]:
    """The names of the losses that LightGBM can train on; `loss` among them where it knows its curvature."""
    own = [name for kind, name in OBJECTIVES if kind == problem.kind]
    is_other = loss.name not in own and problem.kind in loss.problems and isinstance(loss, Curved)
    return [*own, loss.name] if is_other else own


@dataclass(frozen=True)
class Objective:
    """The objective of a study's training rows.

    By a loss's own gradient LightGBM grows trees of raw scores that begin at 0, knows no link function, and gives its
    own metrics raw scores. So the rows are given the constant that a model without features predicts as their initial
    score, and the constant and the link are written into the finished model, which is then like any other.

    link: of a regression.
    """

    training: Training
    link: str = IDENTITY

    @property
    def is_own(self) -> bool:
        """Whether LightGBM has it."""
        return (self.training.problem.kind, self.training.loss.name) in OBJECTIVES

    @property
    def watches_the_metric(self) -> bool:
        """Whether early stopping watches what trials are selected on, not the cost."""
        kind, metric, loss = self.training.problem.kind, self.training.metric, self.training.loss
        return (kind, metric) in WATCHED or getattr(loss, "metric", None) == metric

    def parameters(self) -> dict[str, Any]:
        kind, loss = self.training.problem.kind, self.training.loss
        classes = {"num_class": len(self.training.problem.classes)} if kind == "multiclass" else {}
        if not self.is_own:
            return {"objective": "none", "metric": "none", **classes}
        name = "poisson" if self.link == LOG else OBJECTIVES[kind, loss.name]
        return {"objective": name, "metric": WATCHED.get((kind, self.training.metric), COST[name]), **classes,
                **_alpha(loss)}

    def initial(self, rows: Places) -> Floats:
        """(n_outputs,) the raw scores of a model without features: the classes' shares as logits, or the mean."""
        y, weight, problem = self.training.y[rows], self.training.fit_weight(rows), self.training.problem
        if not problem.is_classification:
            return np.array([np.average(y, weights=weight)])
        counts = np.bincount(y.astype(np.int64), weight, len(problem.classes))
        logits = np.log(np.maximum(counts / counts.sum(), EPS))
        return np.asarray(logits if problem.kind == "multiclass" else logits[1:] - logits[0])

    def gradient(self, rows: Places) -> Callable[[Floats, lgb.Dataset], tuple[Singles, Singles]] | None:
        """First and second derivatives of the rows' losses by raw scores (n_rows,) or (n_rows, n_classes), weighed;
        None where LightGBM computes them itself."""
        if self.is_own:
            return None
        loss, y, weight = self.training.loss, self.training.y[rows], relative(self.training.fit_weight(rows))
        assert isinstance(loss, Curved)
        kind, k = self.training.problem.kind, len(self.training.problem.classes)
        # Each of k scores moves as if the others stood still (Friedman 2001, algorithm 6), as in LightGBM's multiclass.
        steps = k / (k - 1) if kind == "multiclass" else 1.0

        def derivatives(raw: Floats, _: lgb.Dataset) -> tuple[Singles, Singles]:
            first, second = (np.empty(raw.shape, np.float32, order="F") for _ in range(2))
            for begin in range(0, len(raw), ROWS_AT_A_TIME):
                here = slice(begin, begin + ROWS_AT_A_TIME)
                # Column by column in memory: sums over two columns take a quarter of the time so.
                scores = np.stack([0 * raw[here], raw[here]]).T if kind == "binary" else raw[here]
                slope, curvature = loss.derivatives(y[here], scores)
                of_row = 1.0 if weight is None else weight[here] if raw.ndim == 1 else weight[here, None]
                first[here] = (slope[:, 1] if kind == "binary" else slope) * of_row
                second[here] = steps * (curvature[:, 1] if kind == "binary" else curvature) * of_row
            return first, second

        return derivatives

    def look(self, booster: lgb.Booster, rows: Places) -> Look:
        """What the booster, which keeps its scores of the validation rows up to date, gives for these."""
        kept = {}

        def keep(scores: Floats, _: lgb.Dataset) -> tuple[str, float, bool]:
            kept["scores"] = scores.copy()
            return "kept", 0.0, True

        seen = booster.eval_valid(keep)[0]
        training = self.training
        y, weight = training.y[rows], None if training.weight is None else training.weight[rows]
        prediction = self.prediction(kept["scores"])
        cost = training.loss.cost(y, prediction, weight)
        if self.is_own:
            return Look(float(seen[2]), bool(seen[3]), cost, prediction)
        if not self.watches_the_metric:
            return Look(cost, False, cost, prediction)
        watched = value(training.metric, y, prediction, weight)
        return Look(watched, METRICS[training.metric].is_higher_better, cost, prediction)

    def prediction(self, scores: Floats) -> Floats:
        """(n_rows,) or (n_rows, n_classes) of what a booster in training predicts."""
        kind = self.training.problem.kind
        if kind == "multiclass":
            return scores if self.is_own else np.asarray(softmax(scores, axis=1))
        if kind == "regression":
            return scores
        positive = scores if self.is_own else expit(scores)
        return np.column_stack([1 - positive, positive])

    def finished(self, booster: lgb.Booster, initial: Floats | None) -> lgb.Booster:
        """The model of a booster up to its best round; initial: (n_outputs,) what its first trees are to begin with, or
        None. One that LightGBM trained by itself is returned as it is."""
        if self.is_own:
            return booster
        link = LINKS[self.training.problem.kind].format(len(self.training.problem.classes))
        text = booster.model_to_string()
        made = lgb.Booster(model_str=text.replace("\nfeature_names=", f"\nobjective={link}\nfeature_names=", 1))
        leaves = leaf_counts(text)
        for tree, score in enumerate([] if initial is None else initial.tolist()):
            for leaf in range(leaves[tree]):
                made.set_leaf_output(tree, leaf, made.get_leaf_output(tree, leaf) + score)
        return made


def start_at(data: lgb.Dataset, initial: Floats) -> None:
    """Gives every row the same initial scores (n_outputs,)."""
    data.set_field("init_score", np.repeat(initial, data.num_data()))  # `set_init_score` keeps a copy


def weigh(data: lgb.Dataset, weight: npt.NDArray[np.float64] | None) -> None:
    """weight: (n_rows,) or None, by which `Dataset.set_weight` would leave those that are there."""
    data.set_field("weight", relative(weight))


def _alpha(loss: Loss) -> dict[str, float]:
    if isinstance(loss, Huber):
        return {"alpha": float(loss.delta)}
    return {"alpha": loss.level} if isinstance(loss, Quantile) else {}
