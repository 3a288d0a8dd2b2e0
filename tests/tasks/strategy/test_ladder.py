"""The rule by which the ladder is climbed, and which rung is taken."""

from __future__ import annotations

from itertools import pairwise
from statistics import fmean, stdev

import numpy as np
import pytest

from flows.build import build
from flows.config import CONF, compose
from tasks.strategy.ladder import Ladder, beats, best_of, cheapest, chosen, rounds

RHO = 0.25  # of five folds
BASE = {0: 0.50, 1: 0.60, 2: 0.55, 3: 0.45, 4: 0.52}


def ladder(**changes: object) -> Ladder:
    built: Ladder = build({**compose(["strategy=ladder"]).config.strategy, **changes}, "strategy")
    return built


def moved(by: float, scatter: float = 0.001) -> dict[int, float]:
    """Scores that are better by so much on every fold, but for a little scatter."""
    signs = (1, -1, 1, -1, 0)
    return {fold: value + by + scatter * signs[fold] for fold, value in BASE.items()}


def test_every_rung_is_a_strategy_and_every_strategy_a_rung() -> None:
    assert set(ladder().rungs) == {path.stem for path in (CONF / "strategy").glob("*.yaml")} - {"ladder"}


def test_a_gain_counts_from_one_standard_error_of_the_paired_difference_on() -> None:
    gains = [0.01, 0.03, -0.01, 0.02, 0.015]
    error = stdev(gains) * (1 / 5 + RHO) ** 0.5
    ours = {fold: BASE[fold] + gain for fold, gain in enumerate(gains)}
    more = {fold: value + error - fmean(gains) + 1e-6 for fold, value in ours.items()}
    less = {fold: value - 2e-6 for fold, value in more.items()}
    assert beats(more, BASE, "roc_auc", RHO)
    assert not beats(less, BASE, "roc_auc", RHO)


def test_a_gain_of_an_error_is_a_fall() -> None:
    assert beats(moved(-0.1), BASE, "rmse", RHO)
    assert not beats(moved(0.1), BASE, "rmse", RHO)


def test_the_cheapest_within_one_standard_error_of_the_best_is_chosen() -> None:
    scores = {"as_is": BASE, "recalibrate": moved(0.1, 0.02), "lora": moved(0.101), "full": moved(0.102)}
    assert best_of(scores, "roc_auc") == "full"
    assert chosen(scores, "roc_auc", RHO) == "recalibrate"


def test_a_dearer_one_that_is_clearly_better_is_chosen() -> None:
    scores = {"as_is": BASE, "recalibrate": moved(0.01), "full": moved(0.1)}
    assert chosen(scores, "roc_auc", RHO) == "full"


def test_climbing_ends_after_so_many_steps_without_gain_and_not_before() -> None:
    same = moved(0.05)
    climbed = [("as_is", BASE), ("feature_extraction", same), ("last_layers", same), ("lora", same)]
    assert not ladder(patience=2).is_over(climbed[:3], "roc_auc", RHO)
    assert ladder(patience=2).is_over(climbed, "roc_auc", RHO)


def test_a_gain_between_begins_the_count_anew() -> None:
    climbed = [("as_is", BASE), ("feature_extraction", BASE), ("last_layers", moved(0.1)), ("lora", moved(0.1))]
    assert not ladder(patience=2).is_over(climbed, "roc_auc", RHO)


def test_what_trains_nothing_of_the_base_ends_no_climb() -> None:
    idle = [("as_is", BASE), ("recalibrate", moved(-0.1)), ("from_scratch", moved(0.3))]
    assert not ladder(patience=1).is_over(idle, "roc_auc", RHO)
    # A model from scratch is no step of the ladder: what beats the other rungs, if not it, is a gain.
    assert not ladder(patience=1).is_over([*idle, ("full", moved(0.1))], "roc_auc", RHO)


@pytest.mark.parametrize(("seconds", "trials"), [(0.001, 30), (4.0, 30), (12.0, 10), (100.0, 1), (1e6, 1)])
def test_dear_rungs_get_fewer_trials(seconds: float, trials: int) -> None:
    assert ladder(trial_seconds=120.0, least_trials=1).n_trials(30, seconds) == trials


def test_no_rung_gets_more_trials_than_were_asked_for() -> None:
    assert ladder(least_trials=5).n_trials(2, 1e6) == 2


def test_a_rung_whose_first_trial_is_clearly_behind_is_not_tuned() -> None:
    best = moved(0.1, 0.02)
    assert ladder(reach=1.0).is_within_reach(moved(0.099, -0.02), best, "roc_auc", RHO)
    assert not ladder(reach=1.0).is_within_reach(BASE, best, "roc_auc", RHO)
    assert ladder(reach=100.0).is_within_reach(BASE, best, "roc_auc", RHO)
    assert ladder(reach=0.0).is_within_reach(best, best, "roc_auc", RHO)


@pytest.mark.parametrize("n_rungs", range(10))
@pytest.mark.parametrize("n_trials", [1, 7, 29, 199])
def test_half_of_the_rungs_are_left_in_each_round_and_all_share_a_third_of_the_trials(
    n_rungs: int, n_trials: int
) -> None:
    sizes = [size for size, _ in rounds(n_rungs, n_trials)]
    assert sizes[-1:] == ([2] if n_rungs > 1 else [])
    assert all(after == (before + 1) // 2 for before, after in pairwise(sizes))
    spent = sum(size * more for size, more in rounds(n_rungs, n_trials))
    assert spent <= max(n_trials / 3, 2 * (n_rungs > 1))  # two rungs have one trial each, however few there are


def test_all_rungs_begin_where_there_are_trials_for_them_and_otherwise_fewer() -> None:
    assert rounds(4, 29) == [(4, 1), (2, 2)]
    assert rounds(6, 29) == [(4, 1), (2, 2)]
    assert rounds(6, 199) == [(6, 3), (3, 7), (2, 11)]
    assert rounds(6, 7) == [(2, 1)]


def test_where_one_trial_was_asked_for_nothing_is_tuned() -> None:
    assert rounds(3, 0) == []


def test_of_looks_the_cheapest_is_taken_whose_losses_are_not_clearly_larger() -> None:
    random = np.random.default_rng(0)
    best = random.random(200)
    tied, worse = best + random.normal(size=200) / 10, best + 0.5
    assert cheapest({"last_layers": worse, "lora": tied + 1e-3, "full": best}) == "lora"
    assert cheapest({"last_layers": worse, "full": best}) == "full"
