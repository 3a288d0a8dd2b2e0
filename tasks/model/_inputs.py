"""Typed features to what a net takes: scaled numbers, flags of missing ones, and an index for every level."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, QuantileTransformer, RobustScaler, StandardScaler

from tasks.model import _estimator as estimators
from tasks.model._encode import Levels

SCALINGS = ("quantile", "standard")
TRUSTED = ("numpy.clip", "numpy.dtype")  # what skops doesn't trust of its own accord in what `save` writes
MISSING, UNSEEN, N_OWN = 0, 1, 2  # of each column's indices the first two; those of its levels follow
LARGEST = 1e100  # a cell beyond it would overflow in a variance
FENCE = 4.0  # spans from the 1st to the 99th percentile, as in conf/model/linear.yaml
ROWS_OF_A_QUANTILE = 30  # fewer would follow the noise, Gorishniy et al. 2021 (rtdl)
MOST_QUANTILES = 1000

Singles = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Inputs:
    """What was learned of the training rows.

    A level in fewer than `min_rows` of them has no index of its own: it shares the one of unseen levels, so that this
    one is trained. An index that no training row has (missing or unseen where there are none) keeps a vector of zeros:
    such a cell says nothing. levels: those with an index of their own. varies: (n_numbers,) which numbers have two
    values. has_gaps: (n_numbers,) which are missing in some training row, and so flagged.
    """

    levels: Levels
    scaler: Pipeline
    varies: npt.NDArray[np.bool_]
    has_gaps: npt.NDArray[np.bool_]

    @classmethod
    def learn(cls, X: pd.DataFrame, scaling: str, min_rows: int) -> Inputs:
        levels = _frequent(Levels.learn([X]), X, min_rows)
        numbers = _numbers(levels, levels.encode(X))
        has_gaps = np.asarray(np.isnan(numbers).any(axis=0))
        filled = np.where(np.isnan(numbers).all(axis=0), 0.0, numbers)
        varies = np.nanmax(filled, axis=0, initial=-np.inf) > np.nanmin(filled, axis=0, initial=np.inf)
        return cls(levels, _scaler(scaling, len(X)).fit(filled) if varies.size else Pipeline([]), varies, has_gaps)

    def encode(self, X: pd.DataFrame) -> tuple[Singles, Indices]:
        """Numbers and flags, (n_rows, n_numbers + n_flags), and levels, (n_rows, n_categorical) in 0..n_levels - 1."""
        matrix = self.levels.encode(X, -1.0)
        codes = matrix[:, self.levels.categorical]
        own = np.where(np.isnan(codes), MISSING, np.where(codes < 0, UNSEEN, codes + N_OWN)).astype(np.int64)
        return self._scaled(_numbers(self.levels, matrix)), own + self._offsets[:-1]

    def _scaled(self, numbers: npt.NDArray[np.float64]) -> Singles:
        gaps = np.isnan(numbers)
        if not len(self.varies):
            return np.empty((len(numbers), 0), np.float32)
        scaled = self.scaler.transform(numbers)
        scaled = np.where(gaps | ~self.varies, 0.0, scaled)  # 0: the median, or the mean
        return np.hstack([scaled, gaps[:, self.has_gaps]]).astype(np.float32)

    def places(self) -> list[tuple[list[int], list[int]]]:
        """For each column of the table what was made of it: places among numbers and flags, and among levels."""
        flag_of = dict(zip(np.flatnonzero(self.has_gaps).tolist(), range(len(self.varies), 10**9), strict=False))
        categorical, found = set(self.levels.categorical), list[tuple[list[int], list[int]]]()
        n_levels, n_numbers = 0, 0
        for position in range(len(self.levels.columns)):
            if position in categorical:
                found.append(([], [n_levels]))
                n_levels += 1
            else:
                flags = [flag_of[n_numbers]] if n_numbers in flag_of else []
                found.append(([n_numbers, *flags], []))
                n_numbers += 1
        return found

    def many_valued(self, X: pd.DataFrame) -> tuple[int, ...]:
        """Places of the numbers that have more than two values in these rows."""
        numbers = [name for place, name in enumerate(self.levels.columns) if place not in set(self.levels.categorical)]
        return tuple(place for place, name in enumerate(numbers) if X[name].nunique() > 2)

    @property
    def n_numbers(self) -> int:
        return len(self.varies)

    @property
    def n_flags(self) -> int:
        return int(self.has_gaps.sum())

    @property
    def n_levels(self) -> int:
        """Indices of all categorical columns together."""
        return int(self._offsets[-1])

    @property
    def _offsets(self) -> Indices:
        sizes = [len(self.levels.levels[self.levels.columns[position]]) + N_OWN for position in self.levels.categorical]
        return np.cumsum([0, *sizes], dtype=np.int64)

    @property
    def parts(self) -> dict[str, Any]:
        """What is saved beside the levels."""
        return {"scaler": self.scaler, "varies": self.varies, "has_gaps": self.has_gaps}

    def save(self, folder: Path) -> None:
        estimators.dump(self.parts, folder / "inputs.skops")
        (folder / "levels.json").write_text(json.dumps(self.levels.as_json(), ensure_ascii=False))

    @classmethod
    def load(cls, folder: Path) -> Inputs:
        parts: dict[str, Any] = estimators.load(folder / "inputs.skops", TRUSTED)
        return cls(Levels.from_json(json.loads((folder / "levels.json").read_text())), **parts)


def _frequent(levels: Levels, X: pd.DataFrame, min_rows: int) -> Levels:
    n_rows = {column: X[column].value_counts() for column in levels.levels}
    kept = {column: tuple(level for level in known if n_rows[column][level] >= min_rows)
            for column, known in levels.levels.items()}
    return Levels(levels.columns, kept)


def _numbers(levels: Levels, matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.clip(np.delete(matrix, levels.categorical, axis=1), -LARGEST, LARGEST)


def _scaler(scaling: str, n_rows: int) -> Pipeline:
    """Gaps stay gaps. quantile: to a normal distribution, by rank; standard: a value far outside the bulk brought to
    the fence, then mean 0 and standard deviation 1."""
    if scaling == "quantile":
        n = min(n_rows, max(10, min(MOST_QUANTILES, n_rows // ROWS_OF_A_QUANTILE)))
        return Pipeline([("rank", QuantileTransformer(n_quantiles=n, output_distribution="normal", random_state=0))])
    clip = FunctionTransformer(np.clip, kw_args={"a_min": -FENCE, "a_max": FENCE})
    return Pipeline([("span", RobustScaler(quantile_range=(1, 99))), ("fence", clip), ("scale", StandardScaler())])
