"""Runs as lines, the newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import left
import pytest

from tasks import run_list

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

Store = tuple["MlflowClient", str, dict[str, str]]


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return left.place(tmp_path_factory.getbasetemp() / "left-to-list")


def test_runs_are_listed_without_their_trials_the_newest_first(store: Store) -> None:
    client, _, ids = store
    found = run_list.lines(client, "finefold", last=10)
    assert [one.run_id for one in found] == [ids[name] for name in ("new", "stopped", "champion", "old")]
    one = found[2]
    assert (one.model, one.metric, one.cv, one.holdout, one.state) == ("lightgbm", "rmse", 2.0, 2.5, "finished")
    assert (one.versions, one.seconds, one.kind) == (("sold 1 @champion",), 60.0, "run")


def test_a_list_can_be_of_one_state_or_one_model_and_be_short(store: Store) -> None:
    client, _, ids = store
    assert [one.run_id for one in run_list.lines(client, "finefold", last=2)] == [ids["new"], ids["stopped"]]
    assert [one.run_id for one in run_list.lines(client, "finefold", last=9, state="failed")] == [ids["stopped"]]
    of_model = run_list.lines(client, "finefold", last=9, model_name="sold")
    assert [one.run_id for one in of_model] == [ids["champion"], ids["old"]]
    assert run_list.lines(client, "another", last=9) == []


def test_what_is_shown_of_a_run_counts_its_trials(store: Store) -> None:
    client, _, ids = store
    made = run_list.shown(client, client.get_run(ids["old"]), "page", "report/report.html")
    assert (made.trials, made.overrides, made.report) == ({"failed": 1}, "source.path=a.csv", "")
    assert made.line.versions == ("sold 2",)
