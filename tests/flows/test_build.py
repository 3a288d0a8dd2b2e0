"""Building what a node names: from the list only, with every key and type checked."""

from __future__ import annotations

import pytest
from sklearn.model_selection import KFold

from flows.build import build
from flows.config import compose
from tasks.refusal import Refusal


def faults(node: dict[str, object], key: str = "x", **options: object) -> str:
    with pytest.raises(Refusal) as refused:
        build(node, key, **options)  # type: ignore[arg-type]
    return "\n".join(refused.value.faults)


@pytest.mark.parametrize("target", ["os.system", "subprocess.Popen", "builtins.eval", "flows.cli.main", "tasksx.y", ""])
def test_a_target_off_the_list_is_refused_with_the_remedy(target: str) -> None:
    assert "allow_packages=" in faults({"_target_": target})


def test_a_package_of_the_users_may_be_allowed() -> None:
    assert build({"_target_": "fractions.Fraction", "numerator": 3}, "x", ["fractions"]) == 3


def test_a_target_that_is_not_there_is_refused() -> None:
    assert "can't be imported" in faults({"_target_": "tasks.nothing.Nothing"})


def test_a_misspelt_key_of_a_library_is_refused_with_a_suggestion() -> None:
    node = {"_target_": "sklearn.model_selection.KFold", "n_split": 3}
    assert "did you mean 'n_splits'" in faults(node, "folds")


def test_what_a_library_refuses_becomes_a_refusal() -> None:
    assert "folds can't be built" in faults({"_target_": "sklearn.model_selection.KFold", "n_splits": 1}, "folds")


def test_all_faults_of_a_component_show_at_once() -> None:
    node = {"_target_": "tasks.search.genetic.Genetic", **compose(["search=genetic"]).config.search.sampler}
    node |= {"crossover_probability": 3, "selection": "roulette"}
    found = faults(node, "search.sampler")
    assert "search.sampler.selection=roulette: not one of tournament" in found
    assert "search.sampler.crossover_probability must be at most 1, got 3." in found


def test_a_value_that_is_needed_is_asked_for() -> None:
    assert faults({"_target_": "tasks.search.grid.Grid", "points": "???"}) == "x.points is needed: write x.points=..."


def test_a_nested_component_is_built_first() -> None:
    built = build(
        {"_target_": "tasks.model.lightgbm.LightGBM", **compose([]).config.model["lightgbm"]}, "model.lightgbm"
    )
    assert built.space["num_leaves"]["high"] == 255
    assert isinstance(build({"_target_": "sklearn.model_selection.KFold", "n_splits": 3}, "folds"), KFold)


def test_a_secret_is_resolved_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAME_OF_TABLE", "wine")
    node = {"_target_": "tasks.source.sklearn.Sklearn", "name": "${oc.env:NAME_OF_TABLE}"}
    assert build(node, "source").name == "wine"
    monkeypatch.delenv("NAME_OF_TABLE")
    assert "environment variable that is not set" in faults(node, "source")
