"""Splits on disk as checks see them before the search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasks.divided import Divided
from tasks.folds import write_folds
from tasks.records import Problem

NUMBER, CLASSES = Problem("regression", "y", ()), Problem("binary", "y", ("no", "yes"))


def divided(
    root: Path, problem: Problem, train: pd.DataFrame, held: pd.DataFrame, y: Sequence[float] | Any,
    *, train_roles: dict[str, Any] | None = None, held_roles: dict[str, Any] | None = None, n_folds: int = 2,
) -> Divided:  # fmt: skip
    """train, held: features. y: (n_train,). Folds by a row's place, in turns; the holdout's labels are no numbers, so
    that whoever reads them fails."""
    root.mkdir(parents=True, exist_ok=True)
    train.to_parquet(root / "train_features.parquet", index=False)
    held.to_parquet(root / "holdout_features.parquet", index=False)
    pd.DataFrame({"target": y, **(train_roles or {})}).to_parquet(root / "train_roles.parquet", index=False)
    sealed = pd.DataFrame({"target": ["sealed"] * len(held), **(held_roles or {})})
    sealed.to_parquet(root / "holdout_labels.parquet", index=False)
    fold_of = np.arange(len(train)) % n_folds
    write_folds(root, [(np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in range(n_folds)])
    return Divided(root, problem, 0)
