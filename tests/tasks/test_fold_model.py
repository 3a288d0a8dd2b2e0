"""Models of folds: which trials' are worth keeping, and that the others are removed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from tasks import fold_model
from tasks import model as models
from tasks.fold_model import best_complete, candidates, prune
from tasks.loss.mse import MSE
from tasks.records import FoldScore, Problem, Proposal, TrialResult
from tasks.study import fold_file
from tasks.workspace import Experiment

N_FOLDS = 2


def experiment(folder: Path, metric: str = "rmse") -> Experiment:
    return Experiment(
        digest="", folder=str(folder), split="", problem=Problem("regression", "y", ()), families={}, loss=MSE(),
        metric=metric, base=None, seed=0, n_folds=N_FOLDS, growth=2.0, n_threads=1, keep_models=True,
    )  # fmt: skip


def result(number: int, value: float, family: str = "a", n_folds: int = N_FOLDS, **hyperparameters: Any) -> TrialResult:
    folds = tuple(FoldScore(fold, value, 0.0, None, 0.0) for fold in range(n_folds))
    return TrialResult(Proposal(number, family, hyperparameters or {"x": number}), folds, None, was_cut=False)


def numbers(results: list[TrialResult]) -> list[int]:
    return [one.proposal.number for one in results]


@pytest.mark.parametrize(("metric", "expected"), [("rmse", [1, 3]), ("roc_auc", [0, 2])])
def test_the_best_are_the_best_by_the_metric_in_the_order_of_their_numbers(
    tmp_path: Path, metric: str, expected: list[int]
) -> None:
    results = [result(0, 0.9), result(1, 0.2), result(2, 0.8), result(3, 0.1)]
    assert numbers(best_complete(experiment(tmp_path, metric), results, 2)) == expected


def test_each_family_s_best_is_among_them(tmp_path: Path) -> None:
    results = [result(0, 0.1), result(1, 0.2), result(2, 0.3), result(3, 0.9, "b"), result(4, 0.8, "b")]
    assert numbers(best_complete(experiment(tmp_path), results, 3)) == [0, 1, 4]
    assert numbers(best_complete(experiment(tmp_path), results, 1)) == [0, 4]


def test_the_best_few_of_each_family_share_half_of_the_places(tmp_path: Path) -> None:
    """Log-losses of ten trees, then of five nets that are all worse."""
    results = [result(n, n / 100) for n in range(10)] + [result(10 + n, 1 + n / 100, "linear") for n in range(5)]
    assert numbers(best_complete(experiment(tmp_path), results, 8)) == [0, 1, 2, 3, 4, 5, 10, 11]


def test_of_equals_and_of_the_same_hyperparameters_the_first_counts(tmp_path: Path) -> None:
    results = [result(0, 0.5), result(1, 0.1, y=1), result(2, 0.1, y=1), result(3, 0.5)]
    assert numbers(best_complete(experiment(tmp_path), results, 2)) == [0, 1]


def test_what_failed_or_stopped_before_its_last_fold_is_never_among_them(tmp_path: Path) -> None:
    failed = TrialResult(Proposal(1, "a", {"x": 1}), (), "Traceback ...", was_cut=False)
    results = [result(0, 0.5), failed, result(2, 0.1, n_folds=1)]
    assert numbers(best_complete(experiment(tmp_path), results, 5)) == [0]


@pytest.fixture
def bagged(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Whether the models of folds are what an ensemble averages."""
    now = {"is": True}
    monkeypatch.setattr(fold_model, "training_of", lambda _: None)
    monkeypatch.setattr(fold_model, "are_bagged", lambda _: now["is"])
    return now


