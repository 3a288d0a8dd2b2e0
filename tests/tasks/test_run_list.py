"""Runs as lines, the newest first, and one of them by whatever it is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import left
import pytest

from tasks import run_list
from tasks.refusal import Refusal

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


@pytest.mark.parametrize("form", ["{}", "runs:/{}", "runs:/{}/model", "models:/sold@champion", "models:/sold/1"])
def test_a_run_is_found_by_whatever_names_it(store: Store, form: str) -> None:
    client, uri, ids = store
    assert run_list.run_of(client, form.format(ids["champion"]), uri).info.run_id == ids["champion"]


def test_the_first_letters_that_no_other_run_has_are_enough(store: Store) -> None:
    client, uri, ids = store
    assert run_list.run_of(client, ids["old"][:12], uri).info.run_name == "old"


@pytest.mark.parametrize(("named", "said"), [
    ("f" * 32, "there is none"), ("ffff0000ffff", "no run"), ("models:/sold@challenger", "there is none"),
    ("mine", "at least the first four letters"), ("", "at least the first four letters"),
])  # fmt: skip
def test_a_run_that_there_is_not_is_refused(store: Store, named: str, said: str) -> None:
    client, uri, _ = store
    with pytest.raises(Refusal, match=said):
        run_list.run_of(client, named, uri)


def test_what_is_shown_of_a_run_counts_its_trials(store: Store) -> None:
    client, uri, ids = store
    made = run_list.shown(client, run_list.run_of(client, ids["old"], uri), "page", "report/report.html")
    assert (made.trials, made.overrides, made.report) == ({"failed": 1}, "source.path=a.csv", "")
    assert made.line.versions == ("sold 2",)
