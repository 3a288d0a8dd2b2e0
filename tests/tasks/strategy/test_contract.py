"""Laws that every strategy of conf/strategy holds with every family that can go on from a base."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import based
import numpy as np
import pandas as pd
import pytest

from flows.config import CONF
from tasks import model
from tasks.model import Fitted, Floats, Model, Training
from tasks.model._going_on import GoesOn
from tasks.records import ProblemKind
from tasks.refusal import Refusal
from tasks.strategy import WITHOUT_A_FAMILY

STRATEGIES = sorted({path.stem for path in (CONF / "strategy").glob("*.yaml")} - {"ladder"})  # it climbs the others
NEEDS = {"mlp": "torch"}
FAMILIES = [name for name in ("lightgbm", "mlp") if find_spec(NEEDS.get(name, "tasks"))]
KINDS: tuple[ProblemKind, ...] = ("binary", "multiclass", "regression")


def can(strategy: str, name: str) -> bool:
    family = based.family(name)
    return strategy in WITHOUT_A_FAMILY or (isinstance(family, GoesOn) and strategy in family.ways)


PAIRS = [(strategy, name) for name in FAMILIES for strategy in STRATEGIES]
ABLE = [pair for pair in PAIRS if can(*pair)]
able = pytest.mark.parametrize(("strategy", "name"), ABLE)
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Any:
    @cache
    def made(name: str, kind: ProblemKind) -> Path:
        return based.base(based.family(name), kind, tmp_path_factory.mktemp(f"{name}-{kind}"))

    return made


def going_on(strategy: str, name: str) -> Model:
    return based.strategy(strategy).family(name, based.family(name))


def workspace(it: Model, strategy: str, data: Training, folder: Path) -> Any:
    return it.workspace(data, folder if based.strategy(strategy).uses_base else None, 1)


def fitted(strategy: str, name: str, data: Training, folder: Path) -> Fitted:
    it = going_on(strategy, name)
    return it.fit(workspace(it, strategy, data, folder), based.point(it), 6, 0)


def validated(strategy: str, name: str, data: Training, folder: Path) -> Floats:
    it = going_on(strategy, name)
    return it.validate(workspace(it, strategy, data, folder), 0, based.point(it), 0).prediction


def assert_sound(prediction: Floats, kind: ProblemKind, n_rows: int) -> None:
    n_classes = len(based.CLASSES[kind])
    assert prediction.shape == ((n_rows, n_classes) if n_classes else (n_rows,))
    assert prediction.dtype == np.float64
    assert np.isfinite(prediction).all()
    if n_classes:
        np.testing.assert_allclose(prediction.sum(axis=1), 1, atol=1e-9)


@kinds
@able
def test_a_fold_is_predicted_whole_and_the_same_seed_gives_the_same(
    strategy: str, name: str, kind: ProblemKind, base: Any
) -> None:
    data = based.training(kind)
    first, again = (validated(strategy, name, data, base(name, kind)) for _ in range(2))
    assert_sound(first, kind, len(data.folds[0][1]))
    assert first.tobytes() == again.tobytes()


@kinds
@able
def test_a_saved_model_predicts_as_before_also_for_unseen_levels_and_missing_values(
    strategy: str, name: str, kind: ProblemKind, base: Any, tmp_path: Path
) -> None:
    new = based.table(5, seed=9)[0]
    new.iloc[0] = [np.nan, np.nan, None]
    new.loc[1, "level"] = "never seen"
    new.loc[2, "a"] = 1e300
    made, again = (fitted(strategy, name, based.training(kind), base(name, kind)) for _ in range(2))
    assert_sound(made.predict(new), kind, 5)
    assert made.predict(new).tobytes() == again.predict(new).tobytes()
    model.save(made, tmp_path)
    loaded = model.load(tmp_path)
    assert loaded.predict(new).tobytes() == made.predict(new).tobytes()
    assert loaded.n_parameters == made.n_parameters > 0
    assert 0 <= getattr(loaded, "n_frozen", 0) == getattr(made, "n_frozen", 0) <= made.n_parameters
    assert sum(loaded.importance().values()) == pytest.approx(1)


@kinds
@able
def test_arguments_and_the_base_are_left_as_they_are(
    strategy: str, name: str, kind: ProblemKind, base: Any
) -> None:
    folder, data, it = base(name, kind), based.training(kind), going_on(strategy, name)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    X, y, hyperparameters = data.X.copy(), data.y.copy(), based.point(it)
    given: Mapping[str, Any] = dict(hyperparameters)
    made = workspace(it, strategy, data, folder)
    it.validate(made, 1, hyperparameters, 0)
    it.fit(made, hyperparameters, 4, 0)
    pd.testing.assert_frame_equal(data.X, X)
    assert data.y.tobytes() == y.tobytes()
    assert hyperparameters == given
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("strategy", "name"), [*(pair for pair in PAIRS if pair not in ABLE), ("full", "forest")])
def test_a_strategy_that_a_family_can_not_do_is_refused_with_those_that_it_can(strategy: str, name: str) -> None:
    with pytest.raises(Refusal, match=f"strategy={strategy}: model={name} can't do that; it can .*as_is"):
        based.strategy(strategy).family(name, based.family(name))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_knob_is_fixed_or_searched_from_a_start_inside_its_space(strategy: str) -> None:
    it = based.strategy(strategy)
    assert set(it.start) == set(it.space) <= set(it.hyperparameters)
    assert set(it.grid) <= {key for key, value in it.hyperparameters.items() if value is None}
    for key, value in it.start.items():
        entry = it.space[key]
        assert value in entry if isinstance(entry, list) else entry["low"] <= value <= entry["high"]
