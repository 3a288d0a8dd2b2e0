"""Slices: what a bias of the base, or of the new rows, does to parts of the rows."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from scipy.special import stdtr

from tasks.check import Case, Rows, number
from tasks.holm import holm
from tasks.metric import Floats, Statistic, prepared
from tasks.records import Problem
from tasks.verdict import Finding, Number, State

MOST_NAMED = 10
NONE_NAMED = "no columns are named by which to tell slices: slices=[COLUMN,COLUMN], which may be dropped as features"


@dataclass(frozen=True)
class Slice:
    """Rows of the holdout, (n,) places, that have one value in a column."""

    column: str
    value: str
    rows: Rows

    @property
    def name(self) -> str:
        return f"{self.column}={self.value}"


@dataclass(frozen=True)
class Slices:
    """The score of the base and of the model on each slice of the holdout, on the same rows, and how differently the
    slices of a column are treated.

    level: of the test that a slice got worse, after Holm's correction (1979) for the number of slices. least_rows: of a
    slice that is judged, and least_of_a_class: of each of at least two classes in it.
    """

    name: ClassVar[str] = "slices"
    needs_base: ClassVar[bool] = False
    reads_pairs: ClassVar[bool] = True
    level: Annotated[float, Field(gt=0, lt=1)]
    least_rows: Annotated[int, Field(ge=2)]
    least_of_a_class: Annotated[int, Field(ge=1)]
    resamples: Annotated[int, Field(ge=100)]

    def measure(self, case: Case) -> Finding | None:
        labels = case.slice_labels
        if labels is None:
            return None if case.base is None else Finding(self.name, "not_measurable", NONE_NAMED, {})
        every = slices_of(labels)
        least = self.least_rows, self.least_of_a_class
        judged = [one for one in every if is_judged(case.problem, case.holdout.y, one, *least)]
        names = {one.name for one in judged}
        left_out = [f"{one.name} ({len(one.rows):,})" for one in every if one.name not in names]
        few = listed("not judged, of too few rows or too few of a class: ", left_out)
        if not judged:
            return Finding(self.name, "not_measurable", few, {})
        parts, numbers = self._numbers(case, judged)
        state, worse = self._judged(parts, is_paired=case.base_on_holdout is not None)
        worst = min(parts, key=lambda name: case.sign * parts[name]["fine_tuned"].value)
        reason = "; ".join(filter(None, [worse, f"the worst slice is {worst}", few]))
        return Finding(self.name, state, reason, numbers, parts)

    def _numbers(self, case: Case, judged: Sequence[Slice]) -> tuple[dict[str, dict[str, Number]], dict[str, Number]]:
        """Of each slice, and of each column that has two or more."""
        models = [_Labelled(case.on_holdout, case.labels(case.on_holdout))]
        if case.base_on_holdout is not None:
            models.insert(0, _Labelled(case.base_on_holdout, case.labels_of_base(case.base_on_holdout)))
        of_slices = [_of_slice(case, case.metric, one, model) for model in models for one in judged]
        columns = _columns(judged) if case.problem.is_classification else {}
        of_columns = [
            _treated(case, own, model) for model in models for own in columns.values()
        ]
        told = [
            _of_slice(case, "perplexity", one, model)
            for one in (judged if case.problem.is_generation else ())
            for model in models
        ]

        def statistic(weights: Floats) -> Floats:
            scores = np.stack([one(weights) for one in (*of_slices, *told)], axis=1)
            return np.concatenate([scores, *(one(weights) for one in of_columns)], axis=1)

        value, found = case.holdout.resampled(statistic, case, self.resamples)
        n, k = len(judged), len(models)
        parts = {}
        for i, one in enumerate(judged):
            at = [i + model * n for model in range(k)]
            parts[one.name] = {"rows": Number(len(one.rows)), **_pair(case.sign, value[at], found[:, at])}
            at = [n * k + i * k + model for model in range(k)] if told else []
            parts[one.name] |= _with_base("perplexity", value[at], found[:, at]) if at else {}
        _add_p_values(parts, found[:, : k * n], case.sign, judged, case.holdout.groups)
        treated: dict[str, Number] = {}
        for i, column in enumerate(columns):
            for j, what in enumerate(("parity", "opportunity")):
                at = [k * n + len(told) + 2 * (i + model * len(columns)) + j for model in range(k)]
                treated |= _with_base(f"{what}_difference_{column}", value[at], found[:, at])
        return parts, treated

    def _judged(self, parts: dict[str, dict[str, Number]], *, is_paired: bool) -> tuple[State, str]:
        if not is_paired:
            return "told", ""
        worse = [name for name, part in parts.items() if part["p"].value < self.level]
        if not worse:
            return "passed", ""
        return "failed", (
            f"significantly worse than with the base (check.slices.level={self.level:g}, corrected for "
            f"{len(parts)} slices): {', '.join(worse[:MOST_NAMED])}{', ...' * (len(worse) > MOST_NAMED)}"
        )


def slices_of(labels: pd.DataFrame) -> list[Slice]:
    """Of every column, in order; labels: (n, n_columns) as text."""
    found = []
    for column in map(str, labels.columns):
        places = {str(value): np.asarray(rows) for value, rows in labels.groupby(column).indices.items()}
        found += [Slice(column, value, places[value]) for value in sorted(places, key=_in_order)]
    return found


def is_judged(problem: Problem, y: Floats, one: Slice, least_rows: int, least_of_a_class: int) -> bool:
    """Whether a slice has rows enough, and for classes enough of two or more."""
    if len(one.rows) < least_rows:
        return False
    if not problem.is_classification:
        return True
    return int(np.sum(np.bincount(y[one.rows].astype(np.int64)) >= least_of_a_class)) >= 2


@dataclass(frozen=True)
class _Labelled:
    """What a model predicts for the holdout, (n,) or (n, n_classes), and (n,) the labels by its own decision, or
    None."""

    prediction: Floats
    labels: Rows | None


def _of_slice(case: Case, metric: str, one: Slice, model: _Labelled) -> Statistic:
    labels = None if model.labels is None else model.labels[one.rows]
    statistic = prepared(metric, case.holdout.y[one.rows], model.prediction[one.rows], labels)
    return lambda weights: statistic(np.take(weights, one.rows, axis=1))


def _pair(sign: int, value: Floats, found: Floats) -> dict[str, Number]:
    """The scores of one slice; by how much the model's is worse, where there is a base's to compare it with."""
    after = {"fine_tuned": number(value[-1], found[:, -1])}
    if len(value) < 2:
        return after
    worse = number(sign * (value[0] - value[1]), sign * (found[:, 0] - found[:, 1]))
    return {"base": number(value[0], found[:, 0]), **after, "worse": worse}


def _with_base(name: str, value: Floats, found: Floats) -> dict[str, Number]:
    """Of the model, and where there is one of its base."""
    after = {name: number(value[-1], found[:, -1])}
    return after if len(value) < 2 else {f"{name}_of_the_base": number(value[0], found[:, 0]), **after}


def _add_p_values(
    parts: dict[str, dict[str, Number]], found: Floats, sign: int, judged: Sequence[Slice], groups: Rows | None
) -> None:
    if found.shape[1] < 2 * len(judged):
        return
    worse = sign * (found[:, : len(judged)] - found[:, len(judged) :])
    p = [
        one_sided(parts[one.name]["worse"].value, worse[:, i], n_units(one.rows, groups))
        for i, one in enumerate(judged)
    ]
    for one, adjusted in zip(judged, holm(p), strict=True):
        parts[one.name]["p"] = Number(adjusted)


def n_units(rows: Rows, groups: Rows | None) -> int:
    """Of what is drawn by the bootstrap: groups where there are any, else rows."""
    return len(rows) if groups is None else len(np.unique(groups[rows]))


def one_sided(value: float, resamples: Floats, n_units: int) -> float:
    """How probable a value so large would be were the truth 0: Student's t with the resamples' standard deviation as
    the error, for counting resamples could give no p below one in their number. 1 where nothing is defined."""
    defined = resamples[~np.isnan(resamples)]
    error = float(np.std(defined, ddof=1)) if len(defined) > 1 else 0.0
    if not error > 0:
        return 0.0 if value > 0 and len(defined) > 1 else 1.0
    return float(stdtr(n_units - 1, -value / error)) if value == value else 1.0


def _columns(judged: Sequence[Slice]) -> dict[str, list[Slice]]:
    """The slices of each column that has several."""
    found: dict[str, list[Slice]] = {}
    for one in judged:
        found.setdefault(one.column, []).append(one)
    return {column: own for column, own in found.items() if len(own) > 1}


def _treated(case: Case, own: Sequence[Slice], model: _Labelled) -> Statistic:
    """(m, 2) how far apart the slices of a column are in the share of rows that get a class (demographic parity), and
    in the share of a class's rows that are found (equal opportunity, Hardt et al. 2016): of two classes the positive
    one, of more the class for which it is the most."""
    n, classes = len(case.holdout.y), range(len(case.problem.classes))
    wanted = [1] if case.problem.kind == "binary" else list(classes)
    label, y = np.asarray(model.labels), case.holdout.y
    member = np.zeros((n, len(own)))
    for i, one in enumerate(own):
        member[one.rows, i] = 1.0

    def share(weights: Floats, among: npt.NDArray[np.bool_], hit: npt.NDArray[np.bool_]) -> Floats:
        rates = weights @ (member * (among & hit)[:, None]) / (weights @ (member * among[:, None]))
        return np.asarray(np.nanmax(rates, axis=1) - np.nanmin(rates, axis=1))

    def statistic(weights: Floats) -> Floats:
        everyone = np.ones(n, dtype=np.bool_)
        parity = [share(weights, everyone, label == code) for code in wanted]
        opportunity = [share(weights, y == code, label == code) for code in wanted if (y == code).any()]
        return np.stack([np.max(parity, axis=0), np.max(opportunity, axis=0)], axis=1)

    return statistic


def _in_order(value: str) -> tuple[float, str]:
    """By the last number in it, so that quarters and numbers stand in their order; then by the alphabet."""
    numbers = re.findall(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", value)
    return float(numbers[-1]) if numbers else math.inf, value


def listed(title: str, names: Sequence[str]) -> str:
    """The first names after the title, and how many more; nothing where there are none."""
    if not names:
        return ""
    more = f", and {len(names) - MOST_NAMED:,} more" * (len(names) > MOST_NAMED)
    return f"{title}{', '.join(names[:MOST_NAMED])}{more}"
