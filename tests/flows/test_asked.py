"""Calibration, threshold and costs that can't be are refused by their key before anything is computed."""

from __future__ import annotations

import pytest

from flows import asked
from flows.config import compose
from flows.plan import plan
from tasks.calibration.isotonic import Isotonic
from tasks.calibration.temperature import Temperature
from tasks.conclude import Asked
from tasks.records import Problem
from tasks.refusal import Refusal

TWO, THREE = Problem("binary", "y", ("no", "yes")), Problem("multiclass", "y", ("a", "b", "c"))
NUMBER = Problem("regression", "price", ())


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        (["threshold=0.3", "costs=[[0,1],[5,0]]"], "each decides which class is taken; leave one out"),
        (["threshold=roc_auc"], "threshold=roc_auc: no threshold changes this metric"),
        (["threshold=f2"], "threshold=f2: no such metric.*accuracy, balanced_accuracy, f1, f1_macro"),
        (["threshold=1"], "threshold=1: a probability lies between 0 and 1"),
        (["threshold=-0.5"], "threshold=-0.5: a probability"),
        (["threshold=true"], "threshold=True: a probability"),
        (["threshold=[0.1,0.2]"], "threshold="),
        (["costs=[[0,1]]"], r"costs=\[\[0,1\]\]: it is no square"),
        (["costs=[[0,1],[5]]"], "no square"),
        (["costs=3"], "costs=3: it is no square"),
        (["costs=[[0,-1],[5,0]]"], "a number of at least 0"),
        (["costs=[[0,a],[5,0]]"], "a number of at least 0"),
        (["costs=[[0,0],[0,0]]"], "leave costs out"),
        (["calibration=temperature", "calibration.largest=0.5"], "calibration.largest must be greater than 1"),
        (["calibration=platt"], "calibration=platt: no such choice.*isotonic, none, temperature"),
    ],
)
def test_what_can_t_be_is_refused_before_the_table_is_read(overrides: list[str], why: str) -> None:
    with pytest.raises(Refusal, match=why):
        plan(compose(["source=file", "source.path=nowhere.csv", *overrides]))


@pytest.mark.parametrize(
    ("problem", "overrides", "why"),
    [
        (THREE, ["threshold=0.3"], "threshold=0.3 is for two classes, and y has 3; say by costs"),
        (THREE, ["threshold=f1"], "threshold=f1 is for two classes"),
        (THREE, ["costs=[[0,1],[5,0]]"], "for 2 classes, and y has 3; give 3 rows of 3 numbers, in the order a, b, c"),
        (NUMBER, ["threshold=0.3"], "threshold=0.3: price poses a regression"),
        (NUMBER, ["costs=[[0,1],[5,0]]"], "costs=.*regression"),
        (NUMBER, ["calibration=isotonic"], "calibration=isotonic: price poses a regression, .*; leave calibration out"),
    ],
)
def test_what_does_not_fit_the_problem_is_refused(problem: Problem, overrides: list[str], why: str) -> None:
    with pytest.raises(Refusal, match=why):
        asked.check(compose(overrides), problem)


def test_what_fits_is_built() -> None:
    asked.check(compose(["threshold=f1", "calibration=temperature"]), TWO)
    asked.check(compose(["costs=[[0,1,1],[1,0,1],[1,1,0]]"]), THREE)
    asked.check(compose([]), NUMBER)
    assert asked.asked_of(compose(["calibration=isotonic", "threshold=0.3"])) == Asked(Isotonic(), 0.3)
    assert asked.asked_of(compose(["calibration=temperature"])).calibration == Temperature(20.0)
    assert asked.asked_of(compose(["costs=[[0,1],[5,0]]"])).costs == [[0, 1], [5, 0]]
    assert asked.asked_of(compose([])) == Asked()
