"""The main job from end to end, on a real Prefect server and a real MLflow store."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, FlowRunFilter

from flows.config import compose
from flows.pipeline import run
from flows.plan import plan
from flows.server import Server
from tasks.ensemble.greedy import Greedy
from tasks.records import Result
from tasks.refusal import Refusal

SMALL = ["search.trials=4", "folds.n_splits=3", "model.lightgbm.rounds=40"]
MIXED = ["source.target=y", "model_name=mixed", "model=[lightgbm,linear,forest]",
         "model.forest.hyperparameters.n_estimators=20", "search.trials=6", *SMALL[1:]]  # fmt: skip
PUBLIC_KEYS = {
    "run_id", "flow_run_id", "problem", "metric", "cv", "holdout", "looks", "corrected", "nested", "best", "trials",
    "split", "study", "ensemble",
    "model_uri", "model_name", "model_version", "checks", "mlflow_url", "prefect_url", "seconds",
    "report", "exports", "promotion",
}  # fmt: skip


@pytest.fixture(scope="module")
def result(place: Path) -> Result:
    return run(SMALL)


def children(client: mlflow.MlflowClient, run_id: str) -> list[Any]:
    return list(
        client.search_runs(["1"], f"tags.`mlflow.parentRunId` = '{run_id}'", order_by=["attributes.start_time"])
    )


def fold_files(place: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in place.glob("data/studies/*/*/folds/*/[!.]*.npz")}


def test_the_result_has_the_public_keys_and_beats_the_constant_baseline(result: Result) -> None:
    assert set(asdict(result)) == PUBLIC_KEYS
    score = result.holdout["roc_auc"]
    assert score.baseline == 0.5 < score.low <= score.value <= score.high <= 1
    assert set(result.holdout) == {
        "roc_auc", "log_loss", "accuracy", "balanced_accuracy", "f1", "f1_macro", "average_precision",
    }  # fmt: skip


def test_nothing_is_written_but_data_and_mlruns(result: Result, place: Path) -> None:
    assert {path.name for path in place.iterdir()} == {"data", "mlruns"}


def test_mlflow_has_one_finished_run_with_a_finished_child_per_trial(
    result: Result, client: mlflow.MlflowClient
) -> None:
    parent = client.get_run(result.run_id)
    nested = children(client, result.run_id)
    assert parent.info.status == "FINISHED"
    assert sorted(child.data.tags["finefold.trial"] for child in nested) == ["0", "1", "2", "3"]
    assert {child.info.status for child in nested} == {"FINISHED"}
    steps = client.get_metric_history(nested[0].info.run_id, "fold_roc_auc")
    assert sorted(point.step for point in steps) == [0, 1, 2]


def test_mlflow_tells_what_was_asked_and_what_came_out(result: Result, client: mlflow.MlflowClient) -> None:
    parent = client.get_run(result.run_id)
    assert parent.data.params["overrides"] == " ".join(SMALL)
    assert parent.data.params["folds"] == "stratified"
    assert parent.data.params["best.model"] == "lightgbm"
    assert "optimizer" not in parent.data.params
    assert parent.data.metrics["holdout_roc_auc"] == pytest.approx(result.holdout["roc_auc"].value)
    assert {f"cv_{name}{end}" for name in result.holdout for end in ("", "_se")} <= parent.data.metrics.keys()
    assert parent.data.metrics["parameters_learned"] > 10
    assert result.flow_run_id in parent.data.tags["prefect.url"]
    assert parent.inputs.dataset_inputs[0].dataset.name == "breast_cancer"
    plots = {Path(file.path).name for file in client.list_artifacts(result.run_id, "plots")}
    assert {"fold_scheme.png", "search_history.png", "confusion_matrix.png", "learning_curve.png"} <= plots
    config = json.loads(Path(client.download_artifacts(result.run_id, "config.json")).read_text())
    assert config["config"]["loss"]["_target_"] == "tasks.loss.cross_entropy.CrossEntropy"


def test_the_report_and_the_model_card_are_in_mlflow_and_the_result_says_where(
    result: Result, client: mlflow.MlflowClient
) -> None:
    told = Path(result.report).read_text()
    card = client.download_artifacts(result.run_id, "report/model_card.md")
    assert told == Path(client.download_artifacts(result.run_id, "report/report.html")).read_text()
    score = result.holdout["roc_auc"]
    assert f"{score.value:.3f}" in told
    assert f"{score.value:.3f}" in Path(card).read_text()
    assert told.count("data:image/svg+xml") >= 5
    assert "could not be made" not in told
    assert f"finefold run {' '.join(SMALL)}" in told


def test_prefect_has_a_task_run_per_stage_and_for_every_trial(result: Result) -> None:
    with get_client(sync_client=True) as prefect:
        mine = FlowRunFilter.model_validate({"id": {"any_": [result.flow_run_id]}})
        names = [task_run.name for task_run in prefect.read_task_runs(flow_run_filter=mine)]
        artifacts = prefect.read_artifacts(flow_run_filter=mine, artifact_filter=ArtifactFilter())
    assert {"prepare", "split", "finetune", "evaluate", "register"} <= set(names)
    trials = [name for name in names if name.startswith("trial")]
    spans = [[int(part) for part in name.split("-")[1:]] for name in trials]
    assert sorted(n for span in spans for n in range(span[0], span[-1] + 1)) == [0, 1, 2, 3]
    assert {artifact.key for artifact in artifacts} >= {"search-progress", "best-trials", "mlflow-run", "report"}
    (card,) = [artifact.data for artifact in artifacts if artifact.key == "report"]
    assert f"/runs/{result.run_id}/artifacts/report/report.html" in str(card)
    assert "# breast" in str(card)


def test_the_same_again_is_a_new_run_that_reuses_every_fold(
    result: Result, place: Path, client: mlflow.MlflowClient
) -> None:
    before = fold_files(place)
    again = run(SMALL)
    assert again.run_id != result.run_id
    assert again.trials.reused == 4
    assert (again.best, again.cv) == (result.best, result.cv)
    assert again.holdout == result.holdout
    assert fold_files(place) == before
    assert len(children(client, again.run_id)) == 4


def test_later_versions_of_a_name_are_challengers(result: Result, client: mlflow.MlflowClient) -> None:
    again = run(SMALL)
    aliases = client.get_registered_model("breast_cancer").aliases
    assert str(aliases["champion"]) == "1"
    assert str(aliases["challenger"]) == str(again.model_version)


def test_a_larger_budget_extends_the_search(result: Result) -> None:
    extended = run([*SMALL[1:], "search.trials=6"])
    assert (extended.trials.reused, extended.trials.finished) == (4, 6)


@pytest.mark.slow
def test_resume_never_begins_anew_and_finds_the_same(result: Result) -> None:
    anew = run([*SMALL, "resume=never"])
    assert anew.trials.reused == 0
    assert (anew.best, anew.cv) == (result.best, result.cv)


def test_the_registered_model_takes_raw_rows_and_is_stored_without_pickle(
    place: Path, prefect_server: Server, client: mlflow.MlflowClient
) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "size, in m²": rng.normal(size=300), "rooms": rng.integers(1, 9, 300).astype(str),
        "is [new]": rng.random(300) < 0.5, "town": rng.choice(["A", "B", "C"], 300),
    })  # fmt: skip
    frame["sold"] = np.where(frame["size, in m²"] + (frame["town"] == "A") > 0.3, "yes", "no")
    made = run(["source.target=sold", "model_name=towns", *SMALL], frame=frame)
    model = mlflow.pyfunc.load_model(made.model_uri)
    raw = frame.drop(columns="sold").head(20)
    raw.loc[0, "town"], raw.loc[1, "size, in m²"] = "never seen", np.nan
    answer = model.predict(raw)
    assert set(answer["prediction"]) == {"yes", "no"}
    assert answer[["probability_no", "probability_yes"]].sum(axis=1).to_numpy() == pytest.approx(1)
    folder = Path(mlflow.artifacts.download_artifacts(made.model_uri))
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]
    assert model.metadata.signature.inputs.input_names() == list(raw.columns)


@pytest.mark.skipif(find_spec("transformers") is None, reason='needs transformers: pip install "finefold[text]"')
def test_text_without_a_header_is_read_by_the_family_that_reads_it_and_by_no_other(
    place: Path, tmp_path: Path, prefect_server: Server
) -> None:
    from tiny_encoder import WORDS, tiny_encoder  # which needs the extra

    rng, lines = np.random.default_rng(0), list[str]()
    for _ in range(150):
        is_good, noise = rng.random() < 0.5, rng.choice(WORDS[8:], 5)
        lines.append(f"{' '.join(noise)} {'good' if is_good else 'bad'}\t{rng.normal():.3f}\t{int(is_good)}")
    (place / "reviews.tsv").write_text("\n".join(lines))
    made = run([
        "source=file", "source.path=reviews.tsv", "source.columns=[review,size,label]", "source.target=label",
        "model=[text_encoder,lightgbm]", f"model.text_encoder.encoder={tiny_encoder(tmp_path / 'encoder')}", *SMALL,
    ])
    assert made.best["hyperparameters"]["model"] == "text_encoder"
    assert made.holdout["roc_auc"].value > 0.9
    tags = mlflow.MlflowClient().get_run(made.run_id).data.tags  # of where its pre-trained weights are from
    assert tags["finefold.base"] == tags["finefold.base.origin"] == str(tmp_path / "encoder")
    assert (tags["finefold.base.licence"], len(tags["finefold.base.sha256"])) == ("unknown", 64)
    assert tags["finefold.base.strategy"] == "feature_extraction"
    found = {finding.check: finding for finding in made.checks.findings}  # the encoder counts as a base
    assert found["forgetting"].state == found["slices"].state == "not_measurable"
    assert found["forgetting"].numbers["distance"].value == 0  # of what is frozen
    assert "more_labels" in found
    assert len(list((place / "data" / "computed").iterdir())) == 1
    loaded = mlflow.pyfunc.load_model(made.model_uri)
    answer = loaded.predict(pd.DataFrame({"review": ["it was good", None], "size": [0.1, None]}))
    assert answer["prediction"].tolist()[0] == 1
    beside = run(["source=file", "source.path=reviews.tsv", "source.columns=[review,size,label]",
                  "source.target=label", *SMALL])  # fmt: skip
    named = mlflow.pyfunc.load_model(beside.model_uri).metadata.signature.inputs.input_names()
    assert named == ["size"]


@pytest.mark.slow
def test_a_base_is_gone_on_from(result: Result) -> None:
    # Of the portfolio a strongly penalised setting wins, which finds nothing to add to what knows these very rows.
    alone = "model.lightgbm.portfolio=[]"
    continued = run([*SMALL, "seed=1", alone, f"base={result.model_uri}", "model_name=continued"])
    loaded = mlflow.pyfunc.load_model(continued.model_uri).unwrap_python_model().predictor.fitted
    first = mlflow.pyfunc.load_model(result.model_uri).unwrap_python_model().predictor.fitted
    assert loaded.booster.num_trees() > first.booster.num_trees()


def in_parts() -> pd.DataFrame:
    """A target that is linear in one part and not in another, so that no family has all of it."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(600, 3)), columns=["a", "b", "c"])
    table["town"] = random.choice(["x", "y", "z"], 600)
    noise = random.normal(size=600) / 2
    return table.assign(y=2 * table["a"] + 3 * np.abs(table["b"]) * (table["town"] == "x") + noise)


