"""The shipped tables are whole, and their classes have names."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tasks.refusal import Refusal
from tasks.source import load
from tasks.source.sklearn import Sklearn

_SHAPES = {"breast_cancer": (569, 31), "diabetes": (442, 11), "digits": (1797, 65), "iris": (150, 5), "wine": (178, 14)}


@pytest.mark.parametrize("name", _SHAPES)
def test_every_shipped_table_is_whole_and_has_its_target(name: str) -> None:
    table = load(Sklearn(name))
    assert table.shape == _SHAPES[name]
    assert table["target"].null_count == 0


def test_classes_go_by_their_names_and_digits_are_numbers() -> None:
    assert set(load(Sklearn("breast_cancer"))["target"].to_pylist()) == {"malignant", "benign"}
    assert set(load(Sklearn("iris"))["target"].to_pylist()) == {"setosa", "versicolor", "virginica"}
    assert load(Sklearn("digits"))["target"].type == pa.int64()
    assert load(Sklearn("diabetes"))["target"].type == pa.float64()


def test_malignant_is_what_scikit_learn_numbers_zero() -> None:
    assert load(Sklearn("breast_cancer"))["target"].to_pylist().count("malignant") == 212


def test_an_unknown_table_is_refused_with_a_suggestion() -> None:
    with pytest.raises(Refusal, match=r"source.name=breast_cancr: .*did you mean 'breast_cancer'\?.*wine"):
        Sklearn("breast_cancr")
