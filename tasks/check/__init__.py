"""Checks: what a model is judged by beyond its score, one file each, found from `conf/check/`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import decision as decisions
from tasks import metric as metrics
from tasks import model as models
from tasks import parquet
from tasks.base_folder import is_encoder
from tasks.bootstrap import middle, resampled, resamples_for
from tasks.calibration import Curve
from tasks.calibration._calibrated import curve_of
from tasks.constant import constant
from tasks.decision import Decision, labels_of
from tasks.divided import Divided
from tasks.metric import METRICS, Statistic
from tasks.model import Fitted, Floats, HasWeights
from tasks.records import Member, Problem
from tasks.slices import held_slices
from tasks.study import fold_file, read_fold
from tasks.verdict import Finding, Number
from tasks.workspace import Experiment, training_of

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """Rows that models are judged on. y: (n,). weight: (n,) or None. groups: (n,), drawn together, or None."""

    y: Floats
    weight: Floats | None
    groups: Rows | None = None

    def resampled(self, statistic: Statistic, case: Case, n_resamples: int, seed: int = 0) -> tuple[Floats, Floats]:
        """Numbers (k,) and the same on resamples of the rows, (at most n_resamples, k), see `bootstrap.resampled`;
        another `seed` draws others."""
        return resampled(
            statistic, self.y, self.weight, groups=self.groups,
            n_resamples=resamples_for(len(self.y), n_resamples), seed=case.experiment.seed + seed,
        )


@dataclass(frozen=True)
class OutOfFold:
    """Training rows, (n,) places, and for each fold which of these it validated, with what it predicted for them."""

    rows: Rows
    folds: Sequence[tuple[Rows, Floats]]


@dataclass(frozen=True)
class Case:
    """A finished fit and all that it can be judged by; read when it is looked at, and once.

    split, trained: folders. predictions: of the model for the holdout, as `evaluate` left them. base: the folder of the
    model that was gone on from, or None. members: the trials that the model is of. slices: see `Prepared`, or None.
    deadline: Unix time in seconds after which nothing is fitted, or None.
    """

    experiment: Experiment
    trained: Path
    predictions: Path
    base: Path | None
    members: Sequence[Member]
    slices: Path | None = None
    deadline: float | None = None

    @property
    def problem(self) -> Problem:
        return self.experiment.problem

    @property
    def metric(self) -> str:
        return self.experiment.metric

    @property
    def sign(self) -> int:
        """Of a difference of scores: positive is better."""
        return METRICS[self.metric].sign

    @property
    def split(self) -> Path:
        return Path(self.experiment.split)

    @cached_property
    def divided(self) -> Divided:
        """Both sides of the split, without the holdout's labels."""
        return Divided(self.split, self.problem, self.experiment.seed, self.experiment.text)

    @cached_property
    def fitted(self) -> Fitted:
        return models.load(self.trained)

    @cached_property
    def curve(self) -> Curve | None:
        """By which the model's probabilities are calibrated; None where they are not."""
        return curve_of(self.trained)

    @cached_property
    def decision(self) -> Decision | None:
        """By which a row gets its class; None: the most probable one."""
        return decisions.read(self.trained)

    def labels(self, prediction: Floats) -> Rows | None:
        """(n,) the class of each row by the model's own decision; None for a regression."""
        return labels_of(prediction, self.decision) if self.problem.is_classification else None

    def labels_of_base(self, prediction: Floats) -> Rows | None:
        """(n,) the same by the base's own decision, where its classes are the problem's."""
        if self.base is None or not self.problem.is_classification:
            return None
        decision = decisions.read(self.base)
        is_fitting = decision is not None and len(decision.costs) == len(self.problem.classes)
        return labels_of(prediction, decision if is_fitting else None)

    def prepared(self, y: Floats, prediction: Floats) -> Statistic:
        """The metric of predictions that the model's own decision labels."""
        return metrics.prepared(self.metric, y, prediction, self.labels(prediction))

    @cached_property
    def base_model(self) -> Fitted | None:
        """The base, where it is a model that predicts what is fine-tuned for."""
        is_ours = self.base is not None and (self.base / "family.json").exists()
        return models.load(self.base) if is_ours and self.base is not None else None

    @cached_property
    def base_net(self) -> HasWeights | None:
        """The base, where it is a net; also an encoder, which predicts nothing by itself."""
        if self.base is not None and is_encoder(self.base):
            from tasks.model._encoder import Body  # torch takes seconds to import

            return Body.load(self.base)
        found = self.base_model and models.within(self.base_model)
        return found if isinstance(found, HasWeights) else None

    @cached_property
    def holdout(self) -> Sample:
        roles = pd.read_parquet(self.split / "holdout_labels.parquet")
        groups = pd.factorize(roles["group"], sort=True)[0] if "group" in roles else None
        return Sample(roles["target"].to_numpy(dtype=np.float64), _weight(roles), groups)

    @cached_property
    def training_groups(self) -> Rows | None:
        """(n_train,) numbers of the groups of the training rows; None where there are none."""
        roles = pd.read_parquet(self.split / "train_roles.parquet")
        return pd.factorize(roles["group"], sort=True)[0] if "group" in roles else None

    def on_training(self, rows: Rows, y: Floats, weight: Floats | None) -> Sample:
        """Some training rows, by their places, as they are judged on."""
        return Sample(y, weight, None if self.training_groups is None else self.training_groups[rows])

    @cached_property
    def on_holdout(self) -> Floats:
        """What the model predicts for the holdout: (n_holdout,) or (n_holdout, n_classes)."""
        table = pd.read_parquet(self.predictions)
        found = table[self.problem.outputs].to_numpy(dtype=np.float64)
        return found[:, 0] if found.shape[1] == 1 else found

    @cached_property
    def base_on_holdout(self) -> Floats | None:
        """What the base predicts for the holdout."""
        if self.base_model is None:
            return None
        return self.by_base(parquet.frames(self.split / "holdout_features.parquet"))

    def by_base(self, batches: Any) -> Floats:
        """What the base predicts, with a column for each class of the problem."""
        assert self.base is not None
        assert self.base_model is not None
        found = np.concatenate([self.base_model.predict(X) for X in batches])
        return in_classes_of(self.problem, self.base, found)

    @cached_property
    def slice_labels(self) -> pd.DataFrame | None:
        """(n_holdout, n_columns) the slices of the holdout's rows, as text; None where none are named."""
        return None if self.slices is None else held_slices(self.slices, self.split)

    def constant_score(self, y: Floats, weight: Floats | None) -> float:
        """What a model that sees no feature of the training rows scores."""
        roles = pd.read_parquet(self.split / "train_roles.parquet")
        prediction = constant(roles, self.problem, self.experiment.loss, y)
        return metrics.value(self.metric, y, prediction, weight, self.labels(prediction))

    def out_of_fold(self, n_rows: int) -> OutOfFold:
        """About so many of the training rows that some fold validated, evenly from the whole table."""
        training = training_of(self.experiment)
        is_looked_at = np.zeros(len(training.y), dtype=np.bool_)
        is_looked_at[:: max(1, len(training.y) // n_rows)] = True
        found = []
        for fold in range(self.experiment.n_folds):
            valid = training.fold(fold, self.members[0].proposal.n_rows)[1]
            prediction = self._out_of_fold(fold)
            if prediction is not None:
                found.append((valid[is_looked_at[valid]], prediction[is_looked_at[valid]]))
        rows = np.unique(np.concatenate([valid for valid, _ in found] or [np.zeros(0, np.int64)]))
        return OutOfFold(rows, [(np.searchsorted(rows, valid), one) for valid, one in found])

    def _out_of_fold(self, fold: int) -> Floats | None:
        """What the members predicted together for a fold's validation rows, calibrated as the model is; None where one
        has no file of it."""
        files = [fold_file(Path(self.experiment.folder), member.proposal, fold) for member in self.members]
        stored = [read_fold(file) for file in files]
        known = [(one, member.weight) for one, member in zip(stored, self.members, strict=True) if one is not None]
        if len(known) < len(self.members):
            return None
        parts = [weight * np.asarray(one.prediction, dtype=np.float64) for one, weight in known]
        found = np.asarray(np.sum(parts, axis=0))
        return found if self.curve is None else self.curve(found)


@runtime_checkable
class Inspection(Protocol):
    """What a table and its split are looked at by before the search."""

    name: ClassVar[str]

    def inspect(self, divided: Divided) -> Finding | None:
        """What it found: failed where a leak is certain, told and suspected where it may be one; None where nothing
        was asked for."""
        ...


@runtime_checkable
class Check(Protocol):
    """What a model is judged by. needs_base: whether there is nothing to it without a base. One that says something of
    text that is written says so by `reads_pairs`."""

    name: ClassVar[str]
    needs_base: ClassVar[bool]

    def measure(self, case: Case) -> Finding | None:
        """What it found; None where nothing was asked for. Its fields are the thresholds."""
        ...


def in_classes_of(problem: Problem, base: Path, prediction: Floats) -> Floats:
    """A base's prediction with a column for each class of the problem, which may have more than the base knew."""
    if not problem.is_classification:
        return prediction
    known = json.loads((base / "problem.json").read_text())["classes"]
    place = {str(label): code for code, label in enumerate(problem.classes)}
    spread = np.zeros((len(prediction), len(problem.classes)))
    spread[:, [place[str(label)] for label in known]] = prediction
    return spread


def number(value: float, resamples: Floats) -> Number:
    """With its 95 % percentile interval (Efron 1979)."""
    return Number(float(value), *middle(resamples))


def lost(before: float, after: float) -> float:
    """The share of a gain over a constant prediction that is gone, at least 0; 0 where there was no gain."""
    return max(0.0, float(1 - after / before)) if before > 0 else 0.0


def _weight(roles: pd.DataFrame) -> Floats | None:
    return roles["weight"].to_numpy(dtype=np.float64) if "weight" in roles else None
