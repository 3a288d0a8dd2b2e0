"""Typed frames to matrices, and weights to a common unit; all that is learned is learned from the rows given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


@dataclass(frozen=True)
class Levels:
    """Column names in order, and for each categorical column its levels in order; a level's code is its place."""

    columns: tuple[str, ...]
    levels: Mapping[str, Sequence[str]]

    @classmethod
    def learn(cls, X: pd.DataFrame, earlier: Levels | None = None) -> Levels:
        """Levels of the given rows, sorted. Those of an `earlier` encoding keep their codes and come first, and its
        columns keep their places."""
        columns = tuple(X.columns) if earlier is None else earlier.columns
        levels = {}
        for column in columns:
            if pd.api.types.is_numeric_dtype(X[column]):
                continue
            known = list(earlier.levels.get(column, ())) if earlier else []
            levels[column] = tuple(known + sorted(set(X[column].dropna().unique()) - set(known)))
        return cls(columns, levels)

    def encode(self, X: pd.DataFrame, unseen: float = np.nan) -> npt.NDArray[np.float64]:
        """(n_rows, n_columns) float64; a missing level is NaN, and one that is not among the levels is `unseen`."""
        matrix = np.empty((len(X), len(self.columns)), dtype=np.float64)
        for position, column in enumerate(self.columns):
            if column in self.levels:
                known = pd.Index(list(self.levels[column]), dtype="object")
                codes = known.get_indexer(pd.Index(X[column].to_numpy(dtype=object), dtype="object"))
                matrix[:, position] = np.where(codes < 0, np.where(X[column].isna(), np.nan, unseen), codes)
            else:
                matrix[:, position] = X[column].to_numpy(dtype=np.float64, na_value=np.nan)
        return matrix

    @property
    def categorical(self) -> list[int]:
        """Positions of the categorical columns."""
        return [position for position, column in enumerate(self.columns) if column in self.levels]

    def as_json(self) -> dict[str, Any]:
        return {"columns": list(self.columns), "levels": {key: list(value) for key, value in self.levels.items()}}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Levels:
        return cls(tuple(value["columns"]), {key: tuple(levels) for key, levels in value["levels"].items()})


def relative(weight: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    """Weights with a mean of one, so that a penalty means the same in any unit of them; None where all are equal."""
    return None if np.all(weight == weight[0]) else np.asarray(weight / weight.mean())
