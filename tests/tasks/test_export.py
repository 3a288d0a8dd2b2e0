"""A model is exported with a schema and an example that runs, and compared with itself in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exports import SCHEMA, Case, family, table

from flows.exporting import described, fault_of
from tasks import model as models
from tasks.export import export
from tasks.format.onnx import Onnx
from tasks.predictor import Predictor
from tasks.records import Exported, Split, Trained

pytest.importorskip("onnxruntime", reason='needs pip install "finefold[onnx]"')

ONNX = Onnx(False, 1e-5, 0, 0.1, 0.02)


def exported(case: Case, folder: Path, **forms: Any) -> dict[str, Exported]:
    split = Split(str(case.holdout.parent), "", 0, 80, 3, 1.5, ())
    made = export.fn(forms, Trained(str(folder), "lightgbm", 0, None), split, 1000)
    return {one.format: one for one in made}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("case"), "binary")


@pytest.fixture(scope="module")
def folder(case: Case) -> Path:
    return case.saved(case.fitted(family("lightgbm")), "model")


@pytest.fixture(scope="module")
def made(case: Case, folder: Path) -> Exported:
    return exported(case, folder, onnx=ONNX)["onnx"]


def test_an_export_agrees_with_its_model_on_all_rows_and_says_so(made: Exported) -> None:
    (parity,) = made.parity
    assert parity.is_within
    assert (parity.n_rows, parity.n_holdout) == (80, 80)
    assert parity.n_hard > 50
    assert parity.n_single == 32
    assert 0 < parity.largest < 1e-6
    assert "80 rows of the holdout and" in described(parity)
    assert json.loads((Path(made.folder) / "parity.json").read_text())[0]["is_within"]


def test_the_example_beside_it_runs_and_predicts_what_the_model_does(made: Exported, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(Path(made.folder) / "example.py")], capture_output=True, text=True, check=True
    )
    answers = json.loads(done.stdout)
    wanted = Predictor.load(folder).predict(table(80, 1).head(5))
    assert answers["label"] == wanted["prediction"].tolist()
    np.testing.assert_allclose(answers["probabilities"], wanted.iloc[:, 1:], atol=1e-7)


def test_the_schema_names_the_tables_columns_and_how_missing_is_given(made: Exported) -> None:
    told = json.loads((Path(made.folder) / "schema.json").read_text())
    assert [one["name"] for one in told["inputs"]] == [column.name for column in SCHEMA.columns]
    assert {one["name"]: one["type"] for one in told["inputs"]}["town"] == "string"
    assert all("missing" in one["given_as"] for one in told["inputs"])
    assert told["outputs"][1]["classes"] == ["no", "yes"]


@dataclass(frozen=True)
class Off(Onnx):
    """Writes a model that predicts otherwise."""

    def write(self, folder: Path, place: Path) -> Any:
        other = Path(f"{folder}-other")
        models.save(Predictor.load(folder).fitted, other)
        for name in ("schema.json", "problem.json"):
            (other / name).write_bytes((folder / name).read_bytes())
        (other / "decision.json").write_text(json.dumps({"costs": [[1.0, 0.0], [0.0, 1.0]], "threshold": None}))
        return super().write(other, place)


def test_an_export_that_differs_is_told_with_its_numbers(case: Case, folder: Path) -> None:
    (parity,) = exported(case, folder, off=Off(False, 1e-5, 0, 0.1, 0.02))["off"].parity
    assert not parity.is_within
    assert parity.flips > 40
    assert f"gives {parity.flips:,} of {parity.n_rows + parity.n_hard:,} rows another label" in fault_of("off", parity)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("tensorflow") is None, reason='needs pip install "finefold[savedmodel]"')
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_a_savedmodel_agrees_with_its_model_and_its_example_runs(tmp_path: Path, kind: Any) -> None:
    from tasks.format.savedmodel import SavedModel

    case = Case(tmp_path, kind)
    folder = case.saved(case.fitted(family("lightgbm")), "model")
    made = exported(case, folder, savedmodel=SavedModel(1e-5, 0))["savedmodel"]
    assert made.parity[0].is_within
    done = subprocess.run(
        [sys.executable, str(Path(made.folder) / "example.py")], capture_output=True, text=True, check=True
    )
    answers = json.loads(done.stdout.splitlines()[-1])
    wanted = Predictor.load(folder).predict(table(80, 1).head(5))
    name = "prediction" if kind == "regression" else "label"
    np.testing.assert_allclose(answers[name], wanted["prediction"].to_numpy(dtype=np.float64), rtol=1e-6)
