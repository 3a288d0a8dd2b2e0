"""A study's first trials: the starts, then the families' portfolios."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from flows.config import compose
from flows.decide import settle
from flows.plan import plan
from tasks.refusal import Refusal
from tasks.search import FamilySpace, Space

SEARCHES = ("bayesian", "genetic", "random")
PORTFOLIO = "model.lightgbm.portfolio=[{num_leaves: 7}, {num_leaves: 63, feature_fraction: 0.5}]"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def first(search: str, n: int, *overrides: str) -> list[tuple[str, dict[str, Any]]]:
    """The family and hyperparameters of the first n trials, each told before the next is asked."""
    planned = plan(compose([f"search={search}", *overrides]))
    told: list[FrozenTrial] = []
    while len(told) < n:
        trial = settle(planned.search, 4).ask(planned.space, told, 0, is_higher_better=True)
        assert trial is not None
        told.append(create_trial(state=TrialState.COMPLETE, params=trial.params, distributions=trial.distributions,
                                 system_attrs=trial.system_attrs, value=-float(len(told))))  # fmt: skip
    return [(found.family, found.hyperparameters) for found in map(planned.space.proposal, told)]


@pytest.mark.parametrize("search", SEARCHES)
def test_the_portfolio_follows_the_start_in_its_order(search: str) -> None:
    found = [(p["num_leaves"], p["feature_fraction"], p["min_data_in_leaf"]) for _, p in first(search, 3, PORTFOLIO)]
    assert found == [(31, 1.0, 20), (7, 1.0, 20), (63, 0.5, 20)]


@pytest.mark.parametrize("search", SEARCHES)
def test_the_portfolio_is_moved_inside_the_users_space_and_what_is_then_equal_is_tried_once(search: str) -> None:
    narrow = "model.lightgbm.space.num_leaves={low: 31, high: 40}"
    found = [(p["num_leaves"], p["feature_fraction"]) for _, p in first(search, 3, PORTFOLIO, narrow)]
    assert found[:2] == [(31, 1.0), (40, 0.5)]
    assert found[2] not in found[:2]


@pytest.mark.parametrize("search", SEARCHES)
def test_what_the_user_fixed_wins_over_the_portfolio(search: str) -> None:
    fixed = "model.lightgbm.hyperparameters.learning_rate=0.3"
    assert {p["learning_rate"] for _, p in first(search, 5, PORTFOLIO, fixed)} == {0.3}


@pytest.mark.parametrize("search", SEARCHES)
def test_families_begin_from_their_starts_and_then_take_turns(search: str) -> None:
    linear = "model.linear.portfolio=[{penalty: 10.0}]"
    found = first(search, 5, "model=[lightgbm,linear]", PORTFOLIO, linear)
    assert [family for family, _ in found] == ["lightgbm", "linear", "lightgbm", "linear", "lightgbm"]
    assert [p["num_leaves"] for family, p in found if family == "lightgbm"] == [31, 7, 63]
    assert [p["penalty"] for family, p in found if family == "linear"] == [1.0, 10.0]


def test_an_empty_portfolio_leaves_the_start_alone() -> None:
    assert len(plan(compose(["model.lightgbm.portfolio=[]"])).space.firsts()) == 1


def test_a_misspelt_hyperparameter_of_a_portfolio_is_refused_with_a_suggestion() -> None:
    with pytest.raises(Refusal, match=r"model\.lightgbm\.portfolio: .* no hyperparameter 'num_leafs'; did you mean"):
        plan(compose(["model.lightgbm.portfolio=[{num_leafs: 7}]"]))


needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason='needs torch: pip install "finefold[neural]"')


@pytest.mark.parametrize("family", ["lightgbm", "linear", "forest", pytest.param("mlp", marks=needs_torch)])
def test_a_shipped_portfolio_lies_inside_its_space_and_repeats_nothing(family: str) -> None:
    planned = plan(compose([f"model={family}"]))
    space, portfolio = planned.space.families[family], planned.families[family].portfolio
    assert len(planned.space.firsts()) == 1 + len(portfolio) <= 10
    lambdas = ("lambda_l1", "lambda_l2")  # published ones go beyond 10, where a range of more decades found nothing
    for one in portfolio:
        moved = {key: value for key, value in one.items() if space.nearest(one).get(key, value) != value}
        assert not set(moved) - set(lambdas)


@pytest.mark.parametrize(
    ("n_rows", "n_classes", "expected"), [(20_000, 5, [4, 2, 3]), (20_000, 2, [2, 3, 4]), (19_999, 7, [2, 3, 4])]
)
def test_what_was_made_for_tables_of_such_a_size_comes_first_and_else_last(
    n_rows: int, n_classes: int, expected: list[int]
) -> None:
    large = {"n": 4, "made_for": {"rows": 20_000, "classes": 5}}
    family = FamilySpace({"n": IntDistribution(1, 9)}, {}, {"n": 1}, {}, [{"n": 2}, large, {"n": 3}])
    space = Space({"some": family}).of_table(n_rows, n_classes, {})
    assert [params["n"] for params in space.firsts()] == [1, *expected]


def test_what_was_made_for_small_tables_comes_last_on_large_ones() -> None:
    small = {"n": 4, "made_for": {"most_rows": 99}}
    family = FamilySpace({"n": IntDistribution(1, 9)}, {}, {"n": 1}, {}, [small, {"n": 2}])
    tried = [Space({"some": family}).of_table(n_rows, 2, {}).firsts() for n_rows in (99, 100)]
    assert [[params["n"] for params in firsts] for firsts in tried] == [[1, 4, 2], [1, 2, 4]]


def test_families_take_turns_by_number_or_where_their_costs_are_known_by_these() -> None:
    def family(*values: int) -> FamilySpace:
        return FamilySpace({"n": IntDistribution(0, 9)}, {}, {"n": 0}, {}, [{"n": n} for n in values])

    space = Space({"dear": family(1, 2), "cheap": family(3, 4, 5)})
    spaces = (space, space.of_table(100, 2, {"dear": 2.5, "cheap": 1.0}))
    by_number, by_cost = ([f"{params['model']}{space.setting(params)[1]['n']}" for params in one.firsts()]
                          for one in spaces)  # fmt: skip
    assert by_number == ["dear0", "cheap0", "dear1", "cheap3", "dear2", "cheap4", "cheap5"]
    assert by_cost == ["dear0", "cheap0", "cheap3", "cheap4", "dear1", "cheap5", "dear2"]


@pytest.mark.parametrize("given", ["7", "{}", "{row: 7}", "{rows: many}"])
def test_what_a_setting_was_made_for_is_refused_where_it_is_no_size(given: str) -> None:
    with pytest.raises(Refusal, match=r"model\.lightgbm\.portfolio: made_for=.*; write {rows: 20000, classes: 3}"):
        plan(compose([f"model.lightgbm.portfolio=[{{num_leaves: 7, made_for: {given}}}]"]))


def test_what_an_earlier_search_found_comes_before_the_portfolio() -> None:
    family = FamilySpace({"n": IntDistribution(1, 9)}, {}, {"n": 1}, {}, [{"n": 2}, {"n": 3}])
    space = Space({"some": family}, warm=[("some", {"n": 3}), ("some", {"n": 90})])
    assert space.firsts() == [{"n": 1}, {"n": 3}, {"n": 9}, {"n": 2}]
