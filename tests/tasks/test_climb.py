"""What a climb tells of its rungs beside their scores."""

from __future__ import annotations

from collections.abc import Mapping

from flows.screen import climb_verdict
from tasks.climb import Climb, Kept, Rung
from tasks.comparison import Interval


def rung(name: str, folds: Mapping[int, float], after: float = 0.9, difference: Interval | None = None) -> Rung:
    score = Interval(sum(folds.values()) / len(folds), 0.0, 1.0)
    return Rung(name, score=score, folds=folds, difference=difference, n_trials=1, seconds=1.0, kept=Kept(0.9, after))


def climb(chosen: str, *rungs: Rung) -> Climb:
    return Climb(
        problem="binary", metric="roc_auc", split="x", n_folds=3, rho=0.5, base="models:/x/1", rungs=rungs, best=chosen,
        chosen=chosen, ended="", per_hour=None, unit="", run_id="run", mlflow_url="",
    )  # fmt: skip


FULL = rung("full", {0: 0.80, 1: 0.82, 2: 0.84}, after=0.6)
TIED, BEHIND = Interval(-0.01, -0.03, 0.01), Interval(-0.1, -0.15, -0.05)


def test_a_rung_that_forgets_less_and_may_be_as_good_is_named_beside_the_chosen_one() -> None:
    some = rung("lora", {0: 0.79}, 0.7, TIED)
    made = climb("full", FULL, some, rung("pooled", {0: 0.79}, 0.88, TIED), rung("as_is", {0: 0.7}, 0.9, BEHIND))
    assert climb_verdict(made).endswith(
        "pooled keeps more of the source (0.9 > 0.88) and may be as good: strategy=pooled"
    )


def test_where_nothing_is_forgotten_or_nothing_as_good_keeps_more_no_other_is_named() -> None:
    assert climb("full", FULL, rung("as_is", {0: 0.7}, 0.9, BEHIND)).keeps_more is None
    undefined = rung("full", {0: 0.8}, after=float("nan"))
    assert climb("full", undefined).keeps_more is None
    kept = rung("full", {0: 0.8}, after=0.9)
    assert climb("full", kept, rung("pooled", {0: 0.79}, 0.95, TIED)).keeps_more is None


def test_a_saving_is_told_of_what_is_tied_with_from_scratch_and_of_nothing_clearly_behind() -> None:
    scratch = rung("from_scratch", {0: 0.80, 1: 0.83, 2: 0.84})  # on average .0033 better, by an error of .0052
    worse = rung("lora", {0: 0.70, 1: 0.73, 2: 0.74})
    made = climb("full", FULL, scratch, worse)
    assert made.saving(FULL) is not None
    assert made.saving(worse) is None
