"""Racing: a clearly worse trial ends, a good one never does, and a learning curve's outlook is no pessimist."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest

from tasks.racing import Race, likely_gain, outlook, race
from tasks.records import FoldScore, Proposal, TrialResult

BEST = {0: 0.80, 1: 0.90, 2: 0.85, 3: 0.95}


def result(number: int, values: dict[int, float], estimate: float | None = None) -> TrialResult:
    folds = tuple(FoldScore(fold, value, 0.0, None, 0.0) for fold, value in values.items())
    return TrialResult(Proposal(number, "linear", {}), folds, estimate=estimate)


def against(spread: float = 0.01, z: float = 3.0, *, is_higher_better: bool = True) -> Race:
    return Race(BEST, fmean(BEST.values()), spread, is_higher_better, z)


@pytest.mark.parametrize("n_run", [1, 2, 3])
def test_a_trial_is_lost_beyond_z_deviations_of_the_mean_over_all_folds(n_run: int) -> None:
    bound = 3 * 0.01 * (1 / n_run - 1 / 4) ** 0.5
    for times, is_lost in ((0.99, False), (1.01, True)):
        values = {fold: BEST[fold] - times * bound for fold in range(n_run)}
        assert against().is_lost(values) is is_lost


def test_where_lower_is_better_a_higher_score_loses() -> None:
    assert against(is_higher_better=False).is_lost({0: 0.9})
    assert not against(is_higher_better=False).is_lost({0: 0.7})


def test_the_estimate_is_the_best_ones_mean_and_the_difference_so_far() -> None:
    for is_higher_better in (True, False):
        estimate = against(is_higher_better=is_higher_better).estimate({1: 0.80, 2: 0.80})
        assert estimate == pytest.approx(fmean(BEST.values()) - 0.075)


def test_there_is_no_race_before_three_trials_are_complete() -> None:
    told = [result(n, {fold: value - n / 100 for fold, value in BEST.items()}) for n in range(2)]
    stopped = result(2, {0: 0.5}, estimate=0.6)
    assert race([*told, stopped], 4, is_higher_better=True, z=3.0) is None
    third = result(3, {fold: value - fold / 100 for fold, value in BEST.items()})
    known = race([*told, stopped, third], 4, is_higher_better=True, z=3.0)
    assert known is not None
    assert known.best == BEST
    assert known.spread == pytest.approx(np.median([0.0, np.std([0, 1, 2, 3], ddof=1) / 100]))
    assert race([*told, third], 4, is_higher_better=True, z=None) is None


def test_equal_differences_everywhere_end_no_trial() -> None:
    """Without any spread nothing is known of the noise."""
    assert not against(spread=0.0).is_lost({0: 0.1})


@pytest.mark.parametrize("rate", [0.3, 0.5, 0.8, 1.2])
def test_the_outlook_of_a_curve_that_flattens_as_a_power_is_never_below_its_end(rate: float) -> None:
    curve = [(n, 1 - (n / 10) ** -rate) for n in range(10, 2001, 10)]
    for k in range(4, len(curve)):
        reach = outlook(curve[:k], 2000)
        assert reach is None or reach >= curve[-1][1] - 1e-9


def test_the_outlook_of_a_flat_curve_is_what_it_has_reached() -> None:
    curve = [(n, 1 - 0.5 ** (n / 5)) for n in range(10, 400, 10)]
    assert outlook(curve, 2000) == pytest.approx(1, abs=1e-3)


def test_a_curve_that_still_steepens_has_no_outlook_yet() -> None:
    assert outlook([(n, n**2) for n in range(10, 100, 10)], 2000) is None
    assert outlook([(10, 0.5), (20, 0.6), (30, 0.65)], 2000) is None


def test_as_many_trials_again_are_expected_to_bring_what_the_second_half_did() -> None:
    told = [result(n, {0: value}) for n, value in enumerate((0.70, 0.80, 0.75, 0.72, 0.83, 0.79, 0.81, 0.60))]
    assert likely_gain(told, 8, "roc_auc") == pytest.approx(0.03)
    assert likely_gain(told, 8, "rmse") == pytest.approx(0.10)
    assert likely_gain(told[:4], 8, "roc_auc") == 0
    assert likely_gain(told[:6], 6, "roc_auc") is None
    assert likely_gain(told[5:], 8, "roc_auc") is None


def test_the_best_that_is_raced_against_holds_the_limits() -> None:
    told = [result(n, {fold: value + 0.01 * n * (1 + fold % 2) for fold, value in BEST.items()}) for n in range(4)]
    over = [replace(one, excess={"megabytes": 0.1}) if one.proposal.number == 3 else one for one in told]
    free, within = (race(these, 4, is_higher_better=True, z=2.5) for these in (told, over))
    assert free is not None
    assert within is not None
    assert free.best == {fold.fold: fold.value for fold in told[3].folds}
    assert within.best == {fold.fold: fold.value for fold in told[2].folds}
    all_over = [replace(one, excess={"megabytes": 0.1}) for one in told]
    assert race(all_over, 4, is_higher_better=True, z=2.5) is None
