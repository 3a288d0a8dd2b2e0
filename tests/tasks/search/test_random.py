"""Random search: its numbers are a Sobol sequence, its lists are drawn."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial
from scipy.stats import qmc

from flows.config import compose
from flows.plan import plan
from tasks.search import FamilySpace, Space
from tasks.search.random import Random

NUMBERS = {"a": FloatDistribution(0.0, 1.0), "b": FloatDistribution(0.0, 1.0)}
START = {"a": 0.5, "b": 0.5}


def walk(space: Space, n: int, seed: int = 0, search: Random | None = None) -> list[FrozenTrial]:
    told: list[FrozenTrial] = []
    while len(told) < n:
        trial = (search or Random("sobol")).ask(space, told, seed, is_higher_better=True)
        assert trial is not None
        told.append(trial)
    return told


def test_the_trials_after_the_start_are_the_scrambled_sobol_sequence_of_the_seed() -> None:
    told = walk(Space({"one": FamilySpace(NUMBERS, {}, START, {})}), 17, seed=5)
    found = [[trial.params["a"], trial.params["b"]] for trial in told[1:]]
    assert np.allclose(found, qmc.Sobol(2, scramble=True, rng=5).random(16))


def test_it_covers_the_space_better_than_independent_draws() -> None:
    space = Space({"one": FamilySpace(NUMBERS, {}, START, {})})

    def discrepancy(search: Random, seed: int) -> float:
        told = walk(space, 33, seed, search)[1:]
        return float(qmc.discrepancy([[trial.params["a"], trial.params["b"]] for trial in told]))

    for seed in range(3):
        assert discrepancy(Random("sobol"), seed) < discrepancy(Random("independent"), seed) / 2


def test_families_take_turns_and_lists_are_drawn_evenly() -> None:
    family = FamilySpace({"a": NUMBERS["a"], "c": CategoricalDistribution([1, 2])}, {}, {"a": 0.5, "c": 1}, {})
    told = walk(Space({"one": family, "other": family}), 66)[2:]
    assert Counter(trial.params["model"] for trial in told) == {"one": 32, "other": 32}
    drawn = Counter(trial.params[f"{trial.params['model']}.c"] for trial in told)
    assert 20 < drawn[1] < 44


def test_a_small_space_of_whole_numbers_is_used_up() -> None:
    space = Space({"one": FamilySpace({"n": IntDistribution(1, 12)}, {}, {"n": 3}, {})})
    told = walk(space, 12)
    assert sorted(trial.params["n"] for trial in told) == list(range(1, 13))
    assert Random("sobol").ask(space, told, 0, is_higher_better=True) is None


def test_a_misspelt_kind_of_draw_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception, match=r"search\.sampler\.numbers=sobel: not one of sobol, independent; did you mean"):
        plan(compose(["search=random", "search.sampler.numbers=sobel"]))
