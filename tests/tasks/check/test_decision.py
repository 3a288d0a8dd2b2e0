"""What a decision saves is paired with the most probable class, on the holdout and out of fold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from judged import CLASSES, Sums, case

from tasks import decision as decisions
from tasks import metric as metrics
from tasks.check import Case
from tasks.check.decision import Decided
from tasks.decision import Decision, cross_tuned

N = 800
CHECK = Decided(resamples=100)


def table(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    chance = rng.beta(1, 4, N)
    return pd.DataFrame({"x": chance, "y": (rng.random(N) < chance).astype(np.float64)})


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory) -> Case:
    train, held = table(1), table(2)
    return case(tmp_path_factory.mktemp("decision"), CLASSES, "f1", train, held, Sums(is_classes=True),
                out_of_fold=list(train["x"]))


def decided(it: Case, decision: Decision) -> Case:
    (it.trained / decisions.FILE).write_text(decision.as_json())
    return Case(it.experiment, it.trained, it.predictions, None, it.members)


def test_without_a_decision_there_is_nothing_to_tell(it: Case) -> None:
    (it.trained / decisions.FILE).unlink(missing_ok=True)
    assert CHECK.measure(Case(it.experiment, it.trained, it.predictions, None, it.members)) is None


def test_dear_misses_make_their_costs_fall(it: Case) -> None:
    found = CHECK.measure(decided(it, Decision(((0.0, 1.0), (5.0, 0.0)))))
    assert found is not None
    held = table(2)
    expected = np.where(held["y"] == 1, 5.0 * (held["x"] <= 1 / 6), 1.0 * (held["x"] > 1 / 6)).mean()
    cost = found.parts["cost per row on the holdout"]
    assert cost["decided"].value == pytest.approx(expected)
    by_default = np.where(held["y"] == 1, 5.0 * (held["x"] <= 0.5), 1.0 * (held["x"] > 0.5)).mean()
    assert cost["by_default"].value == pytest.approx(by_default)
    assert cost["better"].value == pytest.approx(cost["by_default"].value - cost["decided"].value)
    assert found.parts["cost per row out of fold"]["better"].low > 0
    assert found.numbers["cost_per_row"] == cost["decided"]


def test_a_tuned_threshold_is_judged_out_of_fold_by_those_of_the_other_folds(it: Case) -> None:
    train = table(1)
    found = CHECK.measure(decided(it, Decision.at(0.21, "f1")))
    assert found is not None
    prediction = np.column_stack([1 - train["x"], train["x"]])
    y = train["y"].to_numpy()
    labels = cross_tuned("f1", y, prediction, None, [np.arange(N // 2), np.arange(N // 2, N)])
    expected = metrics.value("f1", y, prediction, None, labels)
    assert found.parts["f1 out of fold"]["decided"].value == pytest.approx(expected, abs=5e-3)
    assert found.parts["f1 on the holdout"]["better"].low > 0
    assert found.numbers["threshold"].value == 0.21
    assert "tuned for f1" in found.reason


def test_other_checks_see_the_labels_that_were_decided(it: Case) -> None:
    case_ = decided(it, Decision.at(0.2))
    held = table(2)
    prediction = np.column_stack([1 - held["x"], held["x"]])
    score = case_.prepared(held["y"].to_numpy(), prediction)(np.ones((1, N)))[0]
    assert score == metrics.value("f1", held["y"].to_numpy(), prediction, None, np.asarray(held["x"] > 0.2, dtype=int))
