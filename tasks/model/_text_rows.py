"""What all trials of a text encoder share: the texts with what the encoder makes of them, and the other columns of each
fold, encoded from its own training rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from tasks import metric as metrics
from tasks.model import Floats, Rows, Training
from tasks.model._batches import Rehearsal, steps
from tasks.model._corpus import Corpus
from tasks.model._encode import relative
from tasks.model._head import Head, Singles, side
from tasks.model._inputs import Inputs
from tasks.model._kept import Kept
from tasks.model._new_classes import NEW, bias_of_new
from tasks.model._tuning import Part, Score
from tasks.model._unit import Unit
from tasks.source_rows import SourceRows

SCALING = "standard"  # of numbers; quantiles need more rows than are labelled of most texts
MOST = 300  # iterations of a solver
N_WEIGHED = 300  # rows by which a column's importance is measured


@dataclass(frozen=True)
class Begin:
    """Where training begins, of a base that is gone on from: how the other columns are encoded, what the outputs mean,
    and the head; places: see `places_of`."""

    inputs: Inputs
    unit: Unit
    head: Head
    places: tuple[int, ...]


@dataclass(frozen=True)
class Side:
    """Rows by their positions, and their other columns (n, S). y: (n,) as it is in the table; weight: (n,) or None."""

    rows: Rows
    other: Singles
    y: Floats
    weight: Floats | None

    def some(self) -> Side:
        """Those by which a column's importance is measured."""
        places = np.linspace(0, len(self.y) - 1, min(N_WEIGHED, len(self.y))).astype(np.int64)
        return Side(self.rows[places], self.other[places], self.y[places], None)

    def part(self, corpus: Corpus, unit: Unit) -> Part:
        """As they are trained on."""
        weight = np.ones(len(self.y)) if self.weight is None else self.weight
        return Part(corpus.codes[self.rows], self.other, unit.target(self.y), weight)


@dataclass(frozen=True)
class Encoded:
    """One fold, or all rows."""

    inputs: Inputs
    unit: Unit
    train: Side
    valid: Side | None

    @property
    def n_bytes(self) -> int:
        return self.train.other.nbytes + (0 if self.valid is None else self.valid.other.nbytes)


@dataclass(frozen=True)
class Workspace:
    """corpus: of the training rows and then those of the source that are rehearsed; None where no encoder is used.
    begin: None without a base. source: where rows of it are rehearsed."""

    training: Training
    corpus: Corpus | None
    min_rows: int
    begin: Begin | None = None
    source: Side | None = None
    folds: Kept[Encoded] = field(default_factory=lambda: Kept(lambda encoded: encoded.n_bytes))

    @property
    def texts(self) -> Corpus:
        assert self.corpus is not None
        return self.corpus

    def fold(self, fold: int, n_rows: int | None) -> Encoded:
        return self.folds.get((fold, n_rows), lambda: self._encode(*self.training.fold(fold, n_rows)))

    def all_rows(self) -> Encoded:
        """All training rows, for the final fit; not kept."""
        return self._encode(np.arange(len(self.training.y)), None)

    def features(self, it: Side, max_len: int) -> Singles:
        """(n, T H + S): what the unchanged encoder makes of the texts, and the other columns."""
        return np.hstack([self.texts.features(it.rows, max_len), it.other])

    def head(self, encoded: Encoded, given: Mapping[str, Any]) -> Head:
        """On the unchanged encoder: fitted on the training rows."""
        Z, train, unit = self.features(encoded.train, int(given["max_len"])), encoded.train, encoded.unit
        return Head.learn(Z, unit.target(train.y), train.weight, unit.n_classes, float(given["penalty"]), MOST)

    def first_head(self, encoded: Encoded, given: Mapping[str, Any]) -> Head:
        """Where training begins: the base's head, with an output for every class that it doesn't know, or one that
        predicts the training rows' mean whatever it is given."""
        train, max_len = encoded.train, int(given["max_len"])
        if self.begin is None:
            n_of_texts, bias = self.texts.body.width * len(self.training.text), encoded.unit.bias(train.y, train.weight)
            return Head.untrained(self.features(train, max_len), n_of_texts, bias.numpy())
        head, places = self.begin.head, self.begin.places
        if NEW not in places:
            return head.for_classes(places, head.bias)
        outputs = head.outputs(self.features(train, max_len))
        return head.for_classes(places, bias_of_new(outputs, train.y, train.weight, len(places)))

    def rehearsal(self, encoded: Encoded, given: Mapping[str, Any]) -> Rehearsal[Part] | None:
        """What stands in every batch beside the target's rows."""
        share, n_target = float(given["rehearsal"]), len(encoded.train.y)
        if self.source is None or not share:
            return None
        rows, n_steps = self.source.part(self.texts, encoded.unit), steps(n_target, int(given["batch_size"]))
        return Rehearsal.of_share(rows, share, n_target, n_steps)

    def _encode(self, rows: Rows, valid: Rows | None) -> Encoded:
        training = self.training
        X = training.X.iloc[rows].drop(columns=list(training.text))
        inputs = Inputs.learn(X, SCALING, self.min_rows) if self.begin is None else self.begin.inputs
        weight = relative(training.fit_weight(rows))
        unit = Unit.learn(training.problem, training.y[rows], weight) if self.begin is None else self.begin.unit
        train = Side(rows, side(inputs, X), training.y[rows], weight)
        return Encoded(inputs, unit, train, None if valid is None else self._valid(inputs, valid))

    def _valid(self, inputs: Inputs, rows: Rows) -> Side:
        training = self.training
        weight = None if training.weight is None else training.weight[rows]
        X = training.X.iloc[rows].drop(columns=list(training.text))
        return Side(rows, side(inputs, X), training.y[rows], weight)


def beside(source: SourceRows, inputs: Inputs, training: Training) -> Side:
    """Rows of the source, which a corpus has after the training rows."""
    other = side(inputs, source.X.drop(columns=list(training.text)))
    return Side(len(training.y) + np.arange(len(source.y)), other, source.y, relative(source.weight))


@dataclass
class Judge:
    """Scores epochs on the validation rows, and keeps the predictions of the best; see `tuning.Progress.note`."""

    workspace: Workspace
    encoded: Encoded
    valid: Side
    best: Floats = field(default_factory=lambda: np.empty(0))
    value: float = float("nan")

    def __call__(self, raw: Callable[[], Floats]) -> Score:
        training, prediction = self.workspace.training, self.encoded.unit.prediction(torch.from_numpy(raw()))
        value = metrics.value(training.metric, self.valid.y, prediction, self.valid.weight)
        higher = metrics.METRICS[training.metric].is_higher_better
        if not len(self.best) or (value > self.value if higher else value < self.value):
            self.best, self.value = prediction, value
        return Score(value, training.loss.cost(self.valid.y, prediction, self.valid.weight))
