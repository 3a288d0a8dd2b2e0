"""Models made of other models become one graph: ensembles, wrapped bases, calibrated ones, and what decides labels."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from exports import SCHEMA, Case, beside, family, farthest, given, table
from scipy.special import softmax

from tasks import model as models
from tasks import parity
from tasks.model._bag import Bag, Member
from tasks.model._leaves import Leaves
from tasks.predictor import Predictor
from tasks.strategy.pooled import DOMAIN, Domain
from tasks.strategy.recalibrate import Scaled

pytest.importorskip("onnxruntime", reason='needs pip install "finefold[onnx]"')

from tasks.format._models import written
from tasks.format._run_onnx import load

SHIFT = {"binary": (0.0, 0.3), "multiclass": (0.0, 0.3, -0.2), "regression": (12.0,)}


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def base(case: Case) -> Path:
    return case.saved(case.fitted(family("lightgbm")), "base_model")


def test_an_ensemble_is_one_graph(case: Case, base: Path, tmp_path: Path) -> None:
    linear = case.saved(case.fitted(family("linear")), "linear")
    bag = Bag((Member(0.7, (base, linear)), Member(0.3, (base,))))
    assert farthest(case, case.saved(bag, "bag"), tmp_path)[0] < 1e-6


def test_a_recalibrated_base_is_one_graph(case: Case, base: Path, tmp_path: Path) -> None:
    made = Scaled(models.load(base), 1.3, SHIFT[case.kind])
    assert farthest(case, case.saved(made, "scaled"), tmp_path)[0] < 1e-6


def test_a_head_on_leaves_is_one_graph(case: Case, base: Path, tmp_path: Path) -> None:
    node = {"hyperparameters": {}, "start": {}, "space": {}, "grid": {}, "portfolio": [], "trees": 5}
    it = Leaves(**node)
    made = it.fit(it.workspace(case.training(), base, 1), {"penalty": 1.0}, None, 0)
    assert farthest(case, case.saved(made, "leaves"), tmp_path)[0] < 1e-6


def test_new_trees_on_a_base_are_one_graph(case: Case, base: Path, tmp_path: Path) -> None:
    it = family("lightgbm")
    made = it.fit(it.workspace(case.training(), base, 1), given(it), 5, 1)
    assert farthest(case, case.saved(made, "further"), tmp_path)[0] < 1e-6


def test_a_pooled_model_is_told_that_every_row_is_the_targets(case: Case, tmp_path: Path) -> None:
    it, training = family("linear"), case.training()
    X = training.X.assign(**{DOMAIN: np.arange(len(training.y)) % 2 * 1.0})
    inner = it.fit(it.workspace(replace(training, features=X), None, 1), given(it), None, 0)
    assert farthest(case, case.saved(Domain(inner), "pooled"), tmp_path)[0] < 1e-9


def calibrated(case: Case, base: Path, place: Path, kept: dict[str, object]) -> Path:
    """A folder of a calibrated model, as far as a graph reads it."""
    shutil.copytree(base, place / "inner")
    (place / "calibration.json").write_text(json.dumps(kept))
    beside(place, SCHEMA, case.problem)
    return place


def answers(folder: Path, place: Path, raw: pd.DataFrame) -> dict[str, np.ndarray]:
    made = written(folder)
    (place / "model.onnx").write_bytes(made.model.SerializeToString())
    return load(str(place / "model.onnx"))(parity.fed(raw, SCHEMA, made.schema, place))


def test_a_temperature_is_in_the_graph(case: Case, base: Path, tmp_path: Path) -> None:
    if not case.problem.is_classification:
        pytest.skip("of classes alone")
    raw = table(50, 2)
    folder = calibrated(case, base, tmp_path / "m", {"kind": "temperature", "temperature": 1.7})
    p = Predictor.load(base).fitted.predict(SCHEMA.apply(raw))
    np.testing.assert_allclose(answers(folder, tmp_path, raw)["probabilities"], softmax(np.log(p) / 1.7, 1), atol=1e-7)


def test_isotonic_curves_are_in_the_graph(case: Case, base: Path, tmp_path: Path) -> None:
    if not case.problem.is_classification:
        pytest.skip("of classes alone")
    raw, n = table(50, 2), len(case.problem.classes)
    x, y = [0.1, 0.3, 0.3, 0.8], [0.05, 0.2, 0.4, 0.9]
    n_curves = 1 if n == 2 else n
    kept = {"kind": "isotonic", "x": [x] * n_curves, "y": [y] * n_curves}
    folder = calibrated(case, base, tmp_path / "m", kept)
    p = np.interp(Predictor.load(base).fitted.predict(SCHEMA.apply(raw)), x, y)
    wanted = p / p.sum(axis=1, keepdims=True) if n > 2 else np.column_stack([1 - p[:, 1], p[:, 1]])
    np.testing.assert_allclose(answers(folder, tmp_path, raw)["probabilities"], wanted, atol=1e-7)


def test_a_steep_isotonic_curve_finds_trees_that_lose_next_to_nothing(
    case: Case, base: Path, tmp_path: Path
) -> None:
    if case.kind != "binary":
        pytest.skip("of two classes alone")
    raw = table(50, 2)
    p = Predictor.load(base).fitted.predict(SCHEMA.apply(raw))[:, 1]
    x, y = np.array([p[7] - 1e-8, p[7] + 1e-8]), np.array([0.2, 0.8])
    kept = {"kind": "isotonic", "x": [x.tolist()], "y": [y.tolist()]}
    folder = calibrated(case, base, tmp_path / "m", kept)
    found = answers(folder, tmp_path, raw)["probabilities"][7, 1]
    assert abs(found - np.interp(p[7], x, y)) < 1e-2  # float32 would be off by .1 and more


def test_a_threshold_decides_the_label(case: Case, base: Path, tmp_path: Path) -> None:
    if case.kind != "binary":
        pytest.skip("of two classes alone")
    raw = table(50, 2)
    shutil.copytree(base, tmp_path / "m")
    kept = {"costs": [[0.0, 0.3], [0.7, 0.0]], "threshold": 0.3}
    (tmp_path / "m" / "decision.json").write_text(json.dumps(kept))
    p = Predictor.load(base).fitted.predict(SCHEMA.apply(raw))[:, 1]
    found = answers(tmp_path / "m", tmp_path, raw)["label"]
    assert (found == np.where(p > 0.3, "yes", "no")).all()
    assert (found != np.where(p > 0.5, "yes", "no")).any()


def test_costs_decide_the_label_and_ties_go_to_the_first(case: Case, base: Path, tmp_path: Path) -> None:
    if not case.problem.is_classification:
        pytest.skip("of classes alone")
    raw, n = table(50, 2), len(case.problem.classes)
    costs = np.arange(n * n).reshape(n, n) % (n + 1) + 1.0
    folder = tmp_path / "m"
    shutil.copytree(base, folder)
    (folder / "decision.json").write_text(json.dumps({"costs": costs.tolist(), "threshold": None}))
    p = Predictor.load(base).fitted.predict(SCHEMA.apply(raw))
    wanted = np.array(case.problem.classes)[np.argmin(p @ costs, axis=1)]
    assert (answers(folder, tmp_path, raw)["label"] == wanted).all()
