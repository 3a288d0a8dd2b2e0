"""Calibration: whether the probabilities are the shares that they say, or a regression's intervals as wide as they
say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tasks import interval as intervals
from tasks import parquet
from tasks.bootstrap import middle
from tasks.calibration._calibrated import Calibrated
from tasks.check import Case, Sample, number
from tasks.metric import Floats, Statistic, prepared
from tasks.out_of_fold import pooled
from tasks.reliability import bins_of, chances, error_of, shown
from tasks.verdict import Finding, Number

N_CHANCES = 200  # times that a perfectly calibrated model's outcomes are drawn


@dataclass(frozen=True)
class Calibration:
    """For classes the Brier score, the log-loss and the expected calibration error, on the holdout and out of fold;
    for a regression coverage and width of its intervals on the holdout. Told, not judged.

    bins: of equally many rows. levels: of a regression's intervals.
    """

    name: ClassVar[str] = "calibration"
    needs_base: ClassVar[bool] = False
    bins: Annotated[int, Field(ge=2)]
    levels: tuple[Annotated[float, Field(gt=0, lt=1)], ...]
    resamples: Annotated[int, Field(ge=100)]

    def measure(self, case: Case) -> Finding | None:
        if case.problem.is_generation:
            return None
        return self._of_classes(case) if case.problem.is_classification else self._of_intervals(case)

    def _of_classes(self, case: Case) -> Finding:
        """Where the model is calibrated, beside it what it was before; out of fold that alone, for the curve was
        fitted on these very rows."""
        held = case.holdout
        parts = {"holdout": self._numbers(case, held, case.on_holdout)}
        if case.curve is not None:
            parts["holdout before"] = self._numbers(case, held, _uncalibrated(case))
        found = pooled(case.experiment, case.members)
        if len(found.rows):
            seen = case.on_training(found.rows, found.y, found.weight)
            parts["out of fold before" if case.curve else "out of fold"] = self._numbers(
                case, seen, found.prediction
            )
        reason = "" if case.curve is None else f"calibrated by {case.curve.described}, on the rows out of fold"
        return Finding(self.name, "told", reason, {"expected_error": parts["holdout"]["expected_error"]}, parts)

    def _numbers(self, case: Case, sample: Sample, prediction: Floats) -> dict[str, Number]:
        """by_chance: the expected error that a perfectly calibrated model with these probabilities would show on so
        many rows, on average and at the most in 95 of 100 draws (Broecker and Smith 2007)."""
        score, is_hit = shown(sample.y, prediction)
        bins = bins_of(score, self.bins)
        squares = brier(sample.y, prediction)
        log_loss = prepared("log_loss", sample.y, prediction)

        def every(weights: Floats) -> Floats:
            mean = weights @ squares / weights.sum(axis=1)
            return np.stack([mean, log_loss(weights), error_of(score, is_hit, bins, weights)], axis=1)

        value, found = sample.resampled(every, case, self.resamples)
        low, high = middle(found[:, 2] - found[:, 2].mean() + value[2])  # a resample adds its own error to the sample's
        by_chance = chances(score, bins, sample.weight, N_CHANCES, case.experiment.seed)
        return {
            "brier": number(value[0], found[:, 0]),
            "log_loss": number(value[1], found[:, 1]),
            "expected_error": Number(float(value[2]), max(0.0, low), high),
            "by_chance": Number(float(by_chance.mean()), 0.0, float(np.quantile(by_chance, 0.95))),
        }

    def _of_intervals(self, case: Case) -> Finding:
        residuals = intervals.read(case.trained)
        if residuals is None:
            return Finding(self.name, "not_measurable", "no residual out of fold is kept", {})
        able = [level for level in self.levels if residuals.can(level)]
        numbers: dict[str, Number] = {}
        for level in able:
            lower, upper = residuals.bounds(level)
            error = case.holdout.y - case.on_holdout
            value, found = case.holdout.resampled(_share((error >= lower) & (error <= upper)), case, self.resamples)
            numbers |= {f"coverage_{level:g}": number(value[0], found[:, 0]), f"width_{level:g}": Number(upper - lower)}
        return Finding(self.name, "told", _missing(self.levels, able, residuals), numbers)


def _uncalibrated(case: Case) -> Floats:
    """(n_holdout, n_classes)"""
    assert isinstance(case.fitted, Calibrated)
    inner, file = case.fitted.inner, case.split / "holdout_features.parquet"
    return np.concatenate([inner.predict(X) for X in parquet.frames(file)])


def _share(is_in: npt.NDArray[np.bool_]) -> Statistic:
    return lambda weights: weights @ is_in / weights.sum(axis=1)


def _missing(levels: Sequence[float], able: Sequence[float], residuals: intervals.Residuals) -> str:
    unable = [f"{level:g}" for level in levels if level not in able]
    if not unable:
        return ""
    return (
        f"{residuals.n_rows:,} rows were predicted out of fold: too few for intervals of level {', '.join(unable)}; "
        f"the highest that can be had is {residuals.highest:.3g}"
    )


def brier(y: Floats, prediction: Floats) -> Floats:
    """(n,) squared errors: of two classes of the second's probability, of more summed over all (Brier 1950)."""
    if prediction.shape[1] == 2:
        return np.asarray((prediction[:, 1] - y) ** 2)
    return np.asarray(np.sum((prediction - np.eye(prediction.shape[1])[y.astype(np.int64)]) ** 2, axis=1))
