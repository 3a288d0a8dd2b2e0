"""Adversarial validation: whether a classifier can tell the rows of the holdout from training rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field
from sklearn.model_selection import StratifiedGroupKFold

from tasks.bootstrap import resampled, resamples_for
from tasks.check import Case, number
from tasks.divided import Divided, Rows, Side, sampled
from tasks.metric import prepared
from tasks.model import Floats
from tasks.verdict import Finding, Number, State

N_FOLDS = 5
N_NAMED = 3
MOST_LEVELS = 255
# Small trees and few of them: what is to be seen is whether the sides differ, not by how much at best.
PARAMETERS: dict[str, Any] = {
    "objective": "binary", "num_leaves": 8, "learning_rate": 0.1, "min_data_in_leaf": 20, "num_threads": 1,
    "deterministic": True, "force_row_wise": True, "verbose": -1,
}  # fmt: skip
ROUNDS = 60


@dataclass(frozen=True)
class Adversarial:
    """The area under the ROC curve, out of fold, of gradient boosted trees that are trained on which side a row is on;
    .5 is chance. Rows that are equal, and rows of one group, are in one fold, or the trees would know them again.

    It fails where the whole interval is above `most_auc`: the holdout then stands for other rows than those that were
    trained on. A holdout in the future is expected to differ: told. rows: of either side.
    """

    name: ClassVar[str] = "adversarial"
    needs_base: ClassVar[bool] = False
    most_auc: Annotated[float, Field(ge=0.5, le=1)] | None
    rows: Annotated[int, Field(ge=100)]
    resamples: Annotated[int, Field(ge=100)]

    def measure(self, case: Case) -> Finding:
        it = case.experiment
        is_by_time = case.divided.is_by_time
        X, is_held, together = self._rows(case.divided, it.seed)
        if not X.shape[1]:
            return Finding(self.name, "not_measurable", "every feature is prose, which these trees don't read", {})
        folds = _folds(is_held, together, it.seed)
        if folds is None:
            return Finding(self.name, "not_measurable", f"so few rows give no {N_FOLDS} parts of both sides", {})
        chance, gains = _out_of_fold(X, is_held, folds, it.seed)
        value, found = resampled(
            prepared("roc_auc", is_held, np.column_stack([1 - chance, chance])), is_held, groups=together,
            n_resamples=resamples_for(len(is_held), self.resamples), seed=it.seed,
        )  # fmt: skip
        auc = number(value[0], found[:, 0])
        named = {name: gain for name, gain in gains.items() if gain > 0} if auc.low > 0.5 else {}
        parts = {name: {"share_of_the_gain": Number(gain)} for name, gain in list(named.items())[:N_NAMED]}
        state, reason = self._judged(auc, list(parts), is_by_time=is_by_time)
        return Finding(self.name, state, reason, {"auc": auc, "rows": Number(len(is_held))}, parts)

    def _judged(self, auc: Number, names: list[str], *, is_by_time: bool) -> tuple[State, str]:
        if auc.low <= 0.5:
            return "passed", ""
        told = f"training rows and holdout can be told apart (AUC {auc.value:.3f}), most of all by {', '.join(names)}"
        if is_by_time:
            return "told", f"{told}: expected of a holdout that lies in the future"
        if self.most_auc is None or auc.low <= self.most_auc:
            return ("told" if self.most_auc is None else "passed"), ""
        return "failed", (
            f"{told}, more than check.adversarial.most_auc={self.most_auc:g}: its scores are for other rows than those "
            "that were trained on"
        )

    def _rows(self, divided: Divided, seed: int) -> tuple[pd.DataFrame, Floats, Rows]:
        """The features of both sides' sampled rows as numbers, which are held, and which stay together."""
        sides, together = [], []
        roles: dict[Side, pd.DataFrame] = {"train": divided.train_roles, "holdout": divided.holdout_roles}
        for offset, (side, known) in enumerate(roles.items()):
            rows = sampled(len(known), self.rows, seed + offset)
            sides.append(divided.take(side, rows).drop(columns=list(divided.text), errors="ignore"))
            together.append((known["group"] if "group" in known else known["hash"]).to_numpy()[rows].astype(str))
        is_held = np.repeat([0.0, 1.0], [len(side) for side in sides])
        return _numbers(pd.concat(sides, ignore_index=True)), is_held, pd.factorize(np.concatenate(together))[0]


def _numbers(X: pd.DataFrame) -> pd.DataFrame:
    """Levels by how frequent they are, the rare ones as one."""
    made = {}
    for name in X.columns:
        if pd.api.types.is_numeric_dtype(X[name]):
            made[name] = X[name].to_numpy(dtype=np.float64)
            continue
        order = {level: place for place, level in enumerate(X[name].value_counts().index)}
        made[name] = X[name].map(order).clip(upper=MOST_LEVELS).to_numpy(dtype=np.float64)
    return pd.DataFrame(made)


def _folds(is_held: Floats, together: Rows, seed: int) -> list[tuple[Rows, Rows]] | None:
    """None where a side would be absent of a part."""
    n_units = [len(np.unique(together[is_held == side])) for side in (0, 1)]
    if min(n_units) < N_FOLDS:
        return None
    splitter = StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=seed)
    folds = list(splitter.split(np.zeros((len(is_held), 1)), is_held.astype(np.int64), together))
    both = all(len(np.unique(is_held[rows])) == 2 for fold in folds for rows in fold)
    return folds if both else None


def _out_of_fold(
    X: pd.DataFrame, is_held: Floats, folds: list[tuple[Rows, Rows]], seed: int
) -> tuple[Floats, dict[str, float]]:
    """(n_rows,) the chance that a row is held, and each column's share of the gain, the greatest first."""
    import lightgbm

    values, chance, gains = X.to_numpy(dtype=np.float64), np.zeros(len(X)), np.zeros(X.shape[1])
    for train, valid in folds:
        data = lightgbm.Dataset(values[train], label=is_held[train])
        booster = lightgbm.train({**PARAMETERS, "seed": seed}, data, num_boost_round=ROUNDS)
        chance[valid] = booster.predict(values[valid], num_threads=1)
        gains += booster.feature_importance("gain")
    shares = gains / max(gains.sum(), 1e-300)
    return chance, {str(X.columns[place]): float(shares[place]) for place in np.argsort(-shares, kind="stable")}
