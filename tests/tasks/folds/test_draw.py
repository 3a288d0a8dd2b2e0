"""A table that folds can't split is refused with the key, the numbers and the remedy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    RepeatedStratifiedKFold,
    StratifiedGroupKFold,
    StratifiedKFold,
)

from tasks.folds import Splitter, draw
from tasks.folds.repeated import Repeated
from tasks.folds.time_ordered import TimeOrdered
from tasks.refusal import Refusal

Column = NDArray[np.generic]
NUMBER = np.linspace(0, 1, 20)
CODES = np.array([0.0] * 17 + [1.0] * 3)
NAMES = ("no", "yes")


def refusal(
    splitter: Splitter,
    y: Column,
    groups: Column | None = None,
    times: Column | None = None,
    classes: tuple[str, ...] | None = None,
    name: str | None = None,
) -> str:
    with pytest.raises(Refusal) as caught:
        draw(splitter, y, groups, times, classes=classes, name=name)
    return str(caught.value)


@pytest.mark.parametrize("splitter", [KFold(5), Repeated(5, 2, 0)])
def test_more_folds_than_rows_are_refused(splitter: Splitter) -> None:
    message = refusal(splitter, NUMBER[:3])
    assert message == "folds.n_splits=5 is too many: there are 3 rows; set folds.n_splits=3."


def test_a_single_row_is_refused_without_a_remedy_that_fails() -> None:
    message = refusal(KFold(5), NUMBER[:1])
    assert "two folds are the least" in message
    assert "set folds.n_splits" not in message


@pytest.mark.parametrize("splitter", [StratifiedKFold(5), StratifiedGroupKFold(5), Repeated(5, 2, 0)])
def test_a_class_with_fewer_rows_than_folds_is_refused_by_name(splitter: Splitter) -> None:
    message = refusal(splitter, CODES, groups=np.arange(20), classes=NAMES)
    assert message.startswith("folds.n_splits=5, but a class has fewer rows than that: 'yes' (3); set folds.n_splits=3")
    assert "label more rows of it" in message  # a fold without one of two classes has no score
    three = refusal(splitter, np.where(np.arange(20) > 17, 2, CODES), groups=np.arange(20), classes=(*NAMES, "maybe"))
    assert ("folds=grouped" if isinstance(splitter, StratifiedGroupKFold) else "folds=kfold") in three


def test_a_class_of_one_row_is_refused_without_fewer_folds_as_a_remedy() -> None:
    message = refusal(StratifiedKFold(5), np.array([0.0] * 9 + [1.0]), classes=NAMES)
    assert "'yes' (1); label more rows of it" in message


def test_of_many_rare_classes_five_are_named() -> None:
    message = refusal(StratifiedKFold(5), np.arange(9.0), classes=tuple("abcdefghi"))
    assert "classes have fewer rows than that: 'a' (1), 'b' (1), 'c' (1), 'd' (1), 'e' (1) and 4 more" in message


@pytest.mark.parametrize("splitter", [GroupKFold(3), StratifiedGroupKFold(3), LeaveOneGroupOut()])
def test_group_folds_without_a_group_column_are_refused(splitter: Splitter) -> None:
    message = refusal(splitter, CODES, classes=NAMES, name="grouped")
    assert message.startswith("folds=grouped needs a group column")
    assert "source.group=COLUMN" in message


@pytest.mark.parametrize("splitter", [GroupKFold(5), StratifiedGroupKFold(5)])
def test_more_folds_than_groups_are_refused(splitter: Splitter) -> None:
    message = refusal(splitter, NUMBER, groups=np.arange(20) % 4)
    assert message == "folds.n_splits=5 is too many: source.group has 4 groups; set folds.n_splits=4."


def test_forward_folds_without_a_time_column_are_refused() -> None:
    assert "source.time=COLUMN" in refusal(TimeOrdered(3), NUMBER)


@pytest.mark.parametrize("missing", [np.float64("nan"), np.datetime64("NaT", "D")])
def test_a_row_without_a_time_is_refused(missing: np.generic) -> None:
    times = np.arange(20).astype("datetime64[D]" if isinstance(missing, np.datetime64) else np.float64)
    times[[2, 9]] = missing
    assert "source.time has no value in 2 of 20 rows" in refusal(TimeOrdered(3), NUMBER, times=times)


def test_more_forward_folds_than_times_are_refused() -> None:
    message = refusal(TimeOrdered(5), NUMBER, times=np.arange(20) % 4)
    assert "source.time has 4 distinct times" in message
    assert "set folds.n_splits=3" in message
    assert len(draw(TimeOrdered(3), NUMBER, None, np.arange(20) % 4)) == 3


@pytest.mark.parametrize("splitter", [StratifiedKFold(3), StratifiedGroupKFold(3)])
def test_stratifying_a_number_is_refused(splitter: Splitter) -> None:
    assert "the target is a number; set folds=" in refusal(splitter, NUMBER, groups=np.arange(20))


def test_a_fold_that_would_train_on_one_class_is_refused() -> None:
    message = refusal(TimeOrdered(3), CODES, times=np.arange(20), classes=NAMES, name="time_ordered")
    assert message.startswith("folds=time_ordered: fold 1 has the class 'no' alone to train on")


def test_a_fold_that_would_have_no_rows_is_refused() -> None:
    class Hollow:
        def split(self, X: Column, y: Column, groups: Column | None) -> Iterator[tuple[Column, Column]]:
            yield np.arange(len(y)), np.arange(0)

    assert "fold 1 has no rows to validate" in refusal(Hollow(), NUMBER)


def test_what_a_splitter_outside_the_choices_has_against_the_table_is_a_refusal() -> None:
    splitter = RepeatedStratifiedKFold(n_splits=5, n_repeats=1)
    assert "least populated class" in refusal(splitter, CODES, classes=NAMES)
    assert "folds=LeaveOneGroupOut can't split these rows" in refusal(LeaveOneGroupOut(), NUMBER, groups=np.zeros(20))


def test_a_splitter_of_the_users_own_gets_the_groups() -> None:
    class Last:
        def split(self, X: Column, y: Column, groups: Column | None) -> Iterator[tuple[Column, Column]]:
            is_last = groups == np.max(groups)
            yield np.flatnonzero(~is_last), np.flatnonzero(is_last)

    [(train, valid)] = draw(Last(), NUMBER, np.arange(20) // 5, None)
    assert (len(train), valid.tolist()) == (15, [15, 16, 17, 18, 19])


@pytest.mark.parametrize(("splitter", "y", "classes"), [(KFold(3), NUMBER, None), (StratifiedKFold(3), CODES, NAMES)])
def test_a_table_that_can_be_split_is_not_refused(
    splitter: Splitter, y: Column, classes: tuple[str, ...] | None
) -> None:
    assert len(draw(splitter, y, None, None, classes=classes)) == 3