@pytest.fixture(scope="module")
def mixed(place: Path) -> tuple[Result, Result]:
    """A search of three families, and the same one once more with an ensemble."""
    alone = run(MIXED, frame=in_parts())
    before = fold_files(place)
    combined = run([*MIXED, "ensemble=greedy"], frame=in_parts())
    assert fold_files(place) == before
    return alone, combined


@pytest.mark.slow
def test_an_ensemble_reuses_every_trial_and_is_better_out_of_fold(mixed: tuple[Result, Result]) -> None:
    alone, combined = mixed
    assert alone.ensemble is None
    assert combined.trials.reused == 6
    assert (combined.best, combined.cv) == (alone.best, alone.cv)
    assert combined.ensemble is not None
    assert combined.ensemble["is_used"]
    assert combined.ensemble["cv"]["mean"] < alone.cv["mean"]
    members = combined.ensemble["members"]
    assert sum(member["weight"] for member in members) == pytest.approx(1)
    assert len({member["hyperparameters"]["model"] for member in members}) > 1


@pytest.mark.slow
def test_an_ensemble_is_registered_as_one_model_that_takes_raw_rows(
    mixed: tuple[Result, Result], place: Path, client: mlflow.MlflowClient
) -> None:
    _, combined = mixed
    assert combined.ensemble is not None
    model = mlflow.pyfunc.load_model(combined.model_uri)
    (holdout,) = place.glob(f"data/studies/*/*/models/{model.metadata.metadata['finefold.fit']}-predictions.parquet")
    predicted = pd.read_parquet(holdout)["prediction"]
    answer = model.predict(in_parts().drop(columns="y"))["prediction"]
    assert set(predicted.round(9)) <= set(answer.round(9))
    assert len(model.unwrap_python_model().predictor.fitted.models) == 3 * len(combined.ensemble["members"])
    config = json.loads(Path(client.download_artifacts(combined.run_id, "ensemble.json")).read_text())
    assert config == {**combined.ensemble, "folds": [0, 1, 2]}
    run_ = client.get_run(combined.run_id)
    assert run_.data.params["ensemble"] == "greedy"
    assert run_.data.metrics["ensemble_cv_rmse"] == pytest.approx(combined.ensemble["cv"]["mean"])
    plots = {Path(file.path).name for file in client.list_artifacts(combined.run_id, "plots")}
    assert {"feature_importance.png", "residuals.png"} <= plots


