"""Which rungs of a ladder are tuned, and how far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flows import rungs
from flows.build import build
from flows.config import compose
from flows.rung import Look, Searched

FOLDS = {0: 0.0, 1: 0.02, 2: -0.02, 3: 0.01, 4: -0.01}
MOST = 30


def around(score: float, scatter: float = 1.0) -> dict[int, float]:
    return {fold: score + scatter * by for fold, by in FOLDS.items()}


@pytest.fixture
def climbing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Searched]]:
    """Rungs with these looks, of an error; `further`: what more trials of one bring, or why they fail."""
    ladder = build(compose(["strategy=ladder"]).config.strategy, "strategy")
    ground: Any = SimpleNamespace(
        ladder=ladder, job=SimpleNamespace(decided=SimpleNamespace(metric="rmse")), rho=0.25,
    )  # fmt: skip

    def climb(
        looks: Mapping[str, Mapping[int, float]], further: Mapping[str, Mapping[int, float] | str] | None = None
    ) -> dict[str, Searched]:
        def go_on(ground: Any, name: str, n_trials: int, share: float) -> Searched | str:
            found = (further or {}).get(name, looks[name])
            return found if isinstance(found, str) else Searched(found, n_trials, 200.0)

        monkeypatch.setattr(rungs, "_most_trials", lambda ground, name: MOST)
        monkeypatch.setattr(rungs, "_further", go_on)
        return rungs._tuned(ground, {name: Look(one, np.zeros(3), 1.0, 300.0) for name, one in looks.items()})

    return climb


def test_the_chosen_rung_has_all_trials_near_ones_some_and_far_ones_one(climbing: Any) -> None:
    # Lora is a little better than full on every fold, so that both are near and full is clearly not the one.
    lora, full = around(1.0), around(1.0, scatter=3)
    found = climbing({"recalibrate": around(3.0), "lora": lora, "full": full})
    assert found["recalibrate"].n_trials == 1
    assert found["lora"].n_trials == MOST
    assert 1 < found["full"].n_trials < 1 + MOST / 3


def test_a_rung_that_fails_further_on_keeps_its_look(climbing: Any) -> None:
    looks = {"lora": around(1.0), "full": around(1.005, scatter=2)}
    found = climbing(looks, {"lora": "CUDA out of memory"})
    assert found["lora"] == Searched(looks["lora"], 1, 300.0)


def test_where_tuning_makes_another_one_the_choice_that_is_tuned_all_the_way_too(climbing: Any) -> None:
    looks = {"lora": around(1.0), "full": around(0.999, scatter=2)}
    found = climbing(looks, {"lora": around(1.5), "full": around(0.5)})
    assert found["full"].n_trials == MOST
    assert found["full"].values == around(0.5)


def test_the_most_memory_of_all_rounds_is_told(climbing: Any) -> None:
    assert climbing({"lora": around(1.0)})["lora"].megabytes == 300.0
