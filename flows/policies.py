"""Policies: what is done about a model when the labels of a period have come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.check import in_classes_of
from tasks.decay import decay_of
from tasks.decision import Decision, labels_of
from tasks.drift import Drift, counted, drifts, reference_of
from tasks.metric import Floats, Integers
from tasks.predictor import Predictor
from tasks.records import Problem
from tasks.remedy import Decision as Remedy
from tasks.remedy import Evidence, Last, Rules, decide
from tasks.replayed import InUse

PREDICTION = "prediction"


@dataclass(frozen=True)
class Served:
    """A model as it predicts raw rows of the table. folder: its files. problem: of the whole table, which may have more
    classes than it knows."""

    predictor: Predictor
    folder: Path
    problem: Problem

    def features(self, rows: pd.DataFrame) -> pd.DataFrame:
        return self.predictor.schema.apply(rows)

    def predict(self, rows: pd.DataFrame) -> tuple[Floats, Integers | None]:
        """(n,) numbers, or (n, k) probabilities of the table's classes; and (n,) codes of what each row is labelled,
        None for a regression."""
        own = self.predictor.fitted.predict(self.features(rows))
        prediction = in_classes_of(self.problem, self.folder, own)
        if not self.problem.is_classification:
            return prediction, None
        place = {str(label): code for code, label in enumerate(self.problem.classes)}
        codes = np.array([place[str(label)] for label in self.predictor.problem.classes], dtype=np.int64)
        return prediction, codes[labels_of(own, self.predictor.decision)]

    @property
    def decision(self) -> Decision | None:
        """How it takes a class, where its classes are the table's."""
        return self.predictor.decision if self.predictor.problem.classes == self.problem.classes else None


@dataclass(frozen=True)
class Seen:
    """What is known of a model after a period. rows: of the period, as they were read; prediction: as `Served.predict`
    has it; y: (n,) the target. learned: the rows that its last training was given. now: the end of the period. last:
    the policy's last remedy."""

    model: Served
    rows: pd.DataFrame
    prediction: Floats
    y: Floats
    learned: pd.DataFrame
    metric: str
    in_use: InUse
    rules: Rules
    now: datetime
    last: Last | None
    seed: int


Policy = Callable[[Seen], Remedy]


def never(seen: Seen) -> Remedy:
    return Remedy("nothing", "nothing", "")


def retrain(seen: Seen) -> Remedy:
    return Remedy("search", "search", "every period")


def finetune(seen: Seen) -> Remedy:
    return Remedy("finetune", "finetune", "every period")


def monitor(seen: Seen) -> Remedy:
    """What `tasks/remedy.py` makes of score and drift, as `finefold monitor` does."""
    model, rules = seen.model, seen.rules
    decay = decay_of(seen.metric, seen.y, seen.prediction, seen.in_use.before, model.decision, seen.seed)
    inputs = _drifts(model.features(seen.learned), model.features(seen.rows), rules)
    predictions = _drifts(_columns(model.predict(seen.learned)[0]), _columns(seen.prediction), rules)
    evidence = Evidence(len(seen.y), inputs, predictions, (), decay)
    return decide(evidence, rules, version=str(seen.in_use.version), now=seen.now, last=seen.last)


def _drifts(was: pd.DataFrame, now: pd.DataFrame, rules: Rules) -> tuple[Drift, ...]:
    reference = reference_of(was)
    return drifts(reference, counted(reference, now), false_alarms=rules.false_alarms, psi=rules.psi.drifted)


def _columns(predicted: Floats) -> pd.DataFrame:
    """A column for each class but the first; of numbers one."""
    if predicted.ndim == 1:
        return pd.DataFrame({PREDICTION: predicted})
    return pd.DataFrame({f"{PREDICTION}_{code}": predicted[:, code] for code in range(1, predicted.shape[1])})


POLICIES: Mapping[str, Policy] = {one.__name__: one for one in (never, retrain, finetune, monitor)}