@pytest.mark.slow
def test_a_search_that_keeps_the_models_of_its_folds_makes_the_same_ensemble(mixed: tuple[Result, Result]) -> None:
    again = run([*MIXED, "ensemble=greedy", "resume=never"], frame=in_parts())
    assert again.trials.reused == 0
    assert (again.ensemble, again.holdout) == (mixed[1].ensemble, mixed[1].holdout)


@pytest.mark.slow
def test_a_limit_is_held_by_the_final_model_and_both_are_tracked(
    result: Result, place: Path, client: mlflow.MlflowClient
) -> None:
    free = client.get_run(result.run_id).data.metrics
    assert free["model_megabytes"] > 0
    assert free["model_milliseconds"] > 0
    limit = 0.6 * free["model_megabytes"]
    small = run([*SMALL, f"search.megabytes={limit}", "search.milliseconds=1000", "model_name=small"])
    assert small.trials.reused == 0  # limits belong to a study's identity
    assert 0 < small.trials.over_limits < 4
    assert client.get_run(small.run_id).data.metrics["model_megabytes"] <= limit
    tags = [child.data.tags for child in children(client, small.run_id)]
    sizes = [float(of_trial["finefold.megabytes"]) for of_trial in tags]
    assert sum(size > limit for size in sizes) == small.trials.over_limits


