"""The ladder from end to end, on a real Prefect server and a real MLflow store."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from prefect.client.orchestration import get_client

from flows.alone import keep_limit, limit_of
from flows.cli import main
from flows.config import compose
from flows.finetune import FineTuned, climb, finetune, with_strategy
from flows.pipeline import run
from tasks.records import Result
from tasks.refusal import Refusal

pytestmark = pytest.mark.slow  # a climb is a search for each of its rungs

SMALL = ["folds=kfold", "folds.n_splits=3", "search.trials=3", "model.lightgbm.rounds=20", "source.target=y",
         "model.lightgbm.portfolio=[]", "model.lightgbm.start.min_data_in_leaf=5", "model.lightgbm.leaves.trees=20"]
CLIMBED = ["as_is", "recalibrate", "from_scratch", "feature_extraction", "full"]
PUBLIC_KEYS = {
    "problem", "metric", "split", "n_folds", "rho", "base", "rungs", "best", "chosen", "ended", "per_hour", "unit",
    "run_id", "mlflow_url",
}  # fmt: skip


def table(n: int, seed: int, *, scale: float = 1.0, level: float = 0.0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    X = pd.DataFrame({"a": random.normal(size=n), "b": random.normal(size=n), "town": random.choice(["x", "y"], n)})
    y = np.sin(2 * X["a"]) + X["b"] * (X["town"] == "x") + random.normal(size=n) / 10
    return X.assign(y=level + scale * y)


@pytest.fixture(scope="module")
def base(place: Path) -> Result:
    return run([*SMALL, "model.lightgbm.rounds=400", "model_name=broad"], frame=table(800, 0))


@pytest.fixture(scope="module")
def climbed(place: Path, base: Result) -> FineTuned:
    """The same relation in another unit, on few rows: a scale and a shift are all that is needed."""
    few = table(80, 1, scale=3.0, level=20.0)
    asked = [*SMALL, f"base={base.model_uri}", "model_name=own", "cost.per_hour=0.5", "cost.unit=EUR"]
    done = finetune(asked, frame=few)
    assert isinstance(done, FineTuned)
    return done


def test_the_climb_has_the_public_keys_and_a_line_for_every_rung(climbed: FineTuned) -> None:
    assert set(asdict(climbed.climb)) == PUBLIC_KEYS
    assert [rung.strategy for rung in climbed.climb.reached] == CLIMBED
    assert {rung.strategy for rung in climbed.climb.rungs} == set(compose(["strategy=ladder"]).config.strategy["rungs"])


def test_a_cheap_strategy_that_is_enough_is_chosen_and_registered(climbed: FineTuned) -> None:
    assert climbed.climb.chosen in ("recalibrate", "feature_extraction")
    model = mlflow.pyfunc.load_model(climbed.result.model_uri)
    new = table(200, 2, scale=3.0, level=20.0)
    error = np.sqrt(np.mean((model.predict(new.drop(columns="y"))["prediction"] - new["y"]) ** 2))
    assert error < 0.5 * new["y"].std()
    assert climbed.result.holdout["rmse"].value < 0.6 * climbed.result.holdout["rmse"].baseline


def test_every_rung_is_scored_on_the_same_folds(climbed: FineTuned) -> None:
    assert all(set(rung.folds or ()) == {0, 1, 2} for rung in climbed.climb.reached)
    as_is = climbed.climb.reached[0]
    assert as_is.score is not None
    assert as_is.score.value > 10  # the level has moved by twenty


def test_what_was_trained_is_counted(climbed: FineTuned) -> None:
    trained = {rung.strategy: rung.n_trained for rung in climbed.climb.reached}
    assert trained["as_is"] == 0
    assert trained["recalibrate"] == 2
    assert trained["from_scratch"] == climbed.climb.reached[2].n_parameters
    assert 0 < trained["full"] < climbed.climb.reached[4].n_parameters


def test_memory_and_time_are_those_of_this_process(climbed: FineTuned) -> None:
    assert all(100 < rung.megabytes < 4_000 and 0 < rung.seconds < 300 for rung in climbed.climb.reached)


def test_without_rows_of_the_source_forgetting_is_not_measurable_and_pooled_is_passed_by(climbed: FineTuned) -> None:
    assert all(rung.kept is None for rung in climbed.climb.reached)
    (pooled,) = [rung for rung in climbed.climb.rungs if rung.strategy == "pooled"]
    assert "keeps no rows of its source; give them by source_data=FILE" in pooled.error


def test_a_saving_is_told_only_of_what_is_as_good_as_from_scratch(climbed: FineTuned) -> None:
    made = climbed.climb
    saved = {rung.strategy: made.saving(rung) for rung in made.reached}
    assert saved["as_is"] is None
    assert saved["from_scratch"] is None  # of itself
    assert saved["recalibrate"] is not None


def test_the_parent_run_holds_a_run_for_each_rung_and_the_chosen_one(
    climbed: FineTuned, client: mlflow.MlflowClient
) -> None:
    made = climbed.climb
    below = client.search_runs(["1"], f"tags.`mlflow.parentRunId` = '{made.run_id}'")
    rungs = [run.data.tags["finefold.rung"] for run in below if "finefold.rung" in run.data.tags]
    assert sorted(rungs) == sorted(CLIMBED)
    assert climbed.result.run_id in {run.info.run_id for run in below}
    parent = client.get_run(made.run_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.params["strategy"] == made.chosen
    stored = json.loads(Path(mlflow.artifacts.download_artifacts(f"runs:/{made.run_id}/climb.json")).read_text())
    assert stored["chosen"] == made.chosen
    assert "| recalibrate |" in parent.data.tags["mlflow.note.content"]


def test_the_report_of_the_chosen_rung_has_the_ladder(climbed: FineTuned) -> None:
    told = Path(climbed.result.report).read_text()
    assert '<section id="ladder">' in told
    assert all(f'<th scope="row" class="l">{rung.strategy}</th>' in told for rung in climbed.climb.reached)
    assert "could not be made" not in told


def test_the_holdout_is_opened_for_the_chosen_rung_alone(climbed: FineTuned, client: mlflow.MlflowClient) -> None:
    below = client.search_runs(["1"], f"tags.`mlflow.parentRunId` = '{climbed.climb.run_id}'")
    judged = [run.info.run_id for run in below if any("holdout" in name for name in run.data.metrics)]
    assert judged == [climbed.result.run_id]


def test_climbed_again_every_trial_is_reused(climbed: FineTuned, base: Result) -> None:
    few = table(80, 1, scale=3.0, level=20.0)
    again: Any = finetune([*SMALL, f"base={base.model_uri}", "model_name=own"], frame=few)
    assert again.climb.chosen == climbed.climb.chosen
    assert [rung.folds for rung in again.climb.reached] == [rung.folds for rung in climbed.climb.reached]
    assert again.result.trials.reused == again.result.trials.finished


def test_a_rung_that_starts_far_behind_gets_one_trial_and_the_chosen_one_as_many_as_were_asked_for(
    climbed: FineTuned,
) -> None:
    trials = {rung.strategy: rung.n_trials for rung in climbed.climb.reached}
    assert trials["from_scratch"] == 1
    assert trials[climbed.climb.chosen] == 3
    assert climbed.result.trials.finished == 3


def test_one_strategy_by_name_is_an_ordinary_run(place: Path, base: Result) -> None:
    done = finetune([*SMALL, f"base={base.model_uri}", "strategy=full", "model_name=one"], frame=table(80, 1))
    assert isinstance(done, Result)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's own experiments: `shop` by recalibration, `rungs` by a ladder, `seed` by no strategy."""
    (tmp_path / "experiment").mkdir()
    for name, choice in (("shop", "strategy: recalibrate"), ("rungs", "strategy: ladder"), ("seed", "folds: kfold")):
        text = f"# @package _global_\ndefaults:\n  - override /{choice}\n"
        (tmp_path / "experiment" / f"{name}.yaml").write_text(text)
    monkeypatch.setenv("FINEFOLD_CONF", str(tmp_path))
    return tmp_path


