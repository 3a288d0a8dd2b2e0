"""A model whose probabilities are calibrated: another one in `inner/`, and the curve in `calibration.json`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tasks import model as models
from tasks.calibration import Curve
from tasks.calibration.isotonic import Pieces
from tasks.calibration.temperature import Scaling
from tasks.model import BESIDE_A_MODEL, INNER, Contributions, Explains, Fitted, Floats

FILE = "calibration.json"
CURVES: dict[str, Callable[[dict[str, Any]], Curve]] = {
    "temperature": Scaling.from_json,
    "isotonic": Pieces.from_json,
}


@dataclass(frozen=True)
class Calibrated:
    """What is inside predicts, and the curve makes its probabilities those that are meant."""

    inner: Fitted
    curve: Curve

    @property
    def packages(self) -> tuple[str, ...]:
        return models.packages(self.inner)

    @property
    def n_parameters(self) -> int:
        return self.inner.n_parameters + self.curve.n_parameters

    @property
    def n_frozen(self) -> int:
        return int(getattr(self.inner, "n_frozen", 0))

    def predict(self, X: pd.DataFrame) -> Floats:
        return self.curve(self.inner.predict(X))

    def predict_source(self, X: pd.DataFrame) -> Floats:
        """What it predicts for rows of the source of its base."""
        return self.curve(getattr(self.inner, "predict_source", self.inner.predict)(X))

    def importance(self) -> dict[str, float]:
        return self.inner.importance()

    def explain(self, X: pd.DataFrame) -> Contributions | None:
        """Of what is inside, before calibration."""
        return self.inner.explain(X) if isinstance(self.inner, Explains) else None

    def save(self, folder: Path) -> None:
        models.save(self.inner, folder / INNER)
        write(self.curve, folder)

    @classmethod
    def load(cls, folder: Path) -> Calibrated:
        return cls(models.load(folder / INNER), read(folder))


def write(curve: Curve, folder: Path) -> None:
    (folder / FILE).write_text(json.dumps(curve.as_json()), encoding="utf-8")


def read(folder: Path) -> Curve:
    """
    Raises:
        KeyError, ValueError: where it holds no curve that is known.
    """
    kept = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return CURVES[kept["kind"]](kept)


def curve_of(folder: Path) -> Curve | None:
    """The curve of the model in the folder; None where it isn't calibrated."""
    return read(folder) if (folder / FILE).exists() else None


def wrap(source: Path, curve: Curve, folder: Path) -> None:
    """Fills `folder` with the model in `source`, calibrated. Its files are copied byte for byte."""
    shutil.copytree(source, folder / INNER, ignore=shutil.ignore_patterns(*BESIDE_A_MODEL))
    for name in BESIDE_A_MODEL:
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)
    write(curve, folder)
    (folder / models.FAMILY).write_text(json.dumps({"module": __name__, "name": Calibrated.__qualname__}))
