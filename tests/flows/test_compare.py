"""Comparisons from end to end, on a real Prefect server and a real MLflow store."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from matplotlib.image import imread

from flows.cli import main
from flows.comparable import choices
from flows.compare import _finished, compare, known_to_all
from flows.config import compose
from flows.multirun import planned
from flows.pipeline import run
from flows.plan import plan
from tasks.comparison import Comparison, Standing
from tasks.folds import read_folds
from tasks.plot import Compared, draw_comparison
from tasks.refusal import Refusal
from tasks.study import loaded

FAST = ["folds.n_splits=3", "model.lightgbm.rounds=20", "model.lightgbm.portfolio=[]"]
SEARCHES = ["search=random,genetic", "search.trials=3", *FAST]
PUBLIC_KEYS = {
    "problem", "metric", "split", "n_folds", "best", "indistinguishable", "choices", "plot", "run_id", "mlflow_url",
    "report",
}  # fmt: skip


@pytest.fixture(scope="module")
def searches(place: Path) -> Comparison:
    return compare(SEARCHES)


def nested(client: mlflow.MlflowClient, run_id: str, experiment: str = "1") -> list[Any]:
    return list(client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'"))


def fold_scores(client: mlflow.MlflowClient, one: Standing) -> list[float]:
    """Of the choice's best trial, as the journal of its study has them."""
    study = client.get_run(one.run_id).data.tags["finefold.study"].replace("-", "/")
    best = max(loaded(Path("data/studies") / study).get_trials(), key=lambda trial: trial.value or 0.0)
    return [fold["value"] for fold in best.user_attrs["folds"]]


def test_the_result_has_the_public_keys_and_a_line_for_every_choice(searches: Comparison) -> None:
    assert set(asdict(searches)) == PUBLIC_KEYS
    assert [one.choice for one in searches.choices] == ["search=random", "search=genetic"]
    assert not searches.failed


def test_every_choice_spends_the_same_fold_fits(searches: Comparison) -> None:
    assert [one.fold_fits for one in searches.choices] == [9, 9]


def test_intervals_are_of_paired_differences_on_the_folds_that_all_share(
    searches: Comparison, client: mlflow.MlflowClient
) -> None:
    (best,) = (one for one in searches.choices if one.choice == searches.best)
    (other,) = (one for one in searches.choices if one.choice != searches.best)
    folds = read_folds(Path("data/splits") / searches.split)
    rho = np.mean([len(valid) / len(train) for train, valid in folds])
    paired = np.array(fold_scores(client, other)) - np.array(fold_scores(client, best))
    assert best.difference is None
    assert other.difference is not None
    assert other.difference.value == pytest.approx(paired.mean())
    reach = 4.302653 * paired.std(ddof=1) * np.sqrt(1 / 3 + rho)  # Student's t of 2 degrees of freedom, 97.5 %
    assert other.difference.high - other.difference.value == pytest.approx(reach, rel=1e-6)
    assert (other.choice in searches.indistinguishable) == (abs(paired.mean()) <= reach)


def test_one_mlflow_run_holds_the_runs_of_all_choices(searches: Comparison, client: mlflow.MlflowClient) -> None:
    parent = client.get_run(searches.run_id)
    assert (parent.info.status, parent.data.tags["kind"]) == ("FINISHED", "comparison")
    choices = {run.data.tags["finefold.choice"]: run.info.run_id for run in nested(client, searches.run_id)}
    assert choices == {one.choice: one.run_id for one in searches.choices}
    assert all(len(nested(client, one.run_id)) == 3 for one in searches.choices)
    assert searches.mlflow_url.endswith(f"{searches.run_id}?workflowType=machine_learning")


