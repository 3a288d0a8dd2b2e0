"""The base unchanged, which is asked once where that is dear."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from flows.build import build
from flows.config import compose
from tasks import model as models
from tasks.loss.mse import MSE
from tasks.model import Floats, Model, Training
from tasks.records import Problem

N = 20


class Lengths:
    """Predicts how long the text is, and counts the rows that it was asked for."""

    asked: ClassVar[list[int]] = []
    n_parameters = 1

    def predict(self, X: pd.DataFrame) -> Floats:
        self.asked.append(len(X))
        return X["said"].str.len().to_numpy(dtype=np.float64)

    def importance(self) -> dict[str, float]:
        return {"said": 1.0}

    def save(self, folder: Path) -> None:
        (folder / "lengths.txt").write_text("")

    @classmethod
    def load(cls, folder: Path) -> Lengths:
        return cls()


def training(kept: Path | None, *, is_text: bool = True, said: str = "ha") -> Training:
    X = pd.DataFrame({"said": [said * k for k in range(N)]})
    y = np.arange(N, dtype=np.float64)
    folds = [(np.arange(10), np.arange(10, N)), (np.arange(10, N), np.arange(10))]
    text = ("said",) if is_text else ()
    return Training(X, y, None, folds, Problem("regression", "y", ()), MSE(), "rmse", text=text, computed=kept)


@pytest.fixture
def family() -> Model:
    config = compose(["strategy=as_is"]).config
    own: Model = build(config.model["lightgbm"], "model.lightgbm")
    made: Model = build(config.strategy, "strategy").family("lightgbm", own)
    return made


@pytest.fixture
def base(tmp_path: Path) -> Path:
    Lengths.asked.clear()
    models.save(Lengths(), tmp_path / "base")
    return tmp_path / "base"


def rows(family: Model, given: Training, base: Path) -> list[float]:
    workspace: Any = family.workspace(given, base, 1)
    found: list[float] = family.validate(workspace, 0, {}, 0).prediction.tolist()
    return found


def test_a_base_that_reads_text_is_asked_once_for_all_that_follows(family: Model, base: Path, tmp_path: Path) -> None:
    first = rows(family, training(tmp_path), base)
    assert first == [2.0 * k for k in range(10, N)]
    assert sum(Lengths.asked) == N + 1  # one more tells how many columns a prediction has
    assert rows(family, training(tmp_path), base) == first
    assert sum(Lengths.asked) == N + 2
    assert rows(family, training(tmp_path, said="o"), base) == [1.0 * k for k in range(10, N)]


@pytest.mark.parametrize("is_text", [True, False])
def test_where_nothing_is_kept_or_it_is_cheap_it_is_asked_again(
    family: Model, base: Path, tmp_path: Path, is_text: bool
) -> None:
    given = training(None if is_text else tmp_path, is_text=is_text)
    assert rows(family, given, base) == rows(family, given, base)
    assert Lengths.asked == [N, N]