def test_the_ladder_is_climbed_where_neither_what_was_typed_nor_an_experiment_names_a_strategy(shop: Path) -> None:
    knob = "strategy.hyperparameters.rehearsal=0.5"
    assert with_strategy(["seed=1", knob]) == ["strategy=ladder", "seed=1"]
    assert with_strategy(["experiment=seed", knob]) == ["strategy=ladder", "experiment=seed"]
    assert with_strategy(["experiment=rungs", knob]) == ["strategy=ladder", "experiment=rungs"]
    assert with_strategy(["experiment=shop", knob]) == ["strategy=recalibrate", "experiment=shop", knob]
    assert with_strategy(["experiment=shop", "strategy=full", knob]) == ["experiment=shop", "strategy=full", knob]
    assert with_strategy(["experiment=shop", "strategy=ladder", knob]) == ["experiment=shop", "strategy=ladder"]


def test_a_strategy_that_an_experiment_names_is_an_ordinary_run(place: Path, base: Result, shop: Path) -> None:
    asked = [*SMALL, f"base={base.model_uri}", "experiment=shop", "model_name=shop", "search.trials=1"]
    done = finetune(asked, frame=table(80, 1))
    assert isinstance(done, Result)
    assert mlflow.get_run(done.run_id).data.tags["finefold.base.strategy"] == "recalibrate"


def test_one_strategy_is_refused_by_the_flow_that_climbs_over_several(place: Path, base: Result, shop: Path) -> None:
    for named in ("strategy=recalibrate", "experiment=shop"):
        with pytest.raises(Refusal, match="strategy=recalibrate is one alone, and this flow climbs over several"):
            climb([*SMALL, f"base={base.model_uri}", named])


