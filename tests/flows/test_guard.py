"""A fine-tuned model is judged in every run, and one that fails is neither champion nor challenger."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from flows.pipeline import run
from flows.pretrain import pretrain
from tasks.records import Result
from tasks.refusal import Refusal
from tasks.verdict import Finding

pytestmark = pytest.mark.slow  # whole runs; the core suite has those of test_pipeline

SMALL = ["search.trials=1", "folds.n_splits=3", "model.lightgbm.rounds=60", "source.target=y", "model_name=guarded"]


def table(slope: float, seed: int, n: int = 400) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    rows = pd.DataFrame(random.normal(size=(n, 2)).round(4), columns=["a", "b"])
    rows["town"] = random.choice(["x", "y"], n)
    return rows.assign(y=(slope * rows["a"] + rows["b"] + random.normal(size=n) / 4).round(4))


@pytest.fixture(scope="module")
def base(place: Path) -> str:
    """A model of another table, which keeps rows of it."""
    known = ["pretrain.origin=a table of numbers", "pretrain.licence=CC0-1.0"]
    return pretrain([*SMALL, *known], frame=table(3.0, 0)).model_uri


@pytest.fixture(scope="module")
def forgetful(base: str) -> Result:
    """Fine-tuned on rows that contradict the base's own."""
    return run([*SMALL, f"base={base}"], frame=table(-3.0, 2))


def finding(result: Result, check: str) -> Finding:
    return next(one for one in result.checks.findings if one.check == check)


def test_a_model_that_forgot_is_registered_and_named_neither_champion_nor_challenger(
    forgetful: Result, client: mlflow.MlflowClient
) -> None:
    found = finding(forgetful, "forgetting")
    assert found.state == "failed"
    assert found.numbers["fine_tuned"].value > 2 * found.numbers["base"].value
    assert forgetful.checks.gate == "failed"
    version = client.get_model_version("guarded", str(forgetful.model_version))
    assert version.tags["finefold.gate"] == "failed"
    assert version.aliases == []


def test_the_verdict_is_in_mlflow_as_numbers_tags_and_a_file(forgetful: Result, client: mlflow.MlflowClient) -> None:
    logged = client.get_run(forgetful.run_id).data
    worse = finding(forgetful, "forgetting").numbers["worse"]
    for name, value in (("", worse.value), ("_low", worse.low), ("_high", worse.high)):
        assert logged.metrics[f"check.forgetting.worse{name}"] == pytest.approx(value)
    assert logged.metrics["check.overfitting.training"] > 0
    assert (logged.tags["finefold.gate"], logged.tags["finefold.check.forgetting"]) == ("failed", "failed")
    file = json.loads(Path(client.download_artifacts(forgetful.run_id, "checks.json")).read_text())
    assert (file["gate"], file["base"]["licence"]) == ("failed", "CC0-1.0")
    asked = [one["check"] for one in file["findings"]]
    assert asked[:5] == ["target_leak", "duplicates", "overfitting", "adversarial", "forgetting"]


