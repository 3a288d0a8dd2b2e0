"""The Gaussian process: refused without PyTorch; with it, the laws of a search."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from flows.config import compose
from flows.plan import Plan, plan
from tasks.refusal import Refusal

has_torch = find_spec("torch") is not None
ONE = [f"model.lightgbm.hyperparameters.{key}=0.5" for key in
       ("feature_fraction", "bagging_fraction", "lambda_l1", "lambda_l2", "learning_rate")]
needs_torch = pytest.mark.skipif(not has_torch, reason="needs torch: pip install torch")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def walk(planned: Plan, n: int) -> list[FrozenTrial]:
    """n trials on a hill whose top lies at 12 leaves, each told before the next one is asked."""
    told: list[FrozenTrial] = []
    while len(told) < n:
        trial = planned.search.ask(planned.space, told, 0, is_higher_better=True)
        assert trial is not None
        leaves = planned.space.proposal(trial).hyperparameters.get("num_leaves", 255)
        told.append(create_trial(state=TrialState.COMPLETE, params=trial.params, distributions=trial.distributions,
                                 system_attrs=trial.system_attrs, value=-abs(math.log(leaves / 12))))  # fmt: skip
    return told


@pytest.mark.skipif(has_torch, reason="torch is installed")
def test_without_torch_it_is_refused_with_the_command_that_installs_it() -> None:
    with pytest.raises(Refusal, match=r"search=gp needs PyTorch: `pip install torch`"):
        plan(compose(["search=gp"]))


@needs_torch
@pytest.mark.parametrize("families", ["[lightgbm]", "[linear,forest]"])
def test_the_same_study_gives_the_same_proposals_and_none_twice(families: str) -> None:
    planned = plan(compose(["search=gp", f"model={families}"]))
    told = walk(planned, 13)
    assert [trial.params for trial in told] == [trial.params for trial in walk(planned, 13)]
    assert len({planned.space.point(trial.params) for trial in told}) == 13


@needs_torch
def test_it_climbs() -> None:
    values = [trial.value or 0.0 for trial in walk(plan(compose(["search=gp"])), 16)]
    assert max(values[10:]) > max(values[:10])


@needs_torch
def test_it_learns_what_exceeds_a_limit() -> None:
    planned, told = plan(compose(["search=gp", *ONE])), []
    while len(told) < 18:
        trial = planned.search.ask(planned.space, told, 0, is_higher_better=True)
        assert trial is not None
        leaves = planned.space.proposal(trial).hyperparameters["num_leaves"]
        told.append(create_trial(state=TrialState.COMPLETE, params=trial.params, distributions=trial.distributions,
                                 value=math.log(leaves), constraints={"megabytes": leaves / 40 - 1}))  # fmt: skip
    late = [planned.space.proposal(trial).hyperparameters["num_leaves"] for trial in told[11:]]
    assert sum(leaves <= 41 for leaves in late) > len(late) / 2
