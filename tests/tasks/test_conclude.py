"""What follows from predictions out of fold: a calibrated model, a threshold, residuals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from judged import CLASSES, NUMBER, Sums, case

from tasks import decision as decisions
from tasks import interval as intervals
from tasks import model as models
from tasks.calibration import Calibration
from tasks.calibration._calibrated import Calibrated, curve_of
from tasks.calibration.isotonic import Isotonic
from tasks.calibration.temperature import Temperature
from tasks.conclude import Asked, conclude
from tasks.decision import Decision
from tasks.records import Concluded, Trained

N = 600
RNG = np.random.default_rng(0)
CHANCE = RNG.uniform(0.1, 0.9, N)
Y = (RNG.random(N) < 0.5 + 0.3 * (CHANCE - 0.5)).astype(np.float64)  # the probabilities are too sure
TABLE = pd.DataFrame({"x": CHANCE, "y": Y})
Concludes = Callable[..., Concluded]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Concludes:
    """Concludes of a model of two classes whose predictions out of fold are x."""
    root = tmp_path_factory.mktemp("made")
    it = case(root, CLASSES, "f1", TABLE, TABLE, Sums(is_classes=True), out_of_fold=list(CHANCE))
    (root / "model" / "schema.json").write_text("{}")

    def concludes(asked: Asked, *, is_base: bool = False) -> Concluded:
        trained = Trained(str(root / "model"), "sums", 1, None, is_base=is_base)
        return conclude.fn(it.experiment, trained, it.members, asked)

    return concludes


@pytest.mark.parametrize("calibration", [Temperature(20.0), Isotonic()])
def test_the_model_predicts_what_its_curve_makes_of_the_one_inside(made: Concludes, calibration: Calibration) -> None:
    concluded = made(Asked(calibration))
    folder = Path(concluded.trained.folder)
    fitted, curve = models.load(folder), curve_of(folder)
    assert isinstance(fitted, Calibrated)
    assert curve is not None
    expected = curve(Sums(is_classes=True).predict(TABLE))
    assert fitted.predict(TABLE).tolist() == expected.tolist()
    assert concluded.after < concluded.before
    assert concluded.curve == curve.described
    fitted_anew = calibration.fit(np.column_stack([1 - CHANCE, CHANCE]), Y, None)
    np.testing.assert_allclose(fitted_anew(Sums(is_classes=True).predict(TABLE)), expected, atol=1e-4)
    assert (folder / "schema.json").exists()
    assert not (folder / "inner" / "schema.json").exists()
    assert models.own_files(folder) == folder / "inner"
    assert json.loads((folder / "inner" / "sums.json").read_text()) == [0.0, True]


def test_the_same_conclusion_has_the_same_folder_and_another_one_another(made: Concludes) -> None:
    first = made(Asked(Temperature(20.0), 0.3)).trained.folder
    assert made(Asked(Temperature(20.0), 0.3)).trained.folder == first
    assert made(Asked(Temperature(20.0), 0.4)).trained.folder != first


def test_nothing_asked_changes_nothing(made: Concludes) -> None:
    concluded = made(Asked())
    assert Path(concluded.trained.folder).name == "model"
    assert concluded.note == ""


class Spoils(Temperature):
    """A calibration that is wrong about every row it was not fitted on."""

    def fit(self, prediction: Any, y: Any, weight: Any) -> Any:
        return replace(super().fit(prediction, y, weight), temperature=0.01)


def test_a_calibration_that_does_not_help_out_of_fold_is_told_and_left_out(made: Concludes) -> None:
    concluded = made(Asked(Spoils(20.0)))
    assert concluded.after > concluded.before
    assert concluded.curve == ""
    assert "does not lower the log-loss" in concluded.note
    assert curve_of(Path(concluded.trained.folder)) is None


def test_a_threshold_is_tuned_on_calibrated_predictions(made: Concludes) -> None:
    concluded = made(Asked(Temperature(20.0), "balanced_accuracy"))
    folder = Path(concluded.trained.folder)
    decision, curve = decisions.read(folder), curve_of(folder)
    assert decision is not None
    assert curve is not None
    assert decision.threshold == concluded.threshold
    calibrated = curve(np.column_stack([1 - CHANCE, CHANCE]))
    assert decision.threshold == pytest.approx(decisions.tuned("balanced_accuracy", Y, calibrated, None), abs=1e-6)
    plain = decisions.read(Path(made(Asked(None, "balanced_accuracy")).trained.folder))
    assert plain is not None
    assert plain.threshold != decision.threshold


def test_costs_and_a_number_are_taken_as_they_are(made: Concludes) -> None:
    costs = made(Asked(costs=[[0, 1], [5, 0]])).trained.folder
    assert decisions.read(Path(costs)) == Decision(((0.0, 1.0), (5.0, 0.0)))
    assert decisions.read(Path(made(Asked(threshold=0.3)).trained.folder)) == Decision.at(0.3)


def test_a_base_in_the_model_s_place_is_not_calibrated_by_predictions_that_are_not_its_own(made: Concludes) -> None:
    concluded = made(Asked(Temperature(20.0), "f1"), is_base=True)
    assert Path(concluded.trained.folder).name == "model"
    assert "the base took" in concluded.note


def test_residuals_of_a_regression_lie_beside_its_model(tmp_path: Path) -> None:
    table = pd.DataFrame({"x": np.arange(40.0), "y": np.arange(40.0) + RNG.normal(size=40)})
    it = case(tmp_path, NUMBER, "rmse", table, table, Sums(), out_of_fold=list(table["x"]))
    concluded = conclude.fn(it.experiment, Trained(str(tmp_path / "model"), "sums", 1, None), it.members, Asked())
    residuals = intervals.read(Path(concluded.trained.folder))
    assert residuals is not None
    np.testing.assert_allclose(residuals.values, np.sort(table["y"] - table["x"]))
    assert isinstance(models.load(Path(concluded.trained.folder)), Sums)
