"""Laws that every loss of conf/loss holds."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from omegaconf import OmegaConf
from scipy import special
from scipy.special import softmax
from sklearn import metrics as reference

from tasks.loss import Loss, check, choose
from tasks.refusal import Refusal

Floats = NDArray[np.float64]
CONF = Path(__file__).parents[3] / "conf" / "loss"
CHOICES = sorted(path.stem for path in CONF.glob("*.yaml") if "_target_" in path.read_text())  # auto names another
REFERENCES = {
    "mse": reference.mean_squared_error,
    "mae": reference.mean_absolute_error,
    "rmse": reference.root_mean_squared_error,
    "cross_entropy": reference.log_loss,
    "huber": lambda y, prediction, sample_weight: np.average(
        special.huber(DELTA, prediction - y), weights=sample_weight
    ),
    "quantile": partial(reference.mean_pinball_loss, alpha=0.9),
    "focal": lambda y, prediction, sample_weight: np.average(
        [-(1 - p[int(c)]) ** 2 * np.log(p[int(c)]) for c, p in zip(y, prediction, strict=True)], weights=sample_weight
    ),
    "next_token": lambda y, prediction, sample_weight: np.average(
        prediction[:, 0] / prediction[:, 1], weights=prediction[:, 1] * (1 if sample_weight is None else sample_weight)
    ),
}
DELTA = 0.7
GIVEN = {"huber": {"delta": DELTA}}  # what the data decides


def load(choice: str) -> Loss:
    node = {**OmegaConf.to_container(OmegaConf.load(CONF / f"{choice}.yaml")), **GIVEN.get(choice, {})}
    module, _, name = node.pop("_target_").rpartition(".")
    loss: Loss = getattr(import_module(module), name)(**node)
    return loss


def sample(loss: Loss, n: int = 50) -> tuple[Floats, Floats, Floats]:
    """y, raw scores and the prediction that they stand for."""
    generator = np.random.default_rng(0)
    if "regression" in loss.problems:
        y, raw = generator.normal(size=(2, n))
        return y, raw, raw
    if "generation" in loss.problems:  # a row's loss and its tokens, which are no logits
        y, raw = generator.integers(3, 9, n).astype(np.float64), generator.uniform(2, 9, size=(n, 2))
        return y, raw, raw
    y, raw = generator.integers(0, 3, n).astype(np.float64), generator.normal(size=(n, 3))
    return y, raw, softmax(raw, axis=1)


@pytest.mark.parametrize("choice", CHOICES)
def test_a_loss_is_named_as_its_file(choice: str) -> None:
    assert load(choice).name == choice


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("choice", CHOICES)
def test_the_cost_is_that_of_scikit_learn(choice: str, is_weighted: bool) -> None:
    loss = load(choice)
    y, _, prediction = sample(loss)
    weight = np.random.default_rng(1).random(len(y)) if is_weighted else None
    expected = REFERENCES[choice](y, prediction, sample_weight=weight)
    assert loss.cost(y, prediction, weight) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("choice", CHOICES)
def test_the_loss_of_a_row_does_not_depend_on_other_rows(choice: str) -> None:
    loss = load(choice)
    y, _, prediction = sample(loss)
    of_rows = loss.per_sample(y, prediction)
    assert of_rows.shape == (len(y),)
    assert (of_rows >= 0).all()
    np.testing.assert_array_equal(of_rows[5:9], loss.per_sample(y[5:9], prediction[5:9]))


@pytest.mark.parametrize("choice", CHOICES)
def test_the_gradient_is_that_of_finite_differences(choice: str) -> None:
    loss = load(choice)
    y, raw, _ = sample(loss)
    step = 1e-6
    columns = np.eye(raw.shape[1]) if raw.ndim == 2 else np.ones((1, 1))

    def of_rows(scores: Floats) -> Floats:
        return loss.per_sample(y, softmax(scores, axis=1) if scores.ndim == 2 and choice != "next_token" else scores)

    slopes = []
    for column in columns:
        shift = step * (column if raw.ndim == 2 else 1.0)
        slopes.append((of_rows(raw + shift) - of_rows(raw - shift)) / (2 * step))
    expected = np.stack(slopes, axis=1) if raw.ndim == 2 else slopes[0]
    np.testing.assert_allclose(loss.gradient(y, raw), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("choice", CHOICES)
def test_arguments_are_not_written_into(choice: str) -> None:
    loss = load(choice)
    arrays = sample(loss)
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    y, raw, prediction = arrays
    loss.cost(y, prediction)
    loss.gradient(y, raw)
    for array, old in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, old)


@pytest.mark.parametrize("problem", ["binary", "multiclass", "regression", "generation"])
def test_the_default_of_a_problem_is_a_choice_that_fits_it(problem: str) -> None:
    check(load(choose(problem)), problem)


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("problem", ["binary", "multiclass", "regression", "generation"])
def test_a_loss_of_another_problem_is_refused_with_one_that_fits(choice: str, problem: str) -> None:
    loss = load(choice)
    if problem in loss.problems:
        return check(loss, problem)
    with pytest.raises(
        Refusal, match=f"loss={choice} is for .*; this is a {problem} problem; .*loss={choose(problem)}"
    ):
        check(loss, problem)
    return None