def test_the_unchanged_base_passes_and_is_a_challenger(
    base: str, client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    made = run([*SMALL, f"base={base}", "strategy=as_is", "check=[forgetting]"], frame=table(-3.0, 2))
    assert made.checks.gate == "passed"
    assert finding(made, "forgetting").numbers["churn"].value == 0
    assert client.get_model_version("guarded", str(made.model_version)).aliases == ["challenger"]
    shown = capsys.readouterr().out
    assert "base: from a table of numbers, licence CC0-1.0, sha256 " in shown
    assert any(line.split()[:2] == ["forgetting", "passed"] for line in shown.splitlines())
    assert "overfitting" not in shown


def test_the_first_version_that_passes_is_the_champion(base: str, client: mlflow.MlflowClient) -> None:
    name = "model_name=anew"
    forgot = run([*SMALL, f"base={base}", name], frame=table(-3.0, 2))
    passed = run([*SMALL, f"base={base}", name, "check.forgetting.most_lost=null"], frame=table(-3.0, 2))
    assert (forgot.checks.gate, passed.checks.gate) == ("failed", "passed")
    aliases = client.get_registered_model("anew").aliases
    assert {alias: str(number) for alias, number in aliases.items()} == {"champion": str(passed.model_version)}


def test_what_failed_is_told_on_the_screen(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    made = run([*SMALL, f"base={base}"], frame=table(-3.0, 2))
    shown = capsys.readouterr().out
    assert f"version {made.model_version} of guarded is registered, tagged finefold.gate=failed" in shown
    assert "check.forgetting.most_lost=0.1" in shown


@pytest.mark.slow
def test_without_a_base_a_run_is_judged_by_what_needs_none_and_without_checks_by_nothing(
    place: Path, client: mlflow.MlflowClient
) -> None:
    alone = run(SMALL, frame=table(3.0, 0))
    judged = ("target_leak", "duplicates", "overfitting", "adversarial")
    found = [(one.check, one.state) for one in alone.checks.findings]
    assert found == [*((check, "passed") for check in judged), ("calibration", "told")]
    unjudged = run([*SMALL, "check=[]"], frame=table(3.0, 0))
    assert (unjudged.checks.gate, unjudged.checks.findings) == ("none", ())
    assert "challenger" in client.get_model_version("guarded", str(unjudged.model_version)).aliases


@pytest.mark.slow
def test_slices_by_a_dropped_column_are_judged_and_begin_no_new_study(base: str, client: mlflow.MlflowClient) -> None:
    frame = table(3.1, 4, 600)
    frame["sex"] = np.where(np.arange(len(frame)) % 2, "f", "m")
    asked = [*SMALL, f"base={base}", "source.drop=[sex]"]
    plain = run([*asked, "check=[]"], frame=frame)
    made = run([*asked, "slices=[sex]", "check=[slices,more_labels]"], frame=frame)
    assert made.trials.reused == 1
    assert made.split == plain.split
    parts = finding(made, "slices").parts
    assert set(parts) == {"sex=f", "sex=m"}
    assert parts["sex=f"]["base"].low < parts["sex=f"]["base"].value < parts["sex=f"]["base"].high
    logged = client.get_run(made.run_id).data.metrics
    assert logged["check.slices.sex:f.worse"] == pytest.approx(parts["sex=f"]["worse"].value)
    assert logged["check.more_labels.estimate_of_the_next_doubling"] >= 0
    plots = {Path(file.path).name for file in client.list_artifacts(made.run_id, "plots")}
    assert {"slices.png", "more_labels.png"} <= plots


def test_a_copy_of_the_target_stops_the_run_before_its_search_and_on_request_only_the_gate(
    place: Path, client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    leaking = table(3.0, 7).assign(booked=lambda rows: 2 * rows["y"] + 1)
    n_runs = len(client.search_runs([client.get_experiment_by_name("finefold").experiment_id]))
    with pytest.raises(Refusal) as stopped:
        run(SMALL, frame=leaking)
    assert stopped.value.faults[0].startswith("target_leak: booked is the target itself")
    assert "stop_on_leak=never goes on" in stopped.value.faults[1]
    assert len(client.search_runs([client.get_experiment_by_name("finefold").experiment_id])) == n_runs
    made = run([*SMALL, "stop_on_leak=never", "check=[target_leak]"], frame=leaking)
    assert made.checks.gate == "failed"
    assert "booked is the target itself" in capsys.readouterr().out


def test_a_suspicion_is_told_and_stops_a_run_on_request(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    near = table(3.0, 8).assign(near=lambda rows: (rows["y"] + rows["a"] / 50).round(3))
    with pytest.raises(Refusal) as stopped:
        run([*SMALL, "stop_on_leak=suspected", "check=[target_leak]"], frame=near)
    assert "near alone nearly gives the target away" in stopped.value.faults[0]
    made = run([*SMALL, "check=[target_leak]"], frame=near)
    assert (made.checks.gate, finding(made, "target_leak").is_suspected) == ("none", True)
    assert "target_leak: near alone nearly gives the target away" in capsys.readouterr().out
