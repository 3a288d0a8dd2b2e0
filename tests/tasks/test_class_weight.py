"""Class weights: balanced as in scikit-learn, keyed by the user's names, and refused where they mean nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from tasks.class_weight import ClassWeight, by_code, check
from tasks.records import Problem
from tasks.refusal import Refusal

Y = np.array([0.0, 0, 0, 0, 1, 1, 2])
BINARY = Problem("binary", "income", ("<=50K", ">50K"))


def judged(asked: Any, problem: Problem) -> ClassWeight | None:
    check(asked)
    return by_code(asked, problem)


def refused(asked: Any, problem: Problem = BINARY) -> tuple[str, ...]:
    with pytest.raises(Refusal) as refusal:
        judged(asked, problem)
    return refusal.value.faults


def test_balanced_is_that_of_scikit_learn() -> None:
    np.testing.assert_allclose(ClassWeight(None).of_rows(Y, None), compute_sample_weight("balanced", Y))


def test_balanced_classes_weigh_alike_whatever_their_rows_weigh() -> None:
    own = np.array([1.0, 2, 3, 4, 0, 5, 6])
    weight = ClassWeight(None).of_rows(Y, own)
    np.testing.assert_allclose(np.bincount(Y.astype(int), weight), own.sum() / 3)
    assert weight[4] == 0


def test_a_class_that_no_row_has_or_whose_rows_weigh_nothing_harms_no_other() -> None:
    np.testing.assert_allclose(ClassWeight(None).of_rows(np.array([0.0, 2, 2]), None), [1.5, 0.75, 0.75])
    np.testing.assert_allclose(ClassWeight(None).of_rows(Y[:5], np.array([1.0, 1, 1, 1, 0])), [1, 1, 1, 1, 0])


def test_weights_multiply_those_of_the_rows() -> None:
    np.testing.assert_allclose(ClassWeight((1.0, 3.0, 0.5)).of_rows(Y, np.full(7, 2.0)), [2, 2, 2, 2, 6, 6, 1])


def test_weights_are_given_by_the_users_own_names_and_a_class_without_one_counts_once() -> None:
    assert by_code({">50K": 3}, BINARY) == ClassWeight((1.0, 3.0))
    assert by_code({"1": 2.0, 0: 4}, Problem("multiclass", "y", (0, 1, 2))) == ClassWeight((4.0, 2.0, 1.0))
    assert by_code({"True": 2}, Problem("binary", "y", (False, True))) == ClassWeight((1.0, 2.0))
    assert by_code("balanced", BINARY) == ClassWeight(None)
    assert by_code(None, Problem("regression", "y", ())) is None


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf"), "three", True, None])
def test_a_weight_that_is_no_number_above_0_is_refused_with_its_class(weight: object) -> None:
    (fault,) = refused({">50K": weight})
    assert fault == f"class_weight: the weight of >50K must be a number greater than 0, got {weight}."


@pytest.mark.parametrize("asked", ["balancd", 3, {}, ["a"]])
def test_another_form_is_refused(asked: object) -> None:
    assert refused(asked)[0].startswith(f"class_weight={asked}: ")


def test_names_that_are_no_classes_are_refused_all_at_once() -> None:
    faults = refused({">50k": 2, "rich": 3})
    assert len(faults) == 2
    assert "income has no class '>50k'; did you mean '>50K'?" in faults[0]
    assert "Classes: <=50K, >50K." in faults[1]


@pytest.mark.parametrize("asked", ["balanced", {"1": 2.0}])
def test_a_regression_has_no_classes(asked: object) -> None:
    assert "price poses a regression" in refused(asked, Problem("regression", "price", ()))[0]
