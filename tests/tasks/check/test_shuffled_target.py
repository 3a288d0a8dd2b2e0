"""On a shuffled target an honest model scores as chance does; one that has seen what it is judged by fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from on_iris import experiment

from tasks.check import Case
from tasks.check.shuffled_target import ShuffledTarget
from tasks.model import Floats, Training, Validated
from tasks.records import Member, Proposal

CHECK = ShuffledTarget(folds=3, resamples=200)
LINEAR = ("source.name=breast_cancer", "folds.n_splits=3", "model=linear", "metric=roc_auc")


@dataclass(frozen=True)
class Knows:
    """Predicts the mean target of the rows that have the first feature's value, of all rows that it was given."""

    mean: Any

    def predict(self, X: pd.DataFrame) -> Floats:
        chance = X.iloc[:, 0].map(self.mean).to_numpy(dtype=np.float64)
        return np.column_stack([1 - chance, chance])


@dataclass(frozen=True)
class Leaky:
    """A family that learns levels' means before the rows are divided into folds."""

    def workspace(self, training: Training, base: Path | None, n_threads: int) -> Knows:
        return Knows(pd.Series(training.y).groupby(training.X.iloc[:, 0].to_numpy()).mean())

    def validate(self, workspace: Knows, fold: int, *_: Any, **__: Any) -> Validated:
        return Validated(np.zeros((0, 2)), None, (), workspace)  # type: ignore[arg-type]  # nothing else is asked of it


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("shuffled")
    with chdir(folder):
        made = replace(experiment(*LINEAR), digest=str(folder), folder=str(folder / "study"))
        yield Case(made, folder, folder, None, (Member(Proposal(0, "linear", {"penalty": 1.0}), 1.0),))


def test_an_honest_model_scores_as_a_constant_does(case: Case) -> None:
    found = CHECK.measure(case)
    assert (found.state, found.reason) == ("passed", "")
    assert found.numbers["of_a_constant"].value == 0.5
    assert abs(found.numbers["score"].value - 0.5) < 0.12


def test_a_model_that_has_seen_the_validation_rows_fails(case: Case) -> None:
    leaky = replace(case.experiment, families={"linear": Leaky()})
    found = CHECK.measure(replace(case, experiment=leaky))
    assert found.state == "failed"
    assert found.numbers["gain"].low > 0.2
    assert "it has seen the rows that it is judged by" in found.reason


def test_where_time_is_over_or_a_base_goes_on_nothing_is_measurable(case: Case) -> None:
    assert CHECK.measure(replace(case, deadline=1.0)).reason == "search.seconds left no time for it"
    on_base = replace(case.experiment, base=str(case.trained))
    assert CHECK.measure(replace(case, experiment=on_base)).state == "not_measurable"
