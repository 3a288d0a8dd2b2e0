"""Laws that all optimizers of conf/optimizer hold."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("torch") is None:
    pytest.skip('needs torch: pip install "finefold[neural]"', allow_module_level=True)

import numpy as np
import torch

from flows.build import build
from flows.config import CONF, compose
from flows.plan import plan
from tasks.metric import Floats
from tasks.optimizer import Optimizer
from tasks.refusal import Refusal

NAMES = sorted(path.stem for path in (CONF / "optimizer").glob("*.yaml"))
CURVATURE = np.array([1.0, 0.5, 4.0])  # of the quadratic f(p) = sum of curvature p^2 / 2, whose gradient is curvature p
BEGIN = np.array([1.0, -2.0, 0.5])
RATE, DECAY, N = 0.05, 0.01, 25

Step = Callable[[Floats, Floats, dict[str, Floats], int], Floats]  # (p, g, what it keeps, t) to the next p


def optimizer(name: str, *overrides: str) -> Optimizer:
    config = compose(["model=mlp", f"optimizer={name}", *overrides]).config
    built: Optimizer = build(config.optimizer, "optimizer")
    return built


def descended(it: Optimizer) -> Floats:
    """The way down the quadratic, (N + 1, 3), in double precision."""
    p = torch.tensor(BEGIN, dtype=torch.float64)
    p.grad = torch.zeros_like(p)
    method = it.make(p, RATE, DECAY)
    way = [p.numpy().copy()]
    for _ in range(N):
        p.grad.copy_(torch.tensor(CURVATURE) * p)
        method.step()
        way.append(p.numpy().copy())
    return np.array(way)


def kept(state: dict[str, Floats], name: str) -> Floats:
    return state.get(name, np.zeros(3))


def plain(p: Floats, g: Floats, state: dict[str, Floats], t: int) -> Floats:
    return p - RATE * (g + DECAY * p)


def heavy_ball(p: Floats, g: Floats, state: dict[str, Floats], t: int) -> Floats:
    state["v"] = 0.9 * kept(state, "v") + g + DECAY * p
    return p - RATE * state["v"]


def nesterov(p: Floats, g: Floats, state: dict[str, Floats], t: int) -> Floats:
    decayed = g + DECAY * p
    state["v"] = 0.9 * kept(state, "v") + decayed
    return p - RATE * (decayed + 0.9 * state["v"])


def adagrad(p: Floats, g: Floats, state: dict[str, Floats], t: int) -> Floats:
    decayed = g + DECAY * p
    state["s"] = kept(state, "s") + decayed**2
    return p - RATE * decayed / (np.sqrt(state["s"]) + 1e-10)


def rmsprop(p: Floats, g: Floats, state: dict[str, Floats], t: int) -> Floats:
    decayed = g + DECAY * p
    state["s"] = 0.99 * kept(state, "s") + 0.01 * decayed**2
    return p - RATE * decayed / (np.sqrt(state["s"]) + 1e-8)


def adam(p: Floats, g: Floats, state: dict[str, Floats], t: int) -> Floats:
    """Kingma and Ba 2015, algorithm 1."""
    decayed = g + DECAY * p
    state["m"] = 0.9 * kept(state, "m") + 0.1 * decayed
    state["v"] = 0.999 * kept(state, "v") + 0.001 * decayed**2
    return p - RATE * (state["m"] / (1 - 0.9**t)) / (np.sqrt(state["v"] / (1 - 0.999**t)) + 1e-8)


def adamw(p: Floats, g: Floats, state: dict[str, Floats], t: int) -> Floats:
    """Loshchilov and Hutter 2019, algorithm 2: the decay is taken off the parameter, and stays out of the gradient."""
    return adam(p, g - DECAY * p, state, t) - RATE * DECAY * p


TEXTBOOK: dict[str, Step] = {
    "gradient_descent": plain, "sgd": plain, "mini_batch": plain, "momentum": heavy_ball, "adagrad": adagrad,
    "rmsprop": rmsprop, "adam": adam, "adamw": adamw, "auto": adamw,
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_on_a_quadratic_it_goes_the_way_of_its_textbook(name: str) -> None:
    assert_way(descended(optimizer(name)), TEXTBOOK[name])


def test_nesterov_is_a_switch_of_momentum() -> None:
    assert_way(descended(optimizer("momentum", "optimizer.nesterov=true")), nesterov)


@pytest.mark.parametrize("name", ["gradient_descent", "sgd", "mini_batch"])
def test_plain_descent_of_a_quadratic_is_a_power(name: str) -> None:
    """p after t steps is p (1 - lr (curvature + decay))^t."""
    closed = BEGIN * (1 - RATE * (CURVATURE + DECAY)) ** np.arange(N + 1)[:, None]
    np.testing.assert_allclose(descended(optimizer(name)), closed, rtol=1e-12)


def assert_way(way: Floats, step: Step) -> None:
    expected, state = [BEGIN], dict[str, Floats]()
    for t in range(1, N + 1):
        expected.append(step(expected[-1], CURVATURE * expected[-1], state, t))
    np.testing.assert_allclose(way, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_its_own_learning_rates_and_epochs_reach_the_model(name: str) -> None:
    it, config = optimizer(name), compose(["model=mlp", f"optimizer={name}"]).config.model["mlp"]
    for key in ("learning_rate", "weight_decay"):
        natural = getattr(it, key)
        assert natural.low <= natural.start <= natural.high
        assert config["start"][key] == natural.start
        assert (config["space"][key]["low"], config["space"][key]["high"]) == (natural.low, natural.high)
    assert config["hyperparameters"]["epochs"] == it.epochs
    assert config["hyperparameters"]["batch_size"] == it.batch_size


@pytest.mark.parametrize("name", NAMES)
def test_its_yaml_says_in_two_lines_what_it_does_and_what_its_knobs_cost(name: str) -> None:
    lines = (CONF / "optimizer" / f"{name}.yaml").read_text().splitlines()
    assert lines[0].startswith("# finefold run")
    assert name == "auto" or [line.startswith("#") for line in lines[:4]] == [True, True, True, False]


def test_an_optimizer_for_families_that_have_none_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refusal) as refused:
        plan(compose(["model=[lightgbm,linear]", "optimizer=adam", "device=cpu", "metric=nonsense"]))
    assert len(refused.value.faults) == 3
    assert "optimizer=adam: lightgbm, linear has none" in str(refused.value)
    assert "device=cpu" in str(refused.value)


def test_every_fault_of_its_knobs_is_named_once_and_as_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refusal) as refused:
        plan(compose(["model=mlp", "optimizer=momentum", "optimizer.momentum=1.5", "optimizer.nesterov=maybe"]))
    assert refused.value.faults == (
        "optimizer.momentum must be less than 1, got 1.5.", "optimizer.nesterov must be true or false, got 'maybe'.",
    )  # fmt: skip