def test_beside_the_complete_trials_the_best_on_the_first_fold_are_candidates(
    tmp_path: Path, bagged: dict[str, bool]
) -> None:
    here = experiment(tmp_path)
    first = here.order[0]

    def on_first(number: int, value: float, **of: Any) -> TrialResult:
        return replace(result(number, value, **of), folds=(FoldScore(first, value, 0.0, None, 0.0),))

    lost, sampled = replace(on_first(4, 0.1), estimate=0.2), on_first(5, 0.1)
    sampled = replace(sampled, proposal=replace(sampled.proposal, n_rows=100))
    whole = result(6, 0.4, x=1)  # trial 1, judged on the other folds later
    results = [result(0, 0.5), on_first(1, 0.4), on_first(2, 0.3), on_first(3, 0.9), lost, sampled, whole]

    def chosen(n: int) -> list[list[int]]:
        return [numbers(some) for some in candidates(here, results, n)]

    assert chosen(3) == [[0, 6], [0, 2, 6]]
    assert chosen(1) == [[6], [2]]
    assert chosen(9) == [[0, 6], [0, 2, 3, 6]]
    bagged["is"] = False
    assert chosen(9) == [[0, 6]]
    bagged["is"] = True
    assert [numbers(some) for some in candidates(here, [result(0, 0.5), lost, whole], 9)] == [[0, 6]]


def test_models_of_all_but_the_best_are_removed_and_their_predictions_stay(
    tmp_path: Path, bagged: dict[str, bool]
) -> None:
    here = experiment(tmp_path)
    lost = replace(result(4, 0.1, n_folds=1), estimate=0.3)
    begun = [result(number, 0.2, n_folds=1) for number in (3, 5)]  # to be judged on the other folds, if any
    first = result(6, 0.5)  # the best on the first fold, not in all
    folds = tuple(replace(fold, value=0.01 if fold.fold == here.order[0] else 0.99) for fold in first.folds)
    results = [result(0, 0.5), result(1, 0.1, y=1), result(2, 0.1, y=1), lost, *begun, replace(first, folds=folds)]
    files = {
        (one.proposal.number, fold): fold_file(tmp_path, one.proposal, fold)
        for one in results
        for fold in range(len(one.folds))
    }
    for file in files.values():
        file.with_suffix("").mkdir(parents=True, exist_ok=True)
        file.touch()
    prune(here, results, 1)
    left = {key for key, file in files.items() if file.with_suffix("").exists()}
    assert left == {(1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (6, 0), (6, 1)}
    assert all(file.exists() for file in files.values())


class Several:
    """A family whose final model is of three, which notes what it is asked to fit."""

    asked: ClassVar[list[dict[str, Any]]] = []

    def final(self, hyperparameters: dict[str, Any], rounds: int | None) -> tuple[dict[str, Any], int | None]:
        return {**hyperparameters, "models": 3}, rounds

    def n_models(self, hyperparameters: dict[str, Any]) -> int:
        return int(hyperparameters.get("models", 1))

    def of_fewer(self, hyperparameters: dict[str, Any], n: int) -> dict[str, Any]:
        return {**hyperparameters, "models": n}

    def fit(self, workspace: Any, hyperparameters: dict[str, Any], *more: Any) -> Any:
        self.asked.append(hyperparameters)
        return SimpleNamespace(n_parameters=1)


def test_with_folds_in_time_a_member_is_of_as_many_models_as_a_final_fit_and_so_is_its_time(
    tmp_path: Path, bagged: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    bagged["is"] = False
    monkeypatch.setattr(fold_model, "workspace_of", lambda *_: None)
    monkeypatch.setattr(models, "save", lambda fitted, folder: None)
    families: dict[str, Any] = {"a": Several()}
    it, one = replace(experiment(tmp_path), families=families), result(0, 0.5)
    one = replace(one, folds=tuple(replace(fold, seconds=2.0) for fold in one.folds))
    assert fold_model.seconds(it, [one]) == pytest.approx(2.0 * it.growth * it.growth * 3)
    assert len(fold_model.models_of(it, one)) == 1
    assert Several.asked == [{"x": 0, "models": 3}]
    assert fold_model.seconds(it, [one]) == 0
