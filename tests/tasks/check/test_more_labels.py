"""What twice as many labels would buy is foreseen from how the winner did on half of them and on a quarter."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import replace
from statistics import fmean

import pytest
from on_iris import experiment

from tasks import model as models
from tasks.check import Case
from tasks.check.more_labels import MoreLabels, next_gain
from tasks.metric import METRICS, value
from tasks.records import Member, Proposal
from tasks.trial import run_trial
from tasks.workspace import Experiment, training_of, workspace_of

CHECK = MoreLabels(halvings=2, folds=3)
LINEAR = ("source.name=breast_cancer", "folds.n_splits=3", "model=linear", "metric=log_loss")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("more_labels")
    with chdir(folder):
        made: Experiment = replace(experiment(*LINEAR), digest=str(folder), folder=str(folder / "study"))
        proposal = Proposal(0, "linear", {"penalty": 1.0})
        assert run_trial(made, proposal).error is None
        yield Case(made, folder, folder, folder, (Member(proposal, 1.0),))


def test_errors_that_fall_by_a_power_law_are_foreseen_exactly() -> None:
    error = [2 + 5 * n**-0.4 for n in (25, 50, 100, 200)]
    assert next_gain(error[1] - error[2], error[0] - error[1]) == pytest.approx(error[2] - error[3])


def test_a_gain_that_grows_or_comes_from_nothing_is_not_foreseen_to_grow_on() -> None:
    assert [next_gain(0.3, 0.1), next_gain(0.3, -0.1), next_gain(0.3, None), next_gain(-0.1, 0.2)] == [0.3, 0.3, 0.3, 0]


def test_each_point_is_what_the_winner_scores_on_so_many_rows_beside_all(case: Case) -> None:
    found = CHECK.measure(case)
    assert found.state == "told"
    family, training = case.experiment.families["linear"], training_of(case.experiment)
    lacks = []
    for fold in range(3):
        n = len(training.folds[fold][0]) // 2
        scores = []
        for n_rows in (n, None):
            done = family.validate(workspace_of(case.experiment, "linear"), fold, {"penalty": 1.0}, 0, n_rows=n_rows)
            rows = training.fold(fold, n_rows)[1]
            kept = [row in training.fold(fold, n)[1] for row in rows]
            scores.append(value("log_loss", training.y[rows[kept]], done.prediction[kept]))
        lacks.append(scores[0] - scores[1])
    assert found.numbers["bought_by_the_last_doubling"].value == pytest.approx(fmean(lacks), abs=1e-5)
    half, whole = (list(found.parts.values())[place]["score"].value for place in (1, 2))
    assert half - whole == pytest.approx(fmean(lacks), abs=1e-5)
    assert list(found.parts) == sorted(found.parts, key=lambda name: int(name.split()[0].replace(",", "")))
    assert METRICS["log_loss"].sign == -1
    assert "an estimate: twice as many labelled rows" in found.reason


def test_nothing_is_fitted_when_the_time_is_over(case: Case) -> None:
    found = CHECK.measure(replace(case, deadline=time.time() - 1))
    assert (found.state, found.reason) == ("not_measurable", "search.seconds left no time for it")


def test_too_few_rows_an_ensemble_and_a_fit_that_fails_are_not_measurable(case: Case) -> None:
    assert "too few to be halved 9 times" in MoreLabels(9, 3).measure(case).reason
    both = (Member(Proposal(0, "linear", {"penalty": 1.0}), 0.5),) * 2
    assert CHECK.measure(replace(case, members=both)).state == "not_measurable"

    class Broken:
        def validate(self, *arguments: object, **more: object) -> models.Validated:
            raise ZeroDivisionError("of a library")

        def workspace(self, *arguments: object) -> None:
            return None

    broken = replace(case.experiment, digest="broken", families={"linear": Broken()})
    found = CHECK.measure(replace(case, experiment=broken))
    assert found.state == "not_measurable"
    assert found.reason == "a fit on fewer rows failed: ZeroDivisionError: of a library"