def test_an_ensemble_is_held_to_the_limits_of_the_final_model_too(place: Path) -> None:
    for asked, megabytes in (("search.megabytes=3", 3), ("search.megabytes=300", 250), ("search.milliseconds=7", 250)):
        ensemble = plan(compose([*MIXED, "ensemble=greedy", asked, "source.path=x", "source=file"])).ensemble
        assert isinstance(ensemble, Greedy)
        assert ensemble.megabytes == megabytes
        assert ensemble.milliseconds == (7 if "milliseconds" in asked else None)


def test_a_base_with_an_ensemble_is_refused_before_anything_starts() -> None:
    with pytest.raises(Refusal, match=r"base=models:/x@champion with ensemble=greedy: .* leave one of the two out"):
        run([*SMALL, "model=lightgbm", "base=models:/x@champion", "ensemble=greedy"])


def test_the_cheapest_trial_and_an_ensemble_of_several_are_refused_together() -> None:
    with pytest.raises(Refusal, match=r"select=simplest with ensemble=greedy: .* leave one of the two out"):
        run([*SMALL, "model=lightgbm", "select=simplest", "ensemble=greedy"])


def test_it_works_in_a_running_event_loop(place: Path, prefect_server: Server) -> None:
    async def cell() -> Result:
        return run(["source.name=diabetes", "search=none", *SMALL[1:]])

    assert asyncio.run(cell()).problem == "regression"


