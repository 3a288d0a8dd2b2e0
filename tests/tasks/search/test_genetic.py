"""The genetic search: where its children lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from flows.config import compose
from flows.plan import plan
from tasks.search import FamilySpace, Space
from tasks.search.genetic import Genetic, generation
from tasks.search.random import Random
from tasks.search.sampled import as_running

N_GENES = 6
SPACE = Space({
    "one": FamilySpace(
        {f"x{k}": FloatDistribution(0.0, 1.0) for k in range(N_GENES)}, {}, {f"x{k}": 0.9 for k in range(N_GENES)}, {}
    )
})  # fmt: skip


@pytest.fixture
def genetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Genetic:
    """The search as it is shipped, with a population of 6."""
    monkeypatch.chdir(tmp_path)
    search = plan(compose(["search=genetic"])).search
    assert isinstance(search, Genetic)
    return replace(search, population=6)


def sphere(trial: FrozenTrial) -> float:
    return sum((value - 0.2) ** 2 for value in trial.params.values())


def walk(
    search: Any, space: Space, cost: Callable[[FrozenTrial], float], n: int, seed: int = 0, window: int = 4
) -> list[FrozenTrial]:
    """n trials, each asked while the window's earlier ones still run; lower costs are better."""
    told: list[FrozenTrial] = []
    while len(told) < n:
        n_seen = max(0, len(told) - window + 1)
        view = [*told[:n_seen], *map(as_running, told[n_seen:])]
        trial = search.ask(space, view, seed, is_higher_better=False)
        assert trial is not None
        told.append(create_trial(state=TrialState.COMPLETE, params=trial.params, distributions=trial.distributions,
                                 system_attrs=trial.system_attrs, value=cost(trial)))  # fmt: skip
    return told


def test_it_comes_nearer_to_the_optimum_than_random_search_within_40_trials(genetic: Genetic) -> None:
    def best(search: Any, seed: int) -> float:
        return min(trial.value or 0.0 for trial in walk(search, SPACE, sphere, 40, seed))

    seeds = range(6)
    assert fmean(best(genetic, s) for s in seeds) < 0.6 * fmean(best(Random("sobol"), s) for s in seeds)


def test_the_best_is_never_lost(genetic: Genetic) -> None:
    told = walk(genetic, SPACE, lambda trial: float(trial.params["x0"]), 60)
    late = [trial.params["x0"] for trial in told[-16:]]
    assert fmean(late) < fmean(trial.params["x0"] for trial in told[1:17])


def test_steps_shrink_from_generation_to_generation(genetic: Genetic) -> None:
    told = walk(replace(genetic, crossover_probability=0.0), SPACE, sphere, 80)

    def step(number: int) -> float:
        """To the nearest earlier trial, in the hyperparameter that changed most."""
        child = told[number].params
        return min(max(abs(child[key] - one.params[key]) for key in child) for one in told[:number])

    assert fmean(map(step, range(56, 80))) < 0.5 * fmean(map(step, range(6, 30)))


def test_the_better_family_gets_most_of_the_trials_and_the_other_is_not_given_up(genetic: Genetic) -> None:
    one = FamilySpace({"x": FloatDistribution(0.0, 1.0)}, {}, {"x": 0.5}, {})
    space = Space({"good": one, "bad": one})

    def cost(trial: FrozenTrial) -> float:
        return float(trial.params["model"] == "bad") + sum(v for v in trial.params.values() if isinstance(v, float))

    families = Counter(trial.params["model"] for trial in walk(genetic, space, cost, 60)[20:])
    assert families["good"] > 2 * families["bad"] > 0


@pytest.mark.parametrize("crossover", ["uniform", "blx_alpha", "sbx"])
def test_no_child_is_a_repetition_with_any_crossover(genetic: Genetic, crossover: Any) -> None:
    told = walk(replace(genetic, crossover=crossover), SPACE, sphere, 40)
    assert len({SPACE.point(trial.params) for trial in told}) == 40


def test_generations_are_counted_and_hold_as_many_children_as_the_population(genetic: Genetic) -> None:
    told = walk(genetic, SPACE, sphere, 30)
    assert [generation(trial) for trial in told] == [k // 6 for k in range(30)]


def test_children_lie_at_the_ends_of_a_range_no_more_often_than_elsewhere(genetic: Genetic) -> None:
    told = walk(genetic, SPACE, lambda trial: float(np.prod(list(trial.params.values()))), 60)
    ends = [value for trial in told for value in trial.params.values() if value in (0.0, 1.0)]
    assert not ends
