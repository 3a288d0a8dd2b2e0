"""The target poses the right problem, in the user's own values, or is refused with a remedy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.records import Roles
from tasks.refusal import Refusal
from tasks.target import Target, codes_of, find_target

ROLES = Roles("y", (), (), (), (), (), None, None, None, None, False)


def found(values: Any, problem: str = "auto", **roles: Any) -> Target:
    return find_target(pd.Series(values, name="y"), replace(ROLES, **roles), problem)


def refusal(values: Any, problem: str = "auto", **roles: Any) -> str:
    with pytest.raises(Refusal) as caught:
        found(values, problem, **roles)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "kind", "classes"),
    [
        (["no", "yes"] * 5, "binary", ("no", "yes")),
        ([True, False] * 5, "binary", (False, True)),
        ([True, False, None] * 5, "binary", (False, True)),
        (["True", "False"] * 5, "binary", ("False", "True")),
        ([1, 0] * 5, "binary", (0, 1)),
        ([1.0, 0.0, None] * 5, "binary", (0, 1)),
        (["1", "0"] * 5, "binary", ("0", "1")),
        ([2.5, 0.5] * 5, "binary", (0.5, 2.5)),
        (["a", "b", "c"] * 5, "multiclass", ("a", "b", "c")),
        (["10", "9", "8"] * 5, "multiclass", ("8", "9", "10")),
        ([10, 9, 8] * 5, "multiclass", (8, 9, 10)),
        (list(range(20)) * 2, "multiclass", tuple(range(20))),
        (list(range(21)) * 2, "regression", ()),
        ([0.5, 1.5, 2.0] * 5, "regression", ()),
        (["0.5", "1.5", "2.0"] * 5, "regression", ()),
    ],
)
def test_the_problem_and_the_classes_follow_from_the_values(values: Any, kind: str, classes: tuple[Any, ...]) -> None:
    target = found(values, drop_missing_target=True)
    assert (target.problem.kind, target.problem.classes) == (kind, classes)
    assert [type(label) for label in target.problem.classes] == [type(label) for label in classes]
    known = pd.Series(values, dtype=object).dropna()
    if classes:
        assert [classes[int(code)] for code in target.codes.dropna()] == known.tolist()
    else:
        assert target.codes.tolist() == known.astype(float).tolist()


@pytest.mark.parametrize(
    ("values", "problem", "kind"),
    [
        ([1, 2, 3] * 5, "regression", "regression"),
        ([0, 1] * 5, "regression", "regression"),
        (list(range(30)), "multiclass", "multiclass"),
        (["a", "b"] * 5, "multiclass", "binary"),
    ],
)
def test_the_problem_that_is_asked_for_wins(values: Any, problem: str, kind: str) -> None:
    assert found(values, problem).problem.kind == kind


def test_what_was_decided_is_said_with_the_override_that_changes_it() -> None:
    assert found(["no", "yes"]).notes[-1] == "the positive class is yes; source.positive=no changes it"
    assert "problem=regression changes it" in found([1, 2, 3]).notes[0]
    assert "problem=multiclass changes it" in found([1.5, 2, 3]).notes[0]


def test_the_positive_class_has_code_one() -> None:
    target = found(["no", "yes"], positive="no")
    assert target.problem.classes == ("yes", "no")
    assert target.codes.tolist() == [1.0, 0.0]


def test_codes_of_classes_are_found_by_their_text() -> None:
    assert codes_of((False, True)) == {"False": 0.0, "True": 1.0}
    assert codes_of((0, 2.5, "x")) == {"0": 0.0, "2.5": 1.0, "x": 2.0}


@pytest.mark.parametrize(
    ("values", "problem", "roles", "said"),
    [
        ([None, "a", "b"], "auto", {}, "1 of 3 values are missing; source.drop_missing_target=true leaves"),
        ([None, None], "auto", {}, "every value is missing; choose another source.target"),
        (["a", "a"], "auto", {}, "source.target=y is constant: every value is a; choose another"),
        ([3, None], "auto", {"drop_missing_target": True}, "source.target=y is constant: every value is 3"),
        ([1.0, np.inf], "auto", {}, "1 value is infinite"),
        ([1.0, np.inf, -np.inf, 3, 4.5], "regression", {}, "2 values are infinite"),
        ([*map(str, range(50)), "oops"], "auto", {}, "all but 1 of 51 values are numbers; correct or empty the others"),
        (["a", "b", "c"], "binary", {}, "problem=binary: y has 3 different values; choose problem=multiclass"),
        (["1", "2", "c"], "regression", {}, "1 of 3 values of y are no numbers (such as 'c')"),
        ([True, False], "regression", {}, "2 of 2 values of y are no numbers (such as 'True')"),
        (["no", "yes"], "auto", {"positive": "yess"}, "source.positive=yess: no such class; did you mean 'yes'?"),
        (["a", "b", "c"], "auto", {"positive": "a"}, "source.positive=a: only a binary problem has a positive class"),
    ],
)
def test_a_target_that_can_not_be_learned_is_refused(
    values: Any, problem: str, roles: dict[str, Any], said: str
) -> None:
    assert said in refusal(values, problem, **roles)


def test_all_faults_of_a_target_are_told_at_once() -> None:
    message = refusal(["a", "a", None])
    assert "is constant" in message
    assert "are missing" in message