def test_a_run_that_raised_goes_on_in_the_same_mlflow_run(
    place: Path, prefect_server: Server, client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.progress import Progress

    told: Callable[..., None] = Progress.told
    numbers: list[int] = []

    def interrupt(self: Progress, result: Any, trial: Any, *, is_reused: bool) -> None:
        told(self, result, trial, is_reused=is_reused)
        numbers.append(result.proposal.number)
        if len(numbers) == 2:
            raise KeyboardInterrupt

    overrides = ["source.name=iris", "tracking.experiment=interrupted", *SMALL]
    monkeypatch.setattr(Progress, "told", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(overrides)
    monkeypatch.setattr(Progress, "told", told)
    experiment = client.get_experiment_by_name("interrupted")
    assert experiment is not None
    (stopped,) = client.search_runs([experiment.experiment_id], "tags.`finefold.trial` IS NULL")
    finished = run(overrides)
    assert stopped.info.status == "FAILED"
    assert finished.run_id == stopped.info.run_id
    nested = client.search_runs([experiment.experiment_id], "tags.`finefold.trial` IS NOT NULL")
    assert sorted(child.data.tags["finefold.trial"] for child in nested) == ["0", "1", "2", "3"]
    assert {one.info.status for one in client.search_runs([experiment.experiment_id])} == {"FINISHED"}


def test_a_literal_password_from_a_form_fails_before_anything_is_read(prefect_server: Server, place: Path) -> None:
    from flows.pipeline import pipeline

    with pytest.raises(Refusal, match="rotate the password"):
        pipeline(["source=sql", "source.url=postgresql://me:s3cret@127.0.0.1/db", "source.query=q"])


@pytest.mark.slow
def test_a_net_is_found_fitted_tracked_and_served_by_its_own_packages(place: Path, client: mlflow.MlflowClient) -> None:
    if find_spec("torch") is None:
        pytest.skip('needs torch: pip install "finefold[neural]"')
    small = ["model.mlp.hyperparameters.epochs=6", "search.trials=3", "folds.n_splits=3", "search=random"]
    found = run(["model=mlp", "source.name=iris", "model_name=flowers", "optimizer=momentum", *small])
    assert found.trials.finished == 3
    assert found.holdout["log_loss"].value < found.holdout["log_loss"].baseline
    parent = client.get_run(found.run_id)
    n_parameters = parent.data.metrics["parameters_learned"]
    assert (parent.data.params["optimizer"], parent.data.params["optimizer.momentum"]) == ("momentum", "0.9")
    assert parent.data.metrics["parameters_trainable"] == n_parameters > 100
    assert parent.data.metrics["parameters_frozen"] == 0
    assert 1 <= parent.data.metrics["rounds"] <= 6
    assert float(parent.data.params["best.learning_rate"]) > 0
    assert "version.torch" in parent.data.params
    pinned = (Path(mlflow.artifacts.download_artifacts(found.model_uri)) / "requirements.txt").read_text()
    assert re.search(r"^torch==[\d.]+$", pinned, re.MULTILINE)
    model = mlflow.pyfunc.load_model(found.model_uri)
    rows = pd.DataFrame({name: [5.1, None] for name in model.metadata.get_input_schema().input_names()})
    assert set(model.predict(rows).filter(like="probability_").sum(axis=1).round(6)) == {1.0}
