"""Nets that are trained as one are the nets that are trained one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec

import pytest

if find_spec("torch") is None:
    pytest.skip('needs torch: pip install "finefold[neural]"', allow_module_level=True)

import numpy as np
import torch
from small_nets import OPTIMIZERS, SIZES, farthest, job, plan, unlike

from tasks.model import Curve
from tasks.model._batches import steps
from tasks.model._epochs import SCHEDULES, Plan, Progress, Team, train, train_teams


def one_by_one_and_together(how: Plan, dtype: torch.dtype) -> tuple[list[Progress], list[Progress]]:
    jobs = [job(k, dtype) for k in range(len(SIZES))]
    return [train([one], how, lambda curves: None)[0] for one in jobs], train(jobs, how, lambda curves: None)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_folds_trained_as_one_are_the_folds_trained_one_by_one(name: str) -> None:
    for dtype, bound in ((torch.float64, 4e-14), (torch.float32, 2e-3)):
        for alone, beside in zip(*one_by_one_and_together(plan(name), dtype), strict=True):
            assert beside.epoch == alone.epoch
            assert farthest(alone, beside) <= bound
            np.testing.assert_allclose(beside.curve, alone.curve, rtol=max(bound, 1e-12))


@pytest.mark.parametrize("name", ["adam", "momentum"])
def test_a_fold_that_stops_early_leaves_the_others_as_they_were(name: str) -> None:
    how = replace(plan(name), epochs=40, patience=1, learning_rate=0.03, schedule="none")
    alone, beside = one_by_one_and_together(how, torch.float64)
    lengths = [len(one.curve) for one in alone]
    assert len(set(lengths)) > 1
    assert [len(one.curve) for one in beside] == lengths
    assert max(map(farthest, alone, beside)) <= 1e-9  # over more and larger steps than above


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_trials_trained_as_one_are_the_trials_trained_one_by_one(name: str) -> None:
    for dtype, bound in ((torch.float64, 4e-14), (torch.float32, 2e-3)):
        jobs = [job(k, dtype) for k in range(len(SIZES))]
        together = train_teams([Team(jobs, how, lambda curves: None) for how in unlike(name)])
        for how, beside in zip(unlike(name), together, strict=True):
            assert not isinstance(beside, Exception)
            for alone, one in zip(train(jobs, how, lambda curves: None), beside, strict=True):
                assert one.epoch == alone.epoch
                assert farthest(alone, one) <= bound
                np.testing.assert_allclose(one.curve, alone.curve, rtol=max(bound, 1e-12))


def test_a_trial_that_fails_or_loses_its_race_leaves_the_others_as_they_were() -> None:
    jobs, how = [job(k, torch.float64) for k in range(len(SIZES))], replace(plan("mini_batch"), schedule="none")
    seen: list[int] = []

    def lost(curves: Sequence[Curve]) -> None:
        seen.append(len(curves[0]))
        if len(curves[0]) == 2:
            raise LookupError("lost")

    far = replace(how, learning_rate=1e4)
    teams = [Team(jobs, far, lambda curves: None), Team(jobs, how, lost), Team(jobs, how, lambda curves: None)]
    exploded, ended, done = train_teams(teams)
    assert isinstance(exploded, ValueError)
    assert "at learning_rate=1e+04 (optimizer=mini_batch)" in str(exploded)
    assert isinstance(ended, LookupError)
    assert seen == [1, 2]
    assert not isinstance(done, Exception)
    assert max(map(farthest, train(jobs, how, lambda curves: None), done)) <= 4e-14


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_learns(name: str) -> None:
    how = replace(plan(name), epochs={"sgd": 8, "gradient_descent": 60}.get(name, 12))
    one = train([job(0, torch.float32)], how, lambda curves: None)[0]
    assert min(value for _, value in one.curve) < 0.9 * one.curve[0][1]


def test_a_cost_that_explodes_is_named_with_its_epoch_and_learning_rate() -> None:
    with pytest.raises(ValueError, match=r"epoch \d+ at learning_rate=1e\+04 \(optimizer=mini_batch\)"):
        train([job(0, torch.float32)], replace(plan("mini_batch"), learning_rate=1e4), lambda curves: None)


def test_a_batch_larger_than_the_fold_is_the_whole_fold() -> None:
    assert [steps(230, n) for n in (1, 64, 229, 230, 10**9)] == [230, 4, 2, 1, 1]


def test_schedules_end_at_nothing_and_none_stays() -> None:
    for name, share in SCHEDULES.items():
        assert share(1.0) == pytest.approx(1.0 if name == "none" else 0.0)
        assert max(share(done / 100) for done in range(101)) == pytest.approx(1)
