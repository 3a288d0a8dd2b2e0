"""Both sides of a split, as they may be looked at before the search: of the holdout everything but its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from tasks import parquet
from tasks.folds import Folds, read_folds
from tasks.records import Problem
from tasks.row_hash import Hashes, row_hashes

Rows = npt.NDArray[np.int64]
Side = Literal["train", "holdout"]
ROLES = {"train": "train_roles.parquet", "holdout": "holdout_labels.parquet"}
LABEL = "target"


@dataclass(frozen=True)
class Divided:
    """split: the folder of a `Split`. text: the features that are prose. Read when it is looked at, and once."""

    split: Path
    problem: Problem
    seed: int
    text: tuple[str, ...] = ()

    @cached_property
    def is_by_time(self) -> bool:
        """Whether the holdout is known to lie in the future of all that is trained on."""
        return self.times is not None and self.times[1] is not None and bool(self.times[0].max() < self.times[1].min())

    @cached_property
    def y(self) -> npt.NDArray[np.float64]:
        """(n_train,) the target of the training rows; the holdout's stays closed."""
        roles = pd.read_parquet(self.split / ROLES["train"], columns=[LABEL])
        return roles[LABEL].to_numpy(dtype=np.float64)

    @cached_property
    def train_roles(self) -> pd.DataFrame:
        return self._roles("train")

    @cached_property
    def holdout_roles(self) -> pd.DataFrame:
        return self._roles("holdout")

    @cached_property
    def groups(self) -> tuple[Rows, Rows] | None:
        """(n_train,) and (n_holdout,) numbers of the groups; None where these are not known on both sides."""
        both = self.train_roles, self.holdout_roles
        if any("group" not in side for side in both):
            return None
        codes, _ = pd.factorize(pd.concat([side["group"] for side in both]), sort=True)
        return codes[: len(both[0])], codes[len(both[0]) :]

    @cached_property
    def times(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None] | None:
        """(n_train,) and, where they are known, (n_holdout,) times; None without a time column."""
        if "time" not in self.train_roles:
            return None
        held = self.holdout_roles["time"].to_numpy() if "time" in self.holdout_roles else None
        return self.train_roles["time"].to_numpy(), held

    @cached_property
    def folds(self) -> Folds:
        return read_folds(self.split)

    def take(self, side: Side, rows: Rows) -> pd.DataFrame:
        """Some rows' features, by ascending places."""
        return parquet.take(self._features(side), rows)

    def hashes(self, side: Side) -> Hashes:
        """(n_rows,) of each row's features, read part by part."""
        found = [row_hashes(X, 0) for X in parquet.frames(self._features(side))]
        return np.concatenate(found) if found else np.zeros(0, np.uint64)

    def _features(self, side: Side) -> Path:
        return self.split / f"{side}_features.parquet"

    def _roles(self, side: Side) -> pd.DataFrame:
        file = self.split / ROLES[side]
        names: Sequence[str] = [name for name in pq.read_schema(file).names if name != LABEL]
        return pd.read_parquet(file, columns=list(names))


def sampled(n_rows: int, at_most: int, seed: int) -> Rows:
    """Places of rows, ascending, drawn without replacement; all of them where there are no more."""
    if n_rows <= at_most:
        return np.arange(n_rows, dtype=np.int64)
    return np.sort(np.random.default_rng(seed).choice(n_rows, at_most, replace=False)).astype(np.int64)