def test_the_table_the_picture_and_the_numbers_are_in_that_run(
    searches: Comparison, client: mlflow.MlflowClient
) -> None:
    parent = client.get_run(searches.run_id)
    kept = json.loads(Path(client.download_artifacts(searches.run_id, "comparison.json")).read_text())
    assert kept == json.loads(json.dumps(asdict(searches)))
    assert imread(client.download_artifacts(searches.run_id, "plots/comparison.png")).std() > 0.05
    cv = searches.choices[0].cv
    assert cv is not None
    assert parent.data.metrics["search:random/cv_roc_auc"] == pytest.approx(cv.value)
    assert "| search=genetic |" in parent.data.tags["mlflow.note.content"]


def test_the_report_has_the_table_the_picture_and_the_command(
    searches: Comparison, client: mlflow.MlflowClient
) -> None:
    told = Path(searches.report).read_text()
    assert told == Path(client.download_artifacts(searches.run_id, "report/report.html")).read_text()
    assert all(f'<th scope="row" class="l">{one.choice}</th>' in told for one in searches.choices)
    assert told.count("data:image/svg+xml") == 1
    assert f"finefold compare {' '.join(SEARCHES[:-1])}" in told


@pytest.mark.slow
def test_the_same_again_reuses_every_trial_in_a_run_of_its_own(searches: Comparison) -> None:
    again = compare(SEARCHES)
    assert [one.trials.reused for one in again.choices if one.trials] == [3, 3]
    assert again.run_id != searches.run_id
    assert [one.cv for one in again.choices] == [one.cv for one in searches.choices]
    assert [one.difference for one in again.choices] == [one.difference for one in searches.choices]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Compared]:
    """What is shown in the pictures, which are drawn as ever."""
    seen: list[Compared] = []

    def draw(path: Path, compared: Compared) -> Path:
        seen.append(compared)
        return draw_comparison(path, compared)

    monkeypatch.setattr("tasks.plot.draw_comparison", draw)
    return seen


