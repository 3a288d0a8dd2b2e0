"""A linear head on what an encoder makes of texts, and on the other columns beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors.numpy import load_file, save_file
from sklearn.linear_model import LogisticRegression, Ridge

from tasks.model import Floats
from tasks.model._calm import calm
from tasks.model._inputs import N_OWN, Inputs
from tasks.model._new_classes import NEW

NEVER = -14.0  # the output for a class that the training rows lack, below the least of the others: a chance of 1e-6
SMALL = 1e-5  # a spread that is none, as a share of that of all: all-MiniLM-L6-v2 has one of 1e-8

Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Head:
    """Outputs ((Z - center) / scale) @ weight + bias of features Z (n, D). center, scale: (D,); weight: (D, O); bias:
    (O,)."""

    center: Floats
    scale: Floats
    weight: Floats
    bias: Floats

    @classmethod
    def learn(cls, Z: Singles, y: Floats, weight: Floats | None, n_classes: int, penalty: float, most: int) -> Head:
        """Logistic or (n_classes 0) ridge regression on standardised features, in float64 and by solvers that draw no
        random numbers. penalty: 1/C, or alpha. most: iterations."""
        center, scale = Z.mean(axis=0, dtype=np.float64), _without_small(Z.std(axis=0, dtype=np.float64))
        standard = (Z - center) / scale
        with calm:
            coefficients, bias = _solved(standard, y, weight, n_classes, penalty, most)
        return cls(center, scale, coefficients, bias)

    @classmethod
    def untrained(cls, Z: Singles, n_of_texts: int, bias: Floats) -> Head:
        """Weights of zero. Of the first `n_of_texts` features, which an encoder gives, the scale is one for all: scaled
        each by its own, those that hardly vary would make the outputs depend wildly on the encoder's first steps."""
        center, scale = Z.mean(axis=0, dtype=np.float64), Z.std(axis=0, dtype=np.float64)
        scale[:n_of_texts] = _root_mean_square(scale[:n_of_texts])
        return cls(center, _without_small(scale), np.zeros((Z.shape[1], len(bias))), bias)

    def for_classes(self, places: Sequence[int], bias: Floats) -> Head:
        """With these of its outputs; those that are NEW have no weights, and their own bias, (n_places,)."""
        taken = np.array(places)
        weight, own = self.weight[:, taken], self.bias[taken]
        return replace(self, weight=np.where(taken == NEW, 0.0, weight), bias=np.where(taken == NEW, bias, own))

    @property
    def n_parameters(self) -> int:
        return int(self.weight.size + self.bias.size)

    def outputs(self, Z: Singles) -> Floats:
        """(n, O)."""
        return np.asarray(((Z - self.center) / self.scale) @ self.weight + self.bias)

    def effects(self, Z: Singles, blocks: dict[str, list[int]]) -> dict[str, float]:
        """Share that each block of features has in the outputs: its standard deviation over the rows."""
        standard = (Z - self.center) / self.scale
        effect = {name: float((standard[:, places] @ self.weight[places]).std(axis=0).mean())
                  for name, places in blocks.items()}  # fmt: skip
        total = sum(effect.values())
        return {name: one / total if total else 1 / len(effect) for name, one in effect.items()}

    def save(self, path: Path) -> None:
        save_file({name: np.ascontiguousarray(value) for name, value in vars(self).items()}, path)

    @classmethod
    def load(cls, path: Path) -> Head:
        return cls(**load_file(path))


def _root_mean_square(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2))) if len(values) else 1.0


def _without_small(spread: Floats) -> Floats:
    """(D,) with that of all in the place of those that are none."""
    of_all = _root_mean_square(spread) or 1.0
    return np.where(spread > SMALL * of_all, spread, of_all)


def side(inputs: Inputs, X: pd.DataFrame) -> Singles:
    """(n, S): numbers, flags of missing ones, and a column for each level."""
    numbers, levels = inputs.encode(X)
    found = np.zeros((len(X), numbers.shape[1] + inputs.n_levels), np.float32)
    found[:, : numbers.shape[1]] = numbers
    np.put_along_axis(found, levels + numbers.shape[1], 1.0, axis=1)
    return found


def blocks(inputs: Inputs, text: tuple[str, ...], width: int) -> dict[str, list[int]]:
    """For each column where it lies among the features: texts first, then as `side` has them."""
    found = {name: list(range(k * width, (k + 1) * width)) for k, name in enumerate(text)}
    begin = len(text) * width
    n_numbers = inputs.n_numbers + inputs.n_flags
    sizes = [len(inputs.levels.levels[inputs.levels.columns[place]]) + N_OWN for place in inputs.levels.categorical]
    begins = np.cumsum([begin + n_numbers, *sizes])
    for name, (numbers, levels) in zip(inputs.levels.columns, inputs.places(), strict=True):
        ranges = [range(begins[one], begins[one + 1]) for one in levels]
        found[name] = [*(begin + one for one in numbers), *(place for one in ranges for place in one)]
    return found


def _solved(
    Z: Floats, y: Floats, weight: Floats | None, n_classes: int, penalty: float, most: int
) -> tuple[Floats, Floats]:
    if not n_classes:
        ridge = Ridge(alpha=penalty).fit(Z, y, weight)
        return np.asarray(ridge.coef_, np.float64)[:, None], np.array([ridge.intercept_], np.float64)
    known = np.unique(y).astype(np.int64)
    coefficients, bias = np.zeros((Z.shape[1], n_classes)), np.full(n_classes, NEVER)
    if len(known) == 1:
        bias[known] = 0.0
        return coefficients, bias
    fitted: Any = LogisticRegression(C=1 / penalty, max_iter=most).fit(Z, y, weight)
    if len(known) == 2:  # of two classes scikit-learn has the second's alone
        coefficients[:, known[1]] = fitted.coef_[0]
        bias[known] = [0.0, fitted.intercept_[0]]
    else:
        coefficients[:, known], bias[known] = fitted.coef_.T, fitted.intercept_
    bias[np.setdiff1d(np.arange(n_classes), known)] = bias[known].min() + NEVER
    return coefficients, bias
