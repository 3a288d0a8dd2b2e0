"""Composing: every fault at once, in the words that were typed, and nothing silently taken for something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows import config
from flows.config import compose, fitted, with_decided
from flows.overrides import sweep, varied
from tasks.refusal import Refusal


def faults(*overrides: str) -> tuple[str, ...]:
    with pytest.raises(Refusal) as refused:
        compose(overrides)
    return refused.value.faults


def test_several_families_compose_side_by_side() -> None:
    assert list(compose(["model=[lightgbm,linear]"]).config.model) == ["lightgbm", "linear"]
    assert list(compose(["model=linear"]).config.model) == ["linear"]


@pytest.mark.parametrize("search", config.groups()["search"])
def test_a_budget_exists_for_every_search(search: str) -> None:
    assert compose([f"search={search}", "search.trials=7"]).config.search.trials == 7


def test_a_list_takes_the_place_of_a_range_and_a_range_that_of_a_range() -> None:
    family = compose([
        "model.lightgbm.space.num_leaves=[15,31,63]",
        "model.lightgbm.space.learning_rate={low: 0.1, high: 0.2}",
    ]).config.model["lightgbm"]  # fmt: skip
    assert family["space"]["num_leaves"] == [15, 31, 63]
    assert family["space"]["learning_rate"] == {"low": 0.1, "high": 0.2}


def test_a_hyperparameter_is_fixed_by_its_value() -> None:
    family = compose(["model.lightgbm.hyperparameters.num_leaves=63"]).config.model["lightgbm"]
    assert family["hyperparameters"]["num_leaves"] == 63


def test_all_faults_show_at_once() -> None:
    found = faults("search=bayesan", "serch.trials=3", "+sed=1", "no-override")
    assert len(found) == 4
    assert any("did you mean 'bayesian'" in fault for fault in found)
    assert any("did you mean 'search.trials'" in fault for fault in found)
    assert any("did you mean 'seed'" in fault for fault in found)


def test_all_faults_of_type_show_at_once_with_key_and_value() -> None:
    assert faults("search.trials=many", "output=jsn", "search.window=0", "holdout.fraction=1.5") == (
        "search.trials must be a whole number, got 'many'.",
        "search.window must be at least 1, got 0.",
        "holdout.fraction must be less than 1, got 1.5.",
        "output=jsn: not one of text, json; did you mean 'json'?",
    )


def test_several_values_need_multirun() -> None:
    assert "--multirun" in faults("search.trials=3,4")[0]
    assert faults("search=random,grid") == ("search=random,grid: several values need `finefold compare` or "
                                            "`finefold run --multirun`.",)


@pytest.mark.parametrize(
    "override",
    [
        "source.url=postgresql://me:s3cret@host/db",
        "tracking.uri=http://me:s3cret@host",
        "source.path=s3://x?token=s3cret",
    ],
)
def test_a_password_is_refused_and_not_repeated(override: str) -> None:
    (fault,) = faults("source=sql", override)
    assert "s3cret" not in fault
    assert "oc.env" in fault


def test_a_secret_is_recorded_as_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:s3cret@host/db")
    composed = compose(["source=sql", "source.url=${oc.env:DATABASE_URL}", "source.query=q"])
    assert "s3cret" not in str(composed)
    assert composed.recorded["source"]["url"] == "${oc.env:DATABASE_URL}"


def test_what_is_auto_is_replaced_by_what_was_decided() -> None:
    again = with_decided(["folds=auto", "folds.n_splits=3", "seed=4"], {"folds": "stratified"})
    composed = compose(again)
    assert composed.choices["folds"] == "stratified"
    assert (composed.config.folds["n_splits"], composed.config.folds["random_state"]) == (3, 4)


def test_a_sweep_is_the_product_of_its_values() -> None:
    assert sweep(["seed=1,2", "model=[lightgbm,linear]", "search=random,grid"]) == {
        f"seed={seed} search={search}": [f"seed={seed}", "model=[lightgbm,linear]", f"search={search}"]
        for seed in (1, 2)
        for search in ("random", "grid")
    }


def test_a_value_that_is_named_twice_is_refused() -> None:
    with pytest.raises(Refusal, match=r"search=random,grid,random names search=random twice"):
        sweep(["search=random,grid,random"])


def test_a_key_that_one_choice_alone_has_is_left_out_of_the_others() -> None:
    overrides = ["model=lightgbm,linear", "model.lightgbm.rounds=9", "model.linear.rownds=9"]
    assert fitted(sweep(overrides)) == {
        "model=lightgbm": ["model=lightgbm", "model.lightgbm.rounds=9", "model.linear.rownds=9"],
        "model=linear": ["model=linear", "model.linear.rownds=9"],
    }


def test_a_key_that_is_misspelt_stays_to_be_refused_whatever_its_values() -> None:
    assert list(fitted(sweep(["modl=linear,forest"])).values()) == [["modl=linear"], ["modl=forest"]]


def test_several_values_are_told_as_they_were_typed() -> None:
    overrides = ["seed=3", "search=random,grid", "source.target=a,b"]
    assert varied(overrides) == ["search=random,grid"]


def test_a_folder_of_the_users_adds_choices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "mine.yaml").write_text("# @package search.sampler\n_target_: mine.Search\n")
    monkeypatch.setenv("FINEFOLD_CONF", str(tmp_path))
    assert "mine" in config.groups()["search"]
    assert compose(["search=mine"]).config.search.sampler == {"_target_": "mine.Search"}


def test_a_folder_of_the_users_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINEFOLD_CONF", "/nowhere")
    assert "FINEFOLD_CONF=/nowhere" in faults()[0]


def test_a_password_in_a_yaml_of_the_users_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "source").mkdir()
    yaml = "_target_: tasks.source.sql.Sql\nurl: postgresql://me:s3cret@host/db\nquery: q\nchunk_rows: 10\n"
    (tmp_path / "source" / "ours.yaml").write_text(yaml)
    monkeypatch.setenv("FINEFOLD_CONF", str(tmp_path))
    (fault,) = faults("source=ours")
    assert fault.startswith("source.url holds a password")


def test_a_choice_that_an_experiment_makes_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /folds: kfold\n  - override /model: [linear]\nseed: 5\n"
    )
    monkeypatch.setenv("FINEFOLD_CONF", str(tmp_path))
    composed = compose(["experiment=mine"])
    assert (composed.choices["folds"], composed.choices["model"], composed.config.seed) == ("kfold", ["linear"], 5)
