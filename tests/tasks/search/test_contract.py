"""Laws that every search of conf/search holds."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from flows.config import compose
from flows.decide import settle
from flows.plan import plan
from tasks.records import Proposal
from tasks.refusal import Refusal
from tasks.search import FAMILY, Search, Space, genetic
from tasks.search.genetic import Genetic, fitting_population, generation
from tasks.search.sampled import as_running

CONF = Path(__file__).parents[3] / "conf"
CHOICES = sorted(path.stem for path in (CONF / "search").glob("*.yaml") if path.stem != "gp")  # see test_gp.py
SAMPLED = [choice for choice in CHOICES if choice not in ("grid", "none")]  # what proposes without an end
ONE_TRIAL_PER_FAMILY = ("none",)
N = 14
SMALL = (  # 2 x 3 points
    *(f"model.lightgbm.hyperparameters.{key}=0.5" for key in ("feature_fraction", "bagging_fraction")),
    *(f"model.lightgbm.hyperparameters.{key}=0.5" for key in ("lambda_l1", "lambda_l2", "learning_rate")),
    "model.lightgbm.hyperparameters.link=identity",
    "model.lightgbm.space.num_leaves=[15,31]",
    "model.lightgbm.space.min_data_in_leaf=[5,20,40]",
)


@dataclass(frozen=True)
class Asked:
    """A search with its space, as the flow settles it."""

    search: Search
    space: Space
    n_trials: int

    def ask(self, view: list[FrozenTrial], seed: int = 0) -> FrozenTrial | None:
        return self.search.ask(self.space, view, seed, is_higher_better=True)

    def walk(self, n: int = N, seed: int = 0) -> list[FrozenTrial]:
        """n trials one after the other, each told before the next one is asked; fewer where the search ends."""
        told: list[FrozenTrial] = []
        while len(told) < n and (trial := self.ask(told, seed)) is not None:
            told.append(end(trial, score(self.space.proposal(trial))))
        return told

    def proposals(self, trials: list[FrozenTrial]) -> list[tuple[str, dict[str, Any]]]:
        return [(found.family, found.hyperparameters) for found in map(self.space.proposal, trials)]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@functools.cache
def built(choice: str, *overrides: str) -> Asked:
    planned = plan(compose([f"search={choice}", *overrides]))
    return Asked(settle(planned.search, fitting_population(planned.n_trials)), planned.space, planned.n_trials)


def end(trial: FrozenTrial, value: float | None, excess: float | None = None) -> FrozenTrial:
    """The trial told with a value, or failed for None, and with what it exceeds a limit by."""
    return create_trial(
        state=TrialState.FAIL if value is None else TrialState.COMPLETE,
        params=trial.params,
        distributions=trial.distributions,
        system_attrs=trial.system_attrs,
        value=value,
        constraints=None if excess is None else {"megabytes": excess},
    )


def score(proposal: Proposal) -> float:
    """A hill over two hyperparameters."""
    leaves, rate = proposal.hyperparameters["num_leaves"], proposal.hyperparameters["learning_rate"]
    return -(math.log(leaves / 40) ** 2) - math.log(rate / 0.05) ** 2


def is_inside(space: Space, family: str, key: str, value: Any) -> bool:
    distribution = space.families[family].free[key]
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    return bool(distribution.low <= value <= distribution.high)  # type: ignore[attr-defined]


@pytest.fixture
def two_families(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The override that puts two families side by side, the second from a folder of the user's."""
    text = (CONF / "model" / "lightgbm.yaml").read_text().replace("@package model.lightgbm", "@package model.second")
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "second.yaml").write_text(text)
    monkeypatch.setenv("FINEFOLD_CONF", str(tmp_path / "conf"))
    return "model=[lightgbm,second]"


@pytest.mark.parametrize("choice", CHOICES)
def test_proposals_lie_inside_the_space_and_name_every_hyperparameter(choice: str) -> None:
    asked = built(choice)
    family = asked.space.families["lightgbm"]
    for trial, (_, hyperparameters) in zip(asked.walk(), asked.proposals(asked.walk()), strict=True):
        assert set(hyperparameters) == {*family.free, *family.fixed}
        proposed = set(family.free) & set(trial.params)  # what a grid leaves out stays at its start
        assert all(is_inside(asked.space, "lightgbm", key, hyperparameters[key]) for key in proposed)


@pytest.mark.parametrize("choice", CHOICES)
def test_proposals_hold_plain_python_types(choice: str) -> None:
    asked = built(choice)
    for _, hyperparameters in asked.proposals(asked.walk()):
        assert {type(value) for value in hyperparameters.values()} <= {int, float, str, bool}
        assert type(hyperparameters["num_leaves"]) is int
        assert type(hyperparameters["learning_rate"]) is float


@pytest.mark.parametrize("choice", CHOICES)
def test_the_same_study_and_seed_give_the_same_proposal(choice: str) -> None:
    asked = built(choice)
    assert asked.proposals(asked.walk(seed=3)) == asked.proposals(asked.walk(seed=3))


