"""A run is found by whatever names it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import left
import pytest

from tasks.named_run import named_run
from tasks.refusal import Refusal

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

Store = tuple["MlflowClient", str, dict[str, str]]


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return left.place(tmp_path_factory.getbasetemp() / "left-to-list")


@pytest.mark.parametrize("form", ["{}", "runs:/{}", "runs:/{}/model", "models:/sold@champion", "models:/sold/1"])
def test_a_run_is_found_by_whatever_names_it(store: Store, form: str) -> None:
    client, uri, ids = store
    assert named_run(client, form.format(ids["champion"]), uri, "show").info.run_id == ids["champion"]


def test_the_first_letters_that_no_other_run_has_are_enough(store: Store) -> None:
    client, uri, ids = store
    assert named_run(client, ids["old"][:12], uri, "show").info.run_name == "old"


@pytest.mark.parametrize(("named", "said"), [
    ("f" * 32, "there is no such run"), ("ffff0000ffff", "no run"),
    ("models:/sold@challenger", "sold has no such version; @champion is 1"),
    ("models:/solid/1", "no model of that name .* did you mean 'sold'"),
    ("mine", "at least the first four letters"), ("", "at least the first four letters"),
])  # fmt: skip
def test_a_run_that_there_is_not_is_refused(store: Store, named: str, said: str) -> None:
    client, uri, _ = store
    with pytest.raises(Refusal, match=f"^show {re.escape(named)}: .*{said}"):
        named_run(client, named, uri, "show")


def test_letters_that_several_runs_begin_with_are_refused_with_their_ids(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, uri, ids = store
    runs = [client.get_run(ids[name]) for name in ("old", "new")]
    monkeypatch.setattr(client, "search_runs", lambda *_, **__: runs)
    with pytest.raises(Refusal, match=f"{ids['old']}, {ids['new']}.*; give more of its letters"):
        named_run(client, "0123", uri, "reproduce")
