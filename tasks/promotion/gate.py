"""Gate: a challenger becomes the champion when it is better on the same rows, or as good and cheaper, and nothing else
speaks against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from tasks import metric as metrics
from tasks.bootstrap import middle
from tasks.check.slices import one_sided
from tasks.footprint import Limits
from tasks.promotion import Contest, Duel
from tasks.promotion._calibration import calibrated
from tasks.promotion._slices import judged
from tasks.records import Footprint
from tasks.ruling import Ruled, Ruling
from tasks.verdict import Finding, Number, State


@dataclass(frozen=True)
class Gate:
    """A paired bootstrap of the difference of scores, Student's t with the resamples' standard deviation as its error.

    level: of the one-sided tests that the challenger is better, and that it is not worse. margin: what may be lost by a
    challenger that is cheaper, as a share of the champion's gain over a constant prediction, which has no unit.
    cheaper: by which share size or time must be less, while the other grows by no more. calibration: by how much the
    expected calibration error may grow, where that is more than chance. slice_level: of the test that a slice got
    worse, after Holm's correction. megabytes, milliseconds: limits, see `Footprint`. None: not judged.
    """

    name: ClassVar[str] = "gate"
    compares: ClassVar[bool] = True
    level: Annotated[float, Field(gt=0, lt=0.5)]
    margin: Annotated[float, Field(ge=0, lt=1)]
    cheaper: Annotated[float, Field(gt=0, lt=1)]
    calibration: Annotated[float, Field(ge=0)] | None
    slice_level: Annotated[float, Field(gt=0, lt=1)] | None
    slice_rows: Annotated[int, Field(ge=2)]
    slice_rows_of_a_class: Annotated[int, Field(ge=1)]
    megabytes: Annotated[float, Field(gt=0)] | None
    milliseconds: Annotated[float, Field(gt=0)] | None
    least_rows: Annotated[int, Field(ge=2)]
    least_groups: Annotated[int, Field(ge=2)]
    resamples: Annotated[int, Field(ge=100)]

    def rule(self, contest: Contest) -> Ruling:
        limits = self._within_limits(contest.footprint)
        if contest.champion is None:
            if limits and limits[0].state == "failed":
                return Ruling("kept", limits[0].reason, None, limits)
            return Ruling("first", "there was no champion to compare it with", None, limits)
        duel = contest.duel
        obstacle = contest.obstacle if duel is None else self._obstacle(duel, contest.left_out)
        n_rows = 0 if duel is None else len(duel.y)
        if duel is None or obstacle:
            return Ruling("not_comparable", obstacle, contest.champion, limits, n_rows, contest.left_out)
        findings = (self._score(duel), *limits, *self._slices(duel), *self._calibration(duel))
        failed = [one for one in findings if one.state == "failed"]
        reason = "; ".join(one.reason for one in failed) or findings[0].reason
        state: Ruled = "kept" if failed else "promoted"
        return Ruling(state, reason, contest.champion, findings, n_rows, contest.left_out)

    def _obstacle(self, duel: Duel, left_out: int) -> str:
        """Why the rows don't suffice, or nothing."""
        seen = f" beside {left_out:,} that one of the two may have been trained on" if left_out else ""
        if len(duel.y) < self.least_rows:
            return f"the holdout has {len(duel.y):,} rows{seen}, fewer than promotion.least_rows={self.least_rows}"
        if duel.groups is not None and duel.n_units < self.least_groups:
            least = f"promotion.least_groups={self.least_groups}"
            return f"the holdout has {duel.n_units:,} groups{seen}, fewer than {least}"
        weights = (np.ones(len(duel.y)) if duel.weight is None else duel.weight)[None, :]
        values = [one(weights)[0] for one in duel.statistics()]
        if not np.isfinite(values).all():
            return f"{duel.metric} isn't defined on the {len(duel.y):,} rows of the holdout that are left{seen}"
        return ""

    def _score(self, duel: Duel) -> Finding:
        """Whether it is better, or not worse within the margin and cheaper."""
        both = duel.statistics()
        zero = metrics.value(duel.metric, duel.y, duel.constant, duel.weight)
        value, found = duel.resampled(lambda weights: np.stack([one(weights) for one in both], axis=1), self.resamples)
        better, resamples = duel.sign * (value[1] - value[0]), duel.sign * (found[:, 1] - found[:, 0])
        gain = duel.sign * (value[0] - zero)
        margin = self.margin * max(0.0, float(np.nan_to_num(gain)))
        p_better = one_sided(float(better), resamples, duel.n_units)
        p_as_good = one_sided(float(better) + margin, resamples + margin, duel.n_units)
        numbers = {
            "champion": Number(float(value[0]), *middle(found[:, 0])),
            "challenger": Number(float(value[1]), *middle(found[:, 1])),
            "better_by": Number(float(better), *middle(resamples)),
            "p": Number(p_better),
            "margin": Number(margin),
            "p_within_margin": Number(p_as_good),
            **_costs(duel.costs),
        }
        state, reason = self._judged(duel, p_better, p_as_good, numbers["better_by"])
        return Finding("score", state, reason, numbers)

    def _judged(self, duel: Duel, p_better: float, p_as_good: float, better: Number) -> tuple[State, str]:
        ends = f"{duel.metric} better by {better.value:.3g} ({better.low:.3g} to {better.high:.3g})"
        if p_better <= self.level:
            return "passed", f"{ends}, p {p_better:.2g}"
        as_good = p_as_good <= self.level
        if as_good and _is_cheaper(duel, self.cheaper):
            margin = f"promotion.margin={self.margin:g}"
            return "passed", f"as good within {margin} ({ends}), and cheaper: {_words(duel.costs)}"
        why = "as good, but not cheaper" if as_good else f"not significantly, p {p_better:.2g}"
        return "failed", f"{ends}: {why}"

    def _within_limits(self, footprint: Footprint | None) -> tuple[Finding, ...]:
        limits = Limits(self.megabytes, self.milliseconds)
        if not limits or footprint is None:
            return ()
        over = {key: value for key in limits.known if (value := getattr(footprint, key)) > limits.known[key]}
        said = " and ".join(f"{value:.3g} of promotion.{key}={limits.known[key]:g}" for key, value in over.items())
        numbers = {key: Number(getattr(footprint, key)) for key in limits.known}
        return (Finding("limits", "failed" if over else "passed", said and f"over its limits: {said}", numbers),)

    def _slices(self, duel: Duel) -> tuple[Finding, ...]:
        if self.slice_level is None or duel.slices is None:
            return ()
        return (judged(duel, self.slice_level, self.slice_rows, self.slice_rows_of_a_class, self.resamples),)

    def _calibration(self, duel: Duel) -> tuple[Finding, ...]:
        if self.calibration is None or not duel.problem.is_classification:
            return ()
        return (calibrated(duel, self.calibration, self.resamples),)


def _is_cheaper(duel: Duel, share: float) -> bool:
    """Quicker is only what was so each time: by its least time alone a model may seem quicker than itself."""
    if duel.costs is None:
        return False
    before, after = duel.costs
    size, time = after.megabytes / before.megabytes, after.milliseconds / before.milliseconds
    is_quicker = duel.slowest <= (1 - share) * before.milliseconds
    return (size <= 1 - share and time <= 1 + share) or (is_quicker and size <= 1 + share)


def _costs(costs: tuple[Footprint, Footprint] | None) -> dict[str, Number]:
    if costs is None:
        return {}
    return {
        f"{who}_{key}": Number(getattr(one, key))
        for key in ("megabytes", "milliseconds")
        for who, one in zip(("champion", "challenger"), costs, strict=True)
    }


def _words(costs: tuple[Footprint, Footprint] | None) -> str:
    assert costs is not None
    before, after = costs
    size = f"{after.megabytes:.3g} MB instead of {before.megabytes:.3g}"
    return f"{size}, {after.milliseconds:.3g} ms for 1,000 rows instead of {before.milliseconds:.3g}"

