"""What columns add to a prediction sums up to it, whichever way it is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from tasks import model as models
from tasks.loss.cross_entropy import CrossEntropy
from tasks.loss.mse import MSE
from tasks.model import Floats, Training, _bag, explained
from tasks.model._explained import N_HYBRIDS, Explains, outputs, sampled
from tasks.model.linear import Fitted as LinearFitted
from tasks.model.linear import Linear
from tasks.records import Problem, ProblemKind

N = 160
RNG = np.random.default_rng(0)
X = pd.DataFrame({
    "a": RNG.normal(size=N), "b": np.where(RNG.random(N) < 0.2, np.nan, RNG.normal(size=N)),
    "c": pd.Series(RNG.choice(["x", "y", "z"], N)).astype("str"),
})  # fmt: skip
CLASSES: dict[ProblemKind, tuple[str, ...]] = {"binary": ("n", "y"), "multiclass": ("p", "q", "r"), "regression": ()}


def linear(kind: ProblemKind) -> LinearFitted:
    k = len(CLASSES[kind])
    score = X["a"] + 2 * (X["c"] == "x")
    y = np.digitize(score, np.quantile(score, np.linspace(0, 1, k + 1)[1:-1])) if k else score
    training = Training(
        X, np.asarray(y, np.float64), None, [], Problem(kind, "t", CLASSES[kind]), CrossEntropy() if k else MSE(), "m"
    )
    family = Linear({}, {}, {}, {}, [], 10.0, 1, 20, 1_000)
    return family.fit(family.workspace(training, None, 1), {"penalty": 1.0}, None, 0)  # type: ignore[return-value]


@pytest.mark.parametrize("kind", list(CLASSES))
def test_a_linear_model_s_coefficients_sum_to_its_score(kind: ProblemKind) -> None:
    fitted = linear(kind)
    found = fitted.explain(X)
    assert found is not None
    assert found.columns == ("a", "b", "c")
    score = found.values.sum(axis=2) + found.bias
    predicted = fitted.predict(X)
    if kind == "binary":
        np.testing.assert_allclose(1 / (1 + np.exp(-score[:, 0])), predicted[:, 1], atol=1e-12)
    else:
        expected = softmax(score, axis=1) if kind == "multiclass" else score[:, 0]
        np.testing.assert_allclose(expected, predicted, atol=1e-9)
    assert np.abs(found.values[:, 0, 0]).sum() > np.abs(found.values[:, 0, 1]).sum()


class Product:
    """Two classes by the product of two columns, of which the third is none."""

    n_parameters = 0

    def predict(self, X: pd.DataFrame) -> Floats:
        positive = 1 / (1 + np.exp(-X["a"].to_numpy() * np.where(X["c"] == "x", 2.0, -1.0)))
        return np.column_stack([1 - positive, positive])


def test_sampled_shares_sum_to_the_prediction_and_a_column_without_effect_has_none() -> None:
    found = sampled(Product(), X.iloc[10:], X.iloc[:5])
    np.testing.assert_allclose(
        found.values.sum(axis=2) + found.bias, outputs(Product().predict(X.iloc[10:])), atol=1e-12
    )
    assert np.abs(found.values[:, 0, 1]).max() == 0
    assert found.bias[0, 0] == pytest.approx(Product().predict(X.iloc[:5])[:, 1].mean())


def test_a_row_s_shares_depend_on_no_other_row() -> None:
    together = sampled(Product(), X, X.iloc[:5])
    alone = sampled(Product(), X.iloc[17:18], X.iloc[:5])
    assert together.values[17].tolist() == alone.values[0].tolist()


def test_of_few_columns_sampled_shares_are_shapley_s_own() -> None:
    background = X.iloc[:3]
    row = X.iloc[20:21]
    found = sampled(Product(), row, background)

    def value(own: set[str]) -> float:
        mixed = background.assign(**{name: row[name].to_numpy()[0] for name in own})
        return float(Product().predict(mixed)[:, 1].mean())

    exact = (value({"a"}) - value(set()) + value({"a", "c"}) - value({"c"})) / 2
    assert found.values[0, 0, 0] == pytest.approx(exact, abs=0.02)


class Counting(Product):
    n_rows = 0

    def predict(self, X: pd.DataFrame) -> Floats:
        type(self).n_rows += len(X)
        return super().predict(X)


def test_what_is_predicted_for_a_row_is_bounded() -> None:
    Counting.n_rows = 0
    sampled(Counting(), X.iloc[:2], X.iloc[:5])
    assert Counting.n_rows <= 2 * N_HYBRIDS
    wide = pd.concat([X, pd.DataFrame(0.0, X.index, [f"w{n}" for n in range(400)])], axis=1)
    Counting.n_rows = 0
    sampled(Counting(), wide.iloc[:2], wide.iloc[:5])
    assert Counting.n_rows == 2 * 2 * (403 + 1)


def test_a_bag_of_regressions_explains_by_its_models_and_one_of_classes_by_sampling(tmp_path: Path) -> None:
    for kind in ("regression", "binary"):
        fitted = linear(kind)
        models.save(fitted, tmp_path / kind)
        bag = _bag.Bag((_bag.Member(1.0, (tmp_path / kind, tmp_path / kind)),))
        found = explained(bag, X.iloc[20:30], X.iloc[:5])
        predicted = outputs(bag.predict(X.iloc[20:30]))
        np.testing.assert_allclose(found.values.sum(axis=2) + found.bias, predicted, atol=1e-9)
        assert isinstance(bag, Explains)
        assert (bag.explain(X.iloc[:2]) is None) == (kind == "binary")