@pytest.mark.parametrize("choice", SAMPLED)
def test_another_seed_gives_other_proposals_after_the_known_good_ones(choice: str) -> None:
    asked = built(choice)
    n = len(asked.space.firsts())
    one, other = (asked.proposals(asked.walk(n + 3, seed)) for seed in (0, 1))
    assert one[:n] == other[:n]
    assert all(a != b for a, b in zip(one[n:], other[n:], strict=True))


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("outcome", [1e6, -1e6, None])
def test_what_became_of_a_running_trial_never_changes_a_proposal(choice: str, outcome: float | None) -> None:
    asked = built(choice)
    told = asked.walk(N - 3)
    out = told[-3:]
    expected = asked.ask([*told[:-3], *map(as_running, out)])
    found = asked.ask([*told[:-3], *(as_running(end(trial, outcome)) for trial in out)])
    assert (found and found.params) == (expected and expected.params)


def test_a_trial_shown_as_running_shows_nothing_of_its_end() -> None:
    trial = built("genetic").walk(1)[0]
    trial.user_attrs["folds"] = [1.0]
    trial.system_attrs["constraints:megabytes"] = 0.5
    shown = as_running(trial)
    assert (shown.state, shown.values, shown.user_attrs) == (TrialState.RUNNING, None, {})
    assert (shown.params, generation(shown), shown.constraints) == (trial.params, generation(trial), {})


@pytest.mark.parametrize("choice", CHOICES)
def test_arguments_are_not_written_into(choice: str) -> None:
    asked = built(choice)
    told = asked.walk(6)
    before = [repr(trial) for trial in told]
    asked.ask(told)
    assert [repr(trial) for trial in told] == before


@pytest.mark.parametrize("choice", SAMPLED)
def test_a_search_goes_on_after_trials_that_failed(choice: str) -> None:
    asked = built(choice)
    told = [end(trial, None) if k % 2 else trial for k, trial in enumerate(asked.walk())]
    for view in (told, [end(trial, None) for trial in told]):
        trial = asked.ask(view)
        assert trial is not None
        assert asked.proposals([trial])[0] not in asked.proposals(view)


@pytest.mark.parametrize("choice", ["bayesian", "genetic"])
def test_what_exceeds_a_limit_turns_a_search_away(choice: str) -> None:
    """Larger trees are better, and those of more than 40 leaves too large."""
    asked, told = built(choice, "search.trials=36"), []
    while len(told) < 36:
        trial = asked.ask(told)
        assert trial is not None
        leaves = asked.space.proposal(trial).hyperparameters["num_leaves"]
        told.append(end(trial, math.log(leaves), leaves / 40 - 1))
    late = [asked.space.proposal(trial).hyperparameters["num_leaves"] for trial in told[12:]]
    assert sum(leaves <= 40 for leaves in late) > len(late) / 2
    assert max(leaves for leaves in late if leaves <= 40) > 25


def test_a_genetic_search_ranks_what_exceeds_a_limit_behind_all_else_and_by_how_much() -> None:
    asked = built("genetic")
    walked = asked.walk(4)
    told = [end(trial, value, excess) for trial, value, excess in
            zip(walked, (0.1, 0.4, 0.3, 0.9), (-0.5, 2.0, 0.1, 0.0), strict=True)]
    ranked = genetic._ranked(asked.space, told, is_higher_better=True)
    assert ranked == [genetic._individual(asked.space, told[n]) for n in (3, 0, 2, 1)]


@pytest.mark.parametrize("choice", [choice for choice in CHOICES if choice != "grid"])
def test_the_first_trial_is_where_the_family_starts(choice: str) -> None:
    asked = built(choice)
    _, hyperparameters = asked.proposals(asked.walk(1))[0]
    assert (hyperparameters["num_leaves"], hyperparameters["learning_rate"]) == (31, 0.1)
    assert hyperparameters["lambda_l1"] == pytest.approx(0, abs=1e-6)  # LightGBM's 0 lies below a logarithmic range


@pytest.mark.parametrize("choice", SAMPLED)
def test_a_start_outside_the_space_is_moved_inside(choice: str) -> None:
    asked = built(choice, "model.lightgbm.space.num_leaves={low: 40, high: 90}")
    assert asked.proposals(asked.walk(1))[0][1]["num_leaves"] == 40


@pytest.mark.parametrize("choice", CHOICES)
def test_a_fixed_hyperparameter_never_varies(choice: str) -> None:
    asked = built(choice, "model.lightgbm.hyperparameters.num_leaves=63", "model.lightgbm.hyperparameters.lambda_l1=0")
    told = asked.walk()
    assert {(p["num_leaves"], p["lambda_l1"]) for _, p in asked.proposals(told)} == {(63, 0)}
    assert not {"num_leaves", "lambda_l1"} & {name for trial in told for name in trial.params}