@pytest.mark.slow
def test_families_are_compared_and_a_key_of_one_is_no_fault_of_the_other(
    place: Path, drawn: list[Compared], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compare", "model=lightgbm,linear", "search=none", *FAST, "output=json"])
    out, err = capsys.readouterr()
    made = json.loads(out.splitlines()[-1])
    assert (ended.value.code, err) == (0, "")
    assert [one["hyperparameters"]["model"] for one in made["choices"]] == ["lightgbm", "linear"]
    assert [one["fold_fits"] for one in made["choices"]] == [3, 3]
    assert Path(made["plot"]).exists()
    assert f"best: {made['best']}" in out
    (shown,) = drawn
    assert (shown.score, shown.is_higher_better) == ("validation cost (cross_entropy)", False)
    assert [course.is_flat for course in shown.courses] == [False, True]


@pytest.mark.slow
def test_the_seven_optimizers_train_the_same_net_on_the_same_folds_to_costs_in_one_picture(
    place: Path, drawn: list[Compared], client: mlflow.MlflowClient
) -> None:
    pytest.importorskip("torch", reason='needs torch: pip install "finefold[neural]"')
    names = ["gradient_descent", "sgd", "mini_batch", "momentum", "adagrad", "rmsprop", "adam"]
    of_net = ["model=mlp", "model.mlp.hyperparameters.epochs=2", "model.mlp.portfolio=[]", "folds.n_splits=3"]
    made = compare([f"optimizer={','.join(names)}", *of_net, "search=none"])
    params = [client.get_run(one.run_id).data.params for one in made.choices]
    assert [param["optimizer"] for param in params] == names
    assert sum(one.difference is not None for one in made.choices) == len(names) - 1
    assert [(one.error, one.fold_fits) for one in made.choices] == [("", 3)] * len(names)
    assert [course.name for course in drawn[0].courses] == [one.choice for one in made.choices]
    assert drawn[0].score == "validation cost (cross_entropy)"
    assert not any(course.is_flat for course in drawn[0].courses)


@pytest.mark.slow
def test_costs_of_unlike_losses_are_in_no_one_picture(place: Path, drawn: list[Compared]) -> None:
    compare(["loss=focal", "loss.gamma=1,2", "search=none", *FAST])
    assert (drawn[0].score, drawn[0].is_higher_better) == ("roc_auc", True)


@pytest.mark.slow
def test_trials_of_a_grid_that_went_on_to_better_evidence_are_looked_at_beside_its_points(place: Path) -> None:
    asked = ["source.name=iris", "search=random", "search.trials=4", "model_name=points", *FAST]
    made = run(asked)
    found = _finished("points", made, replace(plan(compose(asked)), n_trials=1))
    assert (len(found.trials), found.winner.proposal.number) == (4, made.best["number"])


def test_a_choice_that_fails_is_told_and_loses_none_of_the_others(
    place: Path, client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compare", "model.lightgbm.hyperparameters.num_leaves=1,7,15", "search=none", *FAST, "output=json"])
    made = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert ended.value.code == 1
    failed, *others = made["choices"]
    assert failed["choice"] == "model.lightgbm.hyperparameters.num_leaves=1"
    assert "num_leaves" in failed["error"]
    assert failed["cv"] is None
    assert all(one["cv"]["value"] > 0.9 and not one["error"] for one in others)
    assert client.get_run(made["run_id"]).info.status == "FINISHED"


@pytest.mark.parametrize(
    ("overrides", "n_known"),
    [
        (["search=random,genetic"], 10),
        (["search=random,genetic", "model.lightgbm.portfolio=[]"], 1),
        (["search=random,grid", "search.trials=12"], 0),
        (["model=linear,lightgbm"], 0),
    ],
)
def test_it_is_known_which_settings_all_searches_begin_with(overrides: list[str], n_known: int, place: Path) -> None:
    assert known_to_all(planned(choices(overrides))) == n_known


def test_choices_that_do_not_fit_the_problem_are_refused_all_at_once_before_any_runs(
    place: Path, client: mlflow.MlflowClient
) -> None:
    before = len(client.search_runs(["1"]))
    with pytest.raises(Refusal) as refused:
        compare(["loss=mse,mae,cross_entropy", *FAST])
    assert [fault.split()[0] for fault in refused.value.faults] == ["loss=mse", "loss=mae"]
    assert len(client.search_runs(["1"])) == before


@pytest.mark.slow
def test_a_comparison_that_was_interrupted_goes_on(
    place: Path, client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.progress import Progress

    told: Callable[..., None] = Progress.told
    numbers: list[int] = []

    def interrupt(self: Progress, result: Any, trial: Any, *, is_reused: bool) -> None:
        told(self, result, trial, is_reused=is_reused)
        numbers.append(result.proposal.number)
        if len(numbers) == 5:
            raise KeyboardInterrupt

    overrides = [*SEARCHES, "source.name=iris", "tracking.experiment=interrupted"]
    monkeypatch.setattr(Progress, "told", interrupt)
    with pytest.raises(KeyboardInterrupt):
        compare(overrides)
    monkeypatch.setattr(Progress, "told", told)
    experiment = client.get_experiment_by_name("interrupted")
    assert experiment is not None
    (stopped,) = client.search_runs([experiment.experiment_id], "tags.kind = 'comparison'")
    made = compare(overrides)
    reused = [one.trials.reused for one in made.choices if one.trials]
    assert stopped.info.status == "FAILED"
    assert (reused[0], reused[1] >= 1) == (3, True)
    assert {run.info.run_id for run in nested(client, made.run_id, experiment.experiment_id)} == {
        one.run_id for one in made.choices
    }


def test_choices_that_would_be_selected_by_different_metrics_are_refused(place: Path) -> None:
    with pytest.raises(Refusal, match=r"loss=mse by rmse, loss=quantile by pinball_0.9\): name one that all share"):
        compare(["source=sklearn", "source.name=diabetes", "loss=mse,quantile", "search=none", *FAST])