@pytest.mark.parametrize(("given", "said"), [
    ([], "finetune needs a model to go on from: base=models:/NAME@champion"),
    (["base=models:/nothing@champion"], "base=models:/nothing@champion isn't there"),
    (["strategy=lara"], "did you mean 'lora'?"),
])
def test_what_can_t_be_fine_tuned_is_refused(
    place: Path, given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["finetune", *given])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_ladder_is_climbed_by_finetune_alone() -> None:
    with pytest.raises(Refusal, match="`finefold finetune` does that"):
        run(["strategy=ladder", "base=models:/x@champion", "model=lightgbm"])


def test_a_strategy_without_a_base_is_refused() -> None:
    with pytest.raises(Refusal, match=r"strategy=lora needs a model to go on from: base="):
        run(["strategy=lora"])


def test_of_dear_rungs_one_goes_on_from_the_fold_that_all_were_looked_at_on(place: Path, base: Result) -> None:
    few = table(80, 1, scale=3.0, level=20.0)
    # By the rule of thumb every rung that trains trees is dearer than that, and no other is.
    dear = ["strategy=ladder", "strategy.trial_seconds=0.005", "strategy.rungs=[recalibrate,from_scratch,full]"]
    done: Any = finetune([*SMALL, f"base={base.model_uri}", "model_name=dear", *dear], frame=few)
    assert done.climb.reached[0].strategy == "recalibrate"
    looked = [rung for rung in done.climb.rungs if "looked at alone" in rung.error]
    went_on = {rung.strategy for rung in done.climb.reached} - {"recalibrate"}
    assert len(looked) + len(went_on) == 2
    assert len(went_on) <= 1
    for rung in looked:
        assert rung.error.startswith("rmse ")
        assert rung.seconds > 0
        assert f"({rung.seconds:.1f} s)" in rung.error


def test_begun_anew_every_fold_is_computed_once(place: Path, base: Result) -> None:
    few = table(80, 3, scale=3.0, level=20.0)
    small = ["strategy=ladder", "strategy.rungs=[recalibrate,full]", "resume=never"]
    done: Any = finetune([*SMALL, f"base={base.model_uri}", "model_name=anew", *small], frame=few)
    assert done.result.trials.reused == done.result.trials.finished


def test_a_grid_is_searched_whole_by_the_chosen_rung_and_by_others_in_part(place: Path, base: Result) -> None:
    few = table(80, 1, scale=3.0, level=20.0)
    grid = ["strategy=ladder", "strategy.rungs=[recalibrate,from_scratch,full]", "search=grid", "search.trials=50",
            "model.lightgbm.space.num_leaves=[7,15]"]  # fmt: skip
    done: Any = finetune([*SMALL, f"base={base.model_uri}", "model_name=grid", *grid], frame=few)
    trials = {rung.strategy: rung.n_trials for rung in done.climb.reached}
    assert set(trials) == {"recalibrate", "from_scratch", "full"}
    assert trials["from_scratch"] == 1
    assert done.result.trials.finished == trials[done.climb.chosen] == done.result.trials.requested


def test_the_chosen_rung_is_the_one_that_is_registered(climbed: FineTuned) -> None:
    made = climbed.climb
    (taken,) = [rung for rung in made.reached if rung.strategy == made.chosen]
    assert climbed.result.best["hyperparameters"].items() >= dict(taken.hyperparameters or {}).items()
    assert climbed.result.cv["mean"] == pytest.approx(np.mean(list((taken.folds or {}).values())))


def test_a_climb_whose_server_has_deployments_takes_keys_of_the_ladder(place: Path, base: Result) -> None:
    """Then every training looks whether its model has a limit, by a name that the configuration gives."""
    few, only = table(80, 1, scale=3.0, level=20.0), "strategy.rungs=[recalibrate]"
    with get_client(sync_client=True) as client:
        keep_limit(client, "another model")
        try:
            done: Any = finetune([*SMALL, f"base={base.model_uri}", "model_name=limited", only], frame=few)
        finally:
            client.delete_global_concurrency_limit_by_name(limit_of("another model"))
    assert done.climb.chosen == "recalibrate"


def test_a_hyperparameter_of_a_strategy_is_fixed_in_every_rung_that_has_it(
    place: Path, base: Result, tmp_path: Path
) -> None:
    few, rows = table(80, 1, scale=3.0, level=20.0), tmp_path / "source.parquet"
    table(300, 0).to_parquet(rows)
    asked = [*SMALL, f"base={base.model_uri}", "model_name=fixed", f"source_data={rows}",
             "strategy.rungs=[recalibrate,pooled]"]  # fmt: skip
    with pytest.raises(Refusal, match=r"strategy\.hyperparameters\.target_shore=1: no rung has it; did you mean 'targ"):
        finetune([*asked, "strategy.hyperparameters.target_shore=1"], frame=few)
    done: Any = finetune([*asked, "strategy.hyperparameters.target_share=0.3"], frame=few)
    chosen = {rung.strategy: dict(rung.hyperparameters or {}) for rung in done.climb.reached}
    assert set(chosen) == {"recalibrate", "pooled"}
    assert chosen["pooled"]["target_share"] == 0.3
    assert "target_share" not in chosen["recalibrate"]
