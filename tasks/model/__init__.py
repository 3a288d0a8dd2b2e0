"""Families of models: one file each, all with one contract, found from `conf/model/`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.records import Problem
from tasks.refusal import Refusal

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Training:
    """All that the trials of a study share.

    X: (n_rows, n_columns) typed features, numeric columns float64 with NaN for missing, others text or None.
    y: (n_rows,) class codes or the target. weight: (n_rows,) or None. folds: row positions (train, valid).
    loss and metric are names; metric is what early stopping watches where the family can.
    """

    X: pd.DataFrame
    y: Floats
    weight: Floats | None
    folds: Sequence[tuple[Rows, Rows]]
    problem: Problem
    loss: str
    metric: str

    def rows(self, fold: int | None) -> Rows:
        """The training rows of a fold, or all rows for None."""
        return np.arange(len(self.y)) if fold is None else self.folds[fold][0]


@dataclass(frozen=True)
class Validated:
    """One fold: predictions for its validation rows, (n_valid,) or (n_valid, n_classes); the best round and the
    learning curve as (round, watched metric on the validation rows), where there are rounds."""

    prediction: Floats
    rounds: int | None
    curve: tuple[tuple[int, float], ...]


class Fitted(Protocol):
    """A trained model. It predicts from typed features, saves without pickle, and is loaded by `load`."""

    @property
    def n_parameters(self) -> int: ...

    def predict(self, X: pd.DataFrame) -> Floats:
        """X: (n_rows, n_columns); gives (n_rows,) values or (n_rows, n_classes) probabilities."""
        ...

    def importance(self) -> dict[str, float]:
        """How much each column contributes to the fit, by the family's own measure; sums to one."""
        ...

    def save(self, folder: Path) -> None: ...


class Model(Protocol):
    """A family: what may be tuned, and how it is fitted.

    hyperparameters: fixed values; null means: searched within `space`, else taken from `start`.
    space: hyperparameter to a range {low, high, log} or a list. grid: hyperparameter to a short list, cheap to dear.
    portfolio: settings that are known to be good, cheap ones first; every search tries them before any of its own.
    """

    hyperparameters: dict[str, Any]
    start: dict[str, Any]
    space: dict[str, Any]
    grid: dict[str, Any]
    portfolio: list[dict[str, Any]]

    def check(self, problem: Problem, loss: str) -> list[str]:
        """What this family can't do of what is asked for, as faults; none where all is well."""
        ...

    def workspace(self, training: Training, base: Path | None, n_threads: int) -> Any:
        """What all trials share, built once and never changed: encoded matrices, bins."""
        ...

    def validate(self, workspace: Any, fold: int, hyperparameters: Mapping[str, Any], seed: int) -> Validated:
        """Fits on the training rows of a fold and predicts its validation rows."""
        ...

    def fit(self, workspace: Any, hyperparameters: Mapping[str, Any], rounds: int | None, seed: int) -> Fitted:
        """Fits on all training rows, `rounds` long where the family has rounds."""
        ...


def save(fitted: Fitted, folder: Path) -> None:
    """Writes the model and the name of its class, which is all that `load` needs."""
    folder.mkdir(parents=True, exist_ok=True)
    fitted.save(folder)
    kind = type(fitted)
    (folder / "family.json").write_text(json.dumps({"module": kind.__module__, "name": kind.__qualname__}))


def load(folder: Path) -> Fitted:
    """The model that `save` wrote.

    Raises:
        Refusal: when the folder holds none.
    """
    try:
        family = json.loads((folder / "family.json").read_text())
        return importlib.import_module(family["module"]).__dict__[family["name"]].load(folder)  # type: ignore[no-any-return]
    except (OSError, KeyError, ValueError, ImportError) as error:
        raise Refusal(f"{folder} holds no model that can be read: {error}") from error


def unsupported(family: str, asked: str, known: Sequence[str], kind: str) -> list[str]:
    """A fault that names the loss and the family, where the family can't train on it."""
    if asked in known:
        return []
    remedy = f"choose {' or '.join(known)}, or another model"
    return [f"loss={asked}: {family} can't train on it for a {kind} problem; {remedy}."]
