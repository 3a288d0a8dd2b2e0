"""Nets that are trained as one are the nets that are trained one by one."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import pytest

if find_spec("torch") is None:
    pytest.skip('needs torch: pip install "finefold[neural]"', allow_module_level=True)

import numpy as np
import torch

from flows.build import build
from flows.config import CONF, compose
from tasks.loss.mse import MSE
from tasks.model._batches import Rows, steps
from tasks.model._epochs import SCHEDULES, Job, Plan, Progress, Score, train
from tasks.model._loss import row_losses
from tasks.model._net import Shape, Start

OPTIMIZERS = sorted(path.stem for path in (CONF / "optimizer").glob("*.yaml") if path.stem != "auto")
SIZES = ((98, 3, 9), (99, 2, 11), (96, 4, 10))  # rows, flags, levels: no two nets have the same shapes
RATES = {"sgd": 0.01, "gradient_descent": 0.3}


def rows(n: int, n_flags: int, n_levels: int, seed: int, dtype: torch.dtype) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randn(n, 4 + n_flags, dtype=torch.float64, generator=generator)
    levels = torch.randint(n_levels, (n, 2), generator=generator)
    y = numbers[:, 0] - numbers[:, 1] + (levels[:, 0] % 2) + torch.randn(n, generator=generator) / 4
    weight = 0.5 + torch.rand(n, dtype=torch.float64, generator=generator)
    return Rows(numbers.to(dtype), levels, y.to(dtype), weight.to(dtype))


def job(k: int, dtype: torch.dtype) -> Job:
    n, n_flags, n_levels = SIZES[k]
    shape = Shape(4, n_flags, 2, n_levels, 1, layers=2, width=8, level_width=3, frequencies=4, periodic_width=2)
    valid = rows(60 + k, n_flags, n_levels, 100 + k, dtype)
    start = Start(torch.zeros(1, dtype=torch.float64), torch.tensor([0]), 0.3)

    def score(raw: torch.Tensor) -> Score:
        cost = float(((raw[:, 0] - valid.y).double() ** 2).mean())
        return Score(cost, cost)

    return Job(shape, start, row_losses(MSE(), 1.0), rows(n, n_flags, n_levels, k, dtype), valid, score)


def plan(name: str) -> Plan:
    optimizer = build(compose(["model=mlp", f"optimizer={name}"]).config.optimizer, "optimizer")
    rows_per_step = {"sgd": 1, "gradient_descent": 10**9}.get(name, 16)
    return Plan(
        optimizer, RATES.get(name, optimizer.learning_rate.start), 1e-3, steps(99, rows_per_step), epochs=3,
        patience=9, schedule="cosine", dropout=0.2, activation="silu", is_higher_better=False, seed=3,
    )  # fmt: skip


def one_by_one_and_together(how: Plan, dtype: torch.dtype) -> tuple[list[Progress], list[Progress]]:
    jobs = [job(k, dtype) for k in range(len(SIZES))]
    return [train([one], how, lambda curves: None)[0] for one in jobs], train(jobs, how, lambda curves: None)


def farthest(alone: Progress, beside: Progress) -> float:
    """The largest difference of any parameter, relative to 1 and to its own size."""
    assert alone.net.keys() == beside.net.keys()
    return max(float(((a - beside.net[name]).abs() / (1 + a.abs())).max()) for name, a in alone.net.items())


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
