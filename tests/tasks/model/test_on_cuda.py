"""On a GPU nets learn what they learn on the CPU; `device=auto` takes it, so that all other tests of nets run on one
where there is one."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("torch") is None:
    pytest.skip('needs torch: pip install "finefold[neural]"', allow_module_level=True)

import torch

if not torch.cuda.is_available():
    pytest.skip("needs a GPU that PyTorch finds through CUDA", allow_module_level=True)

from small_nets import OPTIMIZERS, SIZES, farthest, job, plan, to, unlike

from flows.config import compose
from flows.plan import plan as plan_of
from tasks.model._device import device
from tasks.model._epochs import Progress, Team, train, train_teams

CUDA = torch.device("cuda")


def trained(name: str, dtype: torch.dtype, where: torch.device, *, as_one: bool) -> list[Progress]:
    """Without dropout, whose draws differ from device to device."""
    jobs = [to(job(k, dtype), where) for k in range(len(SIZES))]
    how = replace(plan(name), dropout=0.0)
    return train(jobs, how, lambda curves: None) if as_one else [
        train([one], how, lambda curves: None)[0] for one in jobs
    ]  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_folds_trained_as_one_on_a_gpu_are_the_folds_trained_one_by_one_on_the_cpu(name: str) -> None:
    for dtype, bound in ((torch.float64, 1e-11), (torch.float32, 2e-3)):
        alone = trained(name, dtype, torch.device("cpu"), as_one=False)
        beside = trained(name, dtype, CUDA, as_one=True)
        for one, other in zip(alone, beside, strict=True):
            assert other.epoch == one.epoch
            assert farthest(one, other) <= bound
            np.testing.assert_allclose(other.curve, one.curve, rtol=max(bound, 1e-9))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_trials_trained_as_one_on_a_gpu_are_the_trials_trained_one_by_one_on_the_cpu(name: str) -> None:
    plans = [replace(plan, dropout=0.0) for plan in unlike(name)]
    for dtype, bound in ((torch.float64, 1e-11), (torch.float32, 2e-3)):
        jobs = [job(k, dtype) for k in range(len(SIZES))]
        there = [to(one, CUDA) for one in jobs]
        every = train_teams([Team(there, how, lambda curves: None) for how in plans])
        for how, beside in zip(plans, every, strict=True):
            assert not isinstance(beside, Exception)
            for one, other in zip(train(jobs, how, lambda curves: None), beside, strict=True):
                assert other.epoch == one.epoch
                assert farthest(one, other) <= bound


def test_auto_takes_the_gpu_and_trains_all_trials_of_the_window_together() -> None:
    assert device("auto") == CUDA
    assert plan_of(compose(["model=mlp"])).together == 4
