"""What of stacked nets learns: as one and one by one, computed once and anew, adapters beside and merged."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import pytest

if find_spec("torch") is None:
    pytest.skip('needs torch: pip install "finefold[neural]"', allow_module_level=True)

import numpy as np
import torch
from torch import Tensor

from flows.build import build
from flows.config import compose
from tasks.loss.mse import MSE
from tasks.model._base_rows import FromBase
from tasks.model._batches import Batches, Rehearsal, Rows
from tasks.model._epochs import Job, Plan, Progress, Score, train
from tasks.model._learner import DOWN, UP, Group, Learner, Tuning
from tasks.model._loss import row_losses
from tasks.model._net import ACTIVATIONS, Shape, Start, inputs, outputs, through
from tasks.model._net_way import way

SHAPE = Shape(4, 1, 2, 6, 1, layers=2, width=8, level_width=3, frequencies=4, periodic_width=2)
N_ROWS = (49, 50, 48)  # of three nets
GIVEN = {"n_layers": 1, "rank": 2, "decay": 0.5, "l2_sp": 0.03}
WAYS = ("feature_extraction", "last_layers", "lora", "gradual", "full")


def rows(n: int, seed: int) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randn(n, 5, dtype=torch.float64, generator=generator)
    levels = torch.randint(3, (n, 2), generator=generator)
    weight = 0.5 + torch.rand(n, dtype=torch.float64, generator=generator)
    return Rows(numbers, levels, numbers[:, 0] - numbers[:, 1], weight)


def base() -> dict[str, Tensor]:
    start = Start(torch.zeros(1, dtype=torch.float64), torch.tensor([0]), 0.3)
    return start.parameters(SHAPE, torch.Generator().manual_seed(5))


def job(shape: Shape, net: dict[str, Tensor], own: Rows, valid: Rows) -> Job:
    def score(raw: Tensor) -> Score:
        cost = float(((raw[:, 0] - valid.y) ** 2).mean())
        return Score(cost, cost)

    return Job(shape, FromBase(net), row_losses(MSE(), 1.0), own, valid, score)


def cut(own: Rows, first: int | None) -> Rows:
    """What a layer takes of rows."""
    if first is None:
        return own
    net = {name: value[None] for name, value in base().items()}
    taken = through(net, range(first), "silu", inputs(net, SHAPE, own.numbers[None], own.levels[None]))
    return replace(own, numbers=taken[0], levels=own.levels[:, :0])


def plan(tuning: Tuning, rehearsal: Rehearsal | None = None, dropout: float = 0.2) -> Plan:
    optimizer = build(compose(["model=mlp"]).config.optimizer, "optimizer")
    return Plan(
        optimizer, 0.01, 0.0, 4, epochs=6, patience=9, schedule="cosine", dropout=dropout, activation="silu",
        is_higher_better=False, seed=3, tuning=tuning, rehearsal=rehearsal,
    )  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_nets_trained_as_one_are_those_trained_one_by_one(name: str) -> None:
    how = way(name, SHAPE, GIVEN, 6)
    shape, net = how.shape(SHAPE), how.cut(base())
    jobs = [job(shape, net, cut(rows(n, n), how.first), cut(rows(30, 9), how.first)) for n in N_ROWS]
    asked = plan(how.tuning, Rehearsal.of_share(cut(rows(40, 7), how.first), 0.25, 50, 4))
    together = train(jobs, asked, lambda curves: None)
    for one, beside in zip(jobs, together, strict=True):
        (alone,) = train([one], asked, lambda curves: None)
        assert beside.epoch == alone.epoch
        assert beside.n_trained == alone.n_trained
        np.testing.assert_allclose(beside.curve, alone.curve, rtol=1e-12)
        assert max(float((alone.net[key] - beside.net[key]).abs().max()) for key in alone.net) <= 4e-14


@pytest.mark.parametrize("name", ["feature_extraction", "last_layers", "lora"])
def test_what_is_computed_once_trains_as_what_is_computed_anew(name: str) -> None:
    """Without dropout, which has fewer layers to draw for where the lower ones are computed once."""
    how = way(name, SHAPE, GIVEN, 6)
    assert how.first is not None
    groups = [
        Group(tuple(f"{kind}.{int(k) + how.first}" for kind, _, k in (one.partition(".") for one in group.names)))
        for group in how.tuning.groups
    ]
    anew = replace(how.tuning, groups=groups)

    def trained(shape: Shape, net: dict[str, Tensor], tuning: Tuning, first: int | None) -> Progress:
        one = job(shape, net, cut(rows(50, 1), first), cut(rows(30, 9), first))
        return train([one], plan(tuning, dropout=0.0), lambda curves: None)[0]

    once = how.joined(base(), trained(how.shape(SHAPE), how.cut(base()), how.tuning, how.first).net)
    whole = trained(SHAPE, base(), anew, None).net
    assert max(float((once[key] - whole[key]).abs().max()) for key in whole) <= 1e-12


def test_a_net_with_merged_adapters_gives_what_it_gives_with_them_beside() -> None:
    how, own = way("lora", SHAPE, GIVEN, 6), rows(20, 2)
    like = torch.empty(0, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    optimizer = build(compose(["model=mlp"]).config.optimizer, "optimizer")
    learner = Learner([how.cut(base())], optimizer, 1.0, [0.0], how.tuning, like, [generator])
    assert all(value.abs().max() == 0 for key, value in learner.stack.tensors.items() if key.endswith(UP))
    learner.stack.flat.normal_(generator=generator)
    beside, hidden = learner.stack.tensors, cut(own, 0).numbers
    for k in range(SHAPE.layers):
        name = f"weight.{k}"
        added = hidden @ beside[name + DOWN][0] @ beside[name + UP][0]
        hidden = ACTIVATIONS["silu"](hidden @ base()[name] + added + base()[f"bias.{k}"])
    given = hidden @ beside["weight.2"][0] + beside["bias.2"][0]
    merged = {name: value[None] for name, value in how.joined(base(), learner.net(0)).items()}
    made = outputs(merged, SHAPE, "silu", own.numbers[None], own.levels[None])[0]
    np.testing.assert_allclose(made.detach(), given.detach(), rtol=1e-10)


def test_an_adapter_has_no_larger_rank_than_its_matrix() -> None:
    how = way("lora", SHAPE, {**GIVEN, "rank": 1000}, 6)
    one = job(how.shape(SHAPE), how.cut(base()), cut(rows(50, 1), 0), cut(rows(30, 9), 0))
    (done,) = train([one], plan(how.tuning), lambda curves: None)
    assert done.n_trained == 8 * (8 + 8) + 8 * (8 + one.train.numbers.shape[1]) + 8 + 1


def test_a_batch_holds_the_share_of_source_rows_and_every_row_of_an_epoch_once() -> None:
    source, own = rows(40, 1), [rows(n, n) for n in N_ROWS]
    rehearsal = Rehearsal.of_share(source, 0.25, 50, 4)
    seen, batches = [], Batches(own, 4, (0, 1), rehearsal)
    for batch, n_rows in batches.epoch():
        assert (rehearsal.n_rows / torch.tensor(n_rows)).numpy() == pytest.approx(0.25, abs=0.02)
        n = rehearsal.n_rows
        assert torch.equal(batch.numbers[0, :n], batch.numbers[2, :n])
        np.testing.assert_allclose(batch.weight[:, n:].count_nonzero(1) + n, n_rows)
        seen.append(batch.y[1, n : n_rows[1]])
    assert torch.equal(torch.cat(seen).sort().values, own[1].y.sort().values)


def test_few_source_rows_come_again_within_an_epoch() -> None:
    rehearsal = Rehearsal(rows(3, 1), 2)
    places = rehearsal.places(4, torch.Generator().manual_seed(0))
    assert places.shape == (4, 2)
    assert sorted(places.flatten()[:6].tolist()) == [0, 0, 1, 1, 2, 2]