@pytest.mark.parametrize("choice", SAMPLED)
def test_a_used_up_space_ends_the_search_without_a_repeated_point(choice: str) -> None:
    asked = built(choice, *SMALL)
    points = [(p["num_leaves"], p["min_data_in_leaf"]) for _, p in asked.proposals(asked.walk(20))]
    assert sorted(points) == list(itertools.product((15, 31), (5, 20, 40)))


@pytest.mark.parametrize("choice", CHOICES)
def test_families_side_by_side_keep_their_own_hyperparameters(choice: str, two_families: str) -> None:
    asked = built(choice, two_families, "model.second.hyperparameters.num_leaves=7")
    told = asked.walk(30)
    proposals = asked.proposals(told)
    assert {family for family, _ in proposals} == {"lightgbm", "second"}
    for family, hyperparameters in proposals:
        assert set(hyperparameters) == {*asked.space.families[family].free, *asked.space.families[family].fixed}
        assert (hyperparameters["num_leaves"] == 7) or family == "lightgbm"
    assert all(trial.params[FAMILY] == family for trial, (family, _) in zip(told, proposals, strict=True))


@pytest.mark.parametrize("choice", [choice for choice in CHOICES if choice != "grid"])
def test_each_family_is_tried_first_from_its_own_start(choice: str, two_families: str) -> None:
    asked = built(choice, two_families)
    first = asked.proposals(asked.walk(2))
    assert [family for family, _ in first] == ["lightgbm", "second"]
    assert all(hyperparameters["learning_rate"] == 0.1 for _, hyperparameters in first)


def test_a_grid_visits_every_point_once_and_ends() -> None:
    asked = built("grid")
    told = asked.walk(100)
    points = [(p["num_leaves"], p["feature_fraction"], p["min_data_in_leaf"]) for _, p in asked.proposals(told)]
    assert sorted(points) == list(itertools.product((15, 31, 63), (0.6, 1.0), (5, 20)))
    assert asked.n_trials == 12
    assert asked.ask(told) is None


@pytest.mark.parametrize("points", [2, 3])
def test_a_grid_of_points_spans_every_range(points: int) -> None:
    small = [f"model.lightgbm.hyperparameters.{key}=0" for key in ("lambda_l1", "lambda_l2", "feature_fraction")]
    asked = built(
        "grid", *small, "model.lightgbm.hyperparameters.bagging_fraction=1", f"search.sampler.points={points}",
        "model.lightgbm.space.learning_rate={low: 0.02, high: 0.2, log: true}",
    )
    proposals = [p for _, p in asked.proposals(asked.walk(100))]
    assert len(proposals) == asked.n_trials == points**3
    for key, (low, high) in {"num_leaves": (4, 255), "learning_rate": (0.02, 0.2)}.items():
        values = sorted({p[key] for p in proposals})
        assert (values[0], values[-1], len(values)) == (low, high, points)


def test_a_list_is_taken_into_the_grid_as_it_is() -> None:
    asked = built("grid", "model.lightgbm.space.num_leaves=[5,6,7,8]")
    assert sorted(p["num_leaves"] for _, p in asked.proposals(asked.walk(100))) == [5] * 4 + [6] * 4 + [7] * 4 + [8] * 4


@pytest.mark.parametrize(
    ("overrides", "size"), [(["search.trials=11"], "12"), (["search.sampler.points=40"], "3,031,040,000")]
)
def test_a_grid_larger_than_the_budget_is_refused_with_its_size(overrides: list[str], size: str) -> None:
    with pytest.raises(Refusal, match=rf"search\.trials=\d+: the grid has {size} points"):
        plan(compose(["search=grid", *overrides]))


@pytest.mark.parametrize(("n_trials", "population"), [(1, 4), (20, 4), (30, 5), (64, 10), (1000, 16)])
def test_the_population_fits_the_number_of_trials(n_trials: int, population: int) -> None:
    assert fitting_population(n_trials) == population


def test_a_genetic_search_counts_generations_after_the_known_good_settings() -> None:
    asked = built("genetic", "search.trials=36")
    assert isinstance(asked.search, Genetic)
    assert asked.search.population == 6
    n = len(asked.space.firsts())
    generations = [generation(trial) for trial in asked.walk(n + 13)]
    assert generations == [0] * n + [1] * 6 + [2] * 6 + [3]


def test_a_genetic_search_climbs() -> None:
    asked = built("genetic", "search.trials=48", "search.sampler.population=8")
    gains = []
    for seed in range(4):
        values = [trial.value or 0.0 for trial in asked.walk(48, seed)]
        gains.append(fmean(values[-16:]) - fmean(values[1:9]))  # the first one is the start, on top of the hill
    assert fmean(gains) > 0.5


@pytest.mark.parametrize("choice", ONE_TRIAL_PER_FAMILY)
def test_without_a_search_each_family_is_one_trial(choice: str, two_families: str) -> None:
    assert (built(choice).n_trials, len(built(choice).walk())) == (1, 1)
    assert (built(choice, two_families).n_trials, len(built(choice, two_families).walk())) == (2, 2)
