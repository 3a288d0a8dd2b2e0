"""A run comes out again as it was recorded, or what differs is named; else there is a way out in the refusal."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from flows import cli
from flows.budget import Budget
from flows.pipeline import run
from flows.reproduce import reproduce
from tasks.model import OutOfTimeError, Paced
from tasks.records import Result
from tasks.refusal import Refusal
from tasks.reproduction import Difference

combining, tuning = sys.modules["tasks.combine"], sys.modules["flows.tune"]
RNG = np.random.default_rng(0)
ASKED = ["source.target=y", "model=linear", "search=random", "search.trials=3", "folds.n_splits=3", "model_name=again",
         "check=[overfitting]"]  # fmt: skip


def table(n: int = 120) -> pd.DataFrame:
    made = pd.DataFrame(RNG.normal(size=(n, 3)), columns=list("abc"))
    return made.assign(y=np.where(made["a"] + RNG.normal(size=n) > 0, "yes", "no"))


TABLE = table()


@pytest.fixture(scope="module")
def made(place: Path) -> Result:
    return run(ASKED, frame=TABLE)


@contextmanager
def rewritten(file: Path, change: Any) -> Iterator[None]:
    """An artifact with another content, for the time of the block."""
    before = file.read_text()
    content = json.loads(before)
    change(content)
    file.write_text(json.dumps(content))
    try:
        yield
    finally:
        file.write_text(before)


def artifact(client: mlflow.MlflowClient, run_id: str, path: str) -> Path:
    """Where it lies, not a copy."""
    return Path(client.get_run(run_id).info.artifact_uri.removeprefix("file://")) / path


def refused(named: str, *overrides: str) -> str:
    with pytest.raises(Refusal) as caught:
        reproduce(named, overrides)
    return str(caught.value)


def test_a_run_given_by_its_champion_comes_out_again_and_changes_nothing(
    made: Result, client: mlflow.MlflowClient, place: Path
) -> None:
    studies = sorted(place.glob("data/studies/*/*"))
    again = reproduce("models:/again@champion")
    assert (again.is_equal, again.differences, again.causes, again.run_id) == (True, (), (), made.run_id)
    assert again.checked > 15
    assert [version.version for version in client.search_model_versions("name='again'")] == [1]
    assert sorted(place.glob("data/studies/*/*")) == studies
    assert not list(place.glob("data/reproduced/*/study"))
    assert again.reproduced is not None
    assert client.get_run(again.reproduced).data.tags["finefold.reproduces"] == made.run_id
    assert refused(again.reproduced).endswith(f"that run is itself a reproduction; reproduce {made.run_id}, as it did.")


@pytest.mark.slow
def test_nets_whose_final_fit_had_time_for_some_of_their_epochs_come_out_again(
    place: Path, client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason='needs torch: pip install "finefold[neural]"')
    slow = [f"model.mlp.hyperparameters.{one}" for one in ("epochs=8", "learning_rate=0.0003", "schedule=none")]
    net = ["model=mlp", *slow, "search=none", "model_name=net"]
    with monkeypatch.context() as patch:
        patch.setattr(Budget, "share", lambda *_: 0.2)
        short = run([text for text in ASKED if not text.startswith(("model", "search"))] + net, frame=TABLE)
    again = reproduce(short.run_id)
    params = client.get_run(short.run_id).data.params
    assert int(params["final.epochs"]) < 8
    assert int(params["final.nets"]) <= 4
    assert (again.is_equal, again.differences) == (True, ())


def test_trees_whose_final_fit_was_hurried_come_out_again(
    place: Path, client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def left(watch: Paced, n: int) -> int:
        """As if half of the time were gone at the first look."""
        return watch.hurried.setdefault(watch.n_rounds, n // 2) if not watch.hurried else n

    with monkeypatch.context() as patch:
        patch.setattr(Paced, "left", left)
        hurried = run([*ASKED, "model=lightgbm", "model_name=hurried"], frame=TABLE)
    again = reproduce(hurried.run_id)
    assert (again.is_equal, again.differences) == (True, ())
    assert json.loads(artifact(client, hurried.run_id, "outcome/outcome.json").read_text())["final"]["hurried"]


def test_a_grid_that_time_ended_comes_out_again_as_far_as_it_came(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(tuning, "_is_over", lambda loop, deadline: len(loop.results) >= 2)
        asked = [text for text in ASKED if not text.startswith("search")]
        short = run([*asked, "search=grid", "search.window=1", "model_name=grid"], frame=TABLE)
    again = reproduce(short.run_id)
    assert short.trials.finished == 2
    assert (again.is_equal, again.differences) == (True, ())


def test_a_run_that_had_no_time_for_an_ensemble_comes_out_again_without_one(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_time(*_: Any) -> None:
        raise OutOfTimeError

    with monkeypatch.context() as patch:
        patch.setattr(combining, "_costs", no_time)
        asked = [text for text in ASKED if not text.startswith(("model", "search"))]
        more = ["model=[linear,lightgbm]", "search.trials=6", "ensemble=greedy", "model_name=alone"]
        short = run([*asked, *more], frame=TABLE)
    assert short.ensemble is not None
    assert (short.ensemble["is_used"], short.ensemble.get("is_cut")) == (False, True)
    again = reproduce(short.run_id)
    assert (again.is_equal, again.differences) == (True, ())


@pytest.mark.slow
def test_an_ensemble_whose_nets_were_fitted_on_all_rows_comes_out_again(place: Path) -> None:
    pytest.importorskip("torch", reason='needs torch: pip install "finefold[neural]"')
    few = ["model.mlp.hyperparameters.epochs=3", "model=[lightgbm,mlp]", "ensemble=greedy", "model_name=nets"]
    made = run([text for text in ASKED if not text.startswith("model")] + few, frame=TABLE)
    assert made.ensemble is not None
    of_all = [one["trial"] for one in made.ensemble["members"] if one["is_of_all_rows"]]
    again = reproduce(made.run_id)
    assert (again.is_equal, again.differences) == (True, ())
    assert made.ensemble["is_used"]
    assert of_all


def test_what_an_earlier_study_gave_is_known_when_that_study_is_gone(made: Result, place: Path) -> None:
    asked = [*ASKED, "model_name=warm", "model.linear.portfolio=[]", f"search.warm_start={made.run_id}"]
    warm = run(asked, frame=TABLE)
    shutil.move(place / "data" / "studies", place / "data" / "elsewhere")
    try:
        again = reproduce(warm.run_id, frame=TABLE)
    finally:
        shutil.rmtree(place / "data" / "studies", ignore_errors=True)
        shutil.move(place / "data" / "elsewhere", place / "data" / "studies")
    assert again.is_equal, again.differences


def test_what_differs_is_named_with_what_explains_it_and_ends_with_1(
    made: Result, client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(outcome: dict[str, Any]) -> None:
        outcome["holdout"]["roc_auc"] = 0.25
        outcome["predictions"] = "another"
        outcome["versions"]["numpy"] = "1.0"

    with rewritten(artifact(client, made.run_id, "outcome/outcome.json"), change), pytest.raises(SystemExit) as ended:
        cli.main(["reproduce", made.run_id, "output=json"])
    assert ended.value.code == 1
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [one["what"] for one in told["differences"]] == ["holdout.roc_auc", "predictions"]
    assert told["differences"][0]["now"] == made.holdout["roc_auc"].value
    assert [one["what"] for one in told["causes"]] == ["versions.numpy"]
    assert any(note.startswith("other versions: numpy 1.0 then") for note in told["notes"])
    assert "predictions of 0 of " in told["notes"][-1]


def test_another_table_is_told_by_its_digest_and_its_search_is_spared(made: Result, place: Path) -> None:
    again = reproduce(made.run_id, frame=table(130))
    assert (again.is_equal, again.reproduced) == (False, None)
    assert again.differences[0].what == "identity.data"
    assert again.notes[0].startswith("the table is another")
    assert "120 rows then, 130 now" in again.notes[1]
    assert isinstance(again.differences[0], Difference)


def test_a_table_that_is_gone_or_moved_is_refused_with_how_to_give_it(
    made: Result, place: Path, client: mlflow.MlflowClient
) -> None:
    frames = place / "data" / "frames"
    (given,) = re.findall(r"source\.path=(\S+)", client.get_run(made.run_id).data.params["overrides"])
    frames.rename(place / "elsewhere")
    try:
        assert "reproduce(..., frame=FRAME) gives it again" in refused(made.run_id)
        moved = place / "elsewhere" / Path(given).relative_to("data/frames")
        assert reproduce(made.run_id, [f"source.path={moved}"]).is_equal
    finally:
        shutil.rmtree(frames, ignore_errors=True)
        (place / "elsewhere").rename(frames)


@pytest.mark.parametrize(("named", "said"), [
    ("0" * 32, "there is no such run in sqlite:///"),
    ("models:/agian@champion", "no model of that name in"),
    ("models:/again/7", "again has no such version; @champion is 1."),
    ("0" * 8, "begins so; finefold runs lists what there is"),
    ("breast_cancer", "not the name of a run; give the id of a run, at least the first four"),
])  # fmt: skip
def test_an_unknown_run_is_refused(made: Result, named: str, said: str) -> None:
    assert said in refused(named)


def test_what_is_no_finished_run_of_finefolds_is_refused(made: Result, client: mlflow.MlflowClient) -> None:
    experiment = client.get_run(made.run_id).info.experiment_id
    (child,) = client.search_runs([experiment], "tags.`finefold.trial` = '0'", max_results=1)
    assert f"that is one trial of run {child.data.tags['mlflow.parentRunId']}" in refused(child.info.run_id)
    foreign = client.create_run("0", run_name="foreign").info.run_id
    assert "that is no run of finefold's (foreign)" in refused(foreign)
    begun = client.create_run(experiment, tags={"finefold.study": "x"}).info.run_id
    assert "that run is RUNNING, and has no result to compare with" in refused(begun)
    client.delete_run(begun)
    assert f"run {begun} was deleted; restore it" in refused(begun)


@pytest.mark.parametrize("path", ["config.json", "outcome/outcome.json"])
def test_a_run_whose_artifacts_are_gone_is_refused(made: Result, client: mlflow.MlflowClient, path: str) -> None:
    file = artifact(client, made.run_id, path)
    file.rename(file.with_suffix(".gone"))
    try:
        assert f"{path} of run {made.run_id} is gone" in refused(made.run_id)
    finally:
        file.with_suffix(".gone").rename(file)


def test_only_what_decides_no_result_can_be_given(made: Result) -> None:
    assert refused(made.run_id, "seed=1").startswith("seed=1: a run is reproduced as it was recorded")
    with pytest.raises(SystemExit) as ended:
        cli.main(["reproduce"])
    assert ended.value.code == 2
