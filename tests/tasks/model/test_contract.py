"""Laws that all families of conf/model hold."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from flows.build import build
from flows.config import CONF, compose
from tasks import metric, model
from tasks.class_weight import ClassWeight
from tasks.loss import Loss
from tasks.loss.cross_entropy import CrossEntropy
from tasks.loss.mse import MSE
from tasks.model import Floats, Model, Training
from tasks.model._going_on import GoesOn
from tasks.records import Problem, ProblemKind
from tasks.refusal import Refusal
from tasks.search import FamilySpace, family_space

NEEDS = {"mlp": "torch", "text_encoder": "transformers"}
WRITES = {"text_generator"}  # no table's target; its laws stand in its own file
FAMILIES = sorted({path.stem for path in (CONF / "model").glob("*.yaml") if find_spec(NEEDS.get(path.stem, "tasks"))}
                  - WRITES)  # fmt: skip
KINDS: tuple[ProblemKind, ...] = ("binary", "multiclass", "regression")
LOSSES = sorted(path.stem for path in (CONF / "loss").glob("*.yaml") if path.stem != "auto")
LEVELS = ("rouge", "größe", '["x", :]', "絵", "-")
N = 240
# Fewer rounds and trees than the defaults, so that the tests take seconds.
SMALL = {
    "lightgbm": ["model.lightgbm.rounds=30"],
    "forest": ["model.forest.hyperparameters.n_estimators=20"],
    "mlp": [
        "model.mlp.hyperparameters.epochs=20",
        "model.mlp.start.batch_size=32",
        "model.mlp.space.batch_size=[32,64]",
    ],
    "text_encoder": ["model.text_encoder.start.penalty=3"],
}

# Of a text what is computed depends, in the last digits of single precision, on the texts that are computed beside it.
CLOSE = {"text_encoder": 1e-4}

families = pytest.mark.parametrize("name", FAMILIES)
kinds = pytest.mark.parametrize("kind", KINDS)


@dataclass(frozen=True)
class UnheardOf(MSE):
    """A loss of the user's own, which says nothing of its curvature."""

    name: ClassVar[str] = "unheard_of"


def loss_of(name: str) -> Loss:
    given = ["loss.delta=0.5"] if name == "huber" else []
    built: Loss = build(compose([f"loss={name}", *given]).config.loss, "loss")
    return built


@cache
def encoder() -> str:
    """The folder of an encoder for the process's time."""
    from tiny_encoder import tiny_encoder  # which needs an extra

    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return str(tiny_encoder(Path(folder)))


@cache
def family(name: str) -> Model:
    own = [f"model.{name}.encoder={encoder()}"] if name == "text_encoder" else []
    config = compose([f"model={name}", *SMALL.get(name, []), *own]).config
    built: Model = build(config.model[name], f"model.{name}")
    return built


def space_of(it: Model, name: str) -> FamilySpace:
    return family_space(name, it.hyperparameters, it.start, it.space, it.grid)


def start(it: Model, name: str) -> dict[str, Any]:
    space = space_of(it, name)
    return {**space.fixed, **space.start}


def points(it: Model, name: str) -> list[dict[str, Any]]:
    """The start, and the first and last value of each hyperparameter in the grid."""
    ends = [{key: values[end] for key, values in it.grid.items()} for end in (0, -1)]
    return [{**start(it, name), **point} for point in ({}, *ends)]


def table(n: int = N, seed: int = 0) -> pd.DataFrame:
    """Numeric and categorical columns with gaps, under names that libraries stumble over."""
    generator = np.random.default_rng(seed)
    levels = generator.choice(np.array(LEVELS, dtype=object), n)
    levels[generator.random(n) < 0.1] = None
    return pd.DataFrame({
        "größe: [cm], \"big\"": np.where(generator.random(n) < 0.1, np.nan, generator.normal(size=n)),
        "level 絵": levels,
        "zip": generator.choice([f"z{i}" for i in range(40)], n),
        "amount": generator.lognormal(size=n),
    })


def coarse() -> pd.DataFrame:
    """The table with so few different values that LightGBM's bins, which all rows share, are those of a fold too."""
    X = table()
    return X.assign(zip=X["zip"].str[:2], **{
        name: (2 * X[name].clip(-1, 1)).round() for name in X.columns if pd.api.types.is_numeric_dtype(X[name])
    })


def training(kind: ProblemKind, X: pd.DataFrame | None = None, weight: Floats | None = None) -> Training:
    """A target that a number and a level decide but for some noise, in three folds."""
    X = table() if X is None else X
    generator = np.random.default_rng(1)
    known = table()  # the target stays as it is where a test changes X
    score = 2 * known.iloc[:, 0].fillna(1) + 2 * known.iloc[:, 1].isin(LEVELS[:2]) + generator.normal(size=N) / 4
    cuts = {"binary": [1.0], "multiclass": [-0.5, 2.0]}.get(kind)
    y = score.to_numpy() if cuts is None else np.digitize(score, cuts).astype(np.float64)
    side = np.arange(N) % 3
    folds = [(np.flatnonzero(side != k), np.flatnonzero(side == k)) for k in range(3)]
    classes = {"binary": ("no", "yes"), "multiclass": ("a", "b", "c")}.get(kind, ())
    loss = MSE() if kind == "regression" else CrossEntropy()
    problem, text = Problem(kind, "y", classes), (str(known.columns[1]),)  # levels, to a family that reads no text
    return Training(X, y, weight, folds, problem, loss, metric.default(kind), text=text)


def constant_of(data: Training, rows: model.Rows, n_rows: int) -> Floats:
    if data.problem.kind == "regression":
        return np.full(n_rows, data.y[rows].mean())
    shares = np.bincount(data.y[rows].astype(int)) / len(rows)
    return np.tile(shares, (n_rows, 1))


def fitted(name: str, data: Training, seed: int = 0) -> model.Fitted:
    it = family(name)
    return it.fit(it.workspace(data, None, 1), start(it, name), 20, seed)


def validated(name: str, data: Training, fold: int = 0, seed: int = 0) -> Floats:
    it = family(name)
    return it.validate(it.workspace(data, None, 1), fold, start(it, name), seed).prediction


def assert_sound(prediction: Floats, kind: ProblemKind, n_rows: int) -> None:
    n_classes = {"binary": 2, "multiclass": 3}.get(kind)
    assert prediction.shape == ((n_rows,) if n_classes is None else (n_rows, n_classes))
    assert prediction.dtype == np.float64
    assert np.isfinite(prediction).all()
    if n_classes:
        assert prediction.min() >= 0
        np.testing.assert_allclose(prediction.sum(axis=1), 1, atol=1e-9)


@kinds
@families
def test_a_fold_is_predicted_whole_and_in_probabilities_that_sum_to_one(name: str, kind: ProblemKind) -> None:
    data = training(kind)
    for fold in range(3):
        assert_sound(validated(name, data, fold), kind, len(data.folds[fold][1]))


@kinds
@families
def test_it_beats_the_constant_prediction(name: str, kind: ProblemKind) -> None:
    data = training(kind)
    train, valid = data.folds[0]
    y = data.y[train]
    if kind == "regression":
        which, constant = "rmse", np.full(len(valid), y.mean())
    else:
        which, constant = "log_loss", np.tile(np.bincount(y.astype(int)) / len(y), (len(valid), 1))
    reached, by_constant = (metric.value(which, data.y[valid], p, None) for p in (validated(name, data), constant))
    assert reached < 0.8 * by_constant


@kinds
@families
def test_the_same_seed_gives_the_same_predictions_bit_for_bit(name: str, kind: ProblemKind) -> None:
    data = training(kind)
    assert validated(name, data).tobytes() == validated(name, data).tobytes()
    new = table(60, seed=5)
    assert fitted(name, data).predict(new).tobytes() == fitted(name, data).predict(new).tobytes()


@kinds
@families
def test_trials_in_two_threads_on_one_workspace_equal_trials_one_after_another(name: str, kind: ProblemKind) -> None:
    it, data = family(name), training(kind)
    jobs = [(point, fold) for point in points(it, name) for fold in range(3)]

    def run(workspace: Any) -> Callable[[tuple[dict[str, Any], int]], bytes]:
        return lambda job: it.validate(workspace, job[1], job[0], 0).prediction.tobytes()

    serial = list(map(run(it.workspace(data, None, 1)), jobs))
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run(it.workspace(data, None, 1)), jobs)) == serial


@kinds
@families
def test_an_unseen_level_and_missing_values_survive(name: str, kind: ProblemKind) -> None:
    new = table(6, seed=9)
    new.iloc[0, 1] = "never seen"
    new.iloc[1, 1] = None
    new.iloc[2, 0] = np.nan
    new.iloc[3, 3] = np.nan  # a column that had no gap where it was learned from
    new.iloc[3, 2] = None
    new.iloc[4, 3] = 1e300
    new.iloc[5] = [np.nan, None, None, np.nan]
    assert_sound(fitted(name, training(kind)).predict(new), kind, 6)


@families
def test_columns_that_are_empty_or_constant_where_it_learns_survive(name: str) -> None:
    X = table()
    train, _ = training("binary").folds[0]
    X.loc[train, "zip"] = None
    X.loc[train, "amount"] = np.nan
    X["constant"] = 1.0
    assert_sound(validated(name, training("binary", X)), "binary", N // 3)


@families
def test_a_class_that_the_training_rows_lack_keeps_its_column(name: str) -> None:
    data = training("multiclass")
    train, valid = data.folds[0]
    data = replace(data, folds=[(train[data.y[train] != 1], valid)])
    prediction = validated(name, data)
    assert_sound(prediction, "multiclass", len(valid))
    assert prediction[:, 1].max() < 0.01


@kinds
@families
def test_arguments_are_left_as_they_are(name: str, kind: ProblemKind) -> None:
    weight = np.random.default_rng(2).uniform(0.5, 2, N)
    it, data, new = family(name), training(kind, weight=weight), table(20, seed=3)
    X, y, w, rows, unseen = data.X.copy(), data.y.copy(), weight.copy(), [t.copy() for t, _ in data.folds], new.copy()
    hyperparameters = start(it, name)
    given = dict(hyperparameters)
    workspace = it.workspace(data, None, 1)
    it.validate(workspace, 0, hyperparameters, 0)
    it.fit(workspace, hyperparameters, 5, 0).predict(new)
    pd.testing.assert_frame_equal(data.X, X)
    pd.testing.assert_frame_equal(new, unseen)
    assert hyperparameters == given
    assert (data.y.tobytes(), weight.tobytes()) == (y.tobytes(), w.tobytes())
    assert all(np.array_equal(now, before) for (now, _), before in zip(data.folds, rows, strict=True))


@kinds
@families
def test_a_validated_fold_is_a_fit_on_its_training_rows(name: str, kind: ProblemKind) -> None:
    it, data = family(name), training(kind, coarse())
    train, valid = data.folds[1]
    folded = it.validate(it.workspace(data, None, 1), 1, start(it, name), 0)
    alone = replace(data, features=data.X.iloc[train], y=data.y[train], folds=())
    whole = it.fit(it.workspace(alone, None, 1), start(it, name), folded.rounds, 0)
    close = CLOSE.get(name, 1e-6)
    np.testing.assert_allclose(whole.predict(data.X.iloc[valid]), folded.prediction, rtol=close, atol=1e-9)


@kinds
@families
def test_the_model_of_a_fold_predicts_what_was_validated_and_after_saving_too(
    name: str, kind: ProblemKind, tmp_path: Path
) -> None:
    it, data = family(name), training(kind)
    folded = it.validate(it.workspace(data, None, 1), 1, start(it, name), 0)
    X = data.X.iloc[data.folds[1][1]]
    np.testing.assert_allclose(folded.fitted.predict(X), folded.prediction, rtol=CLOSE.get(name, 1e-9))
    model.save(folded.fitted, tmp_path)
    loaded = model.load(tmp_path)
    assert loaded.predict(X).tobytes() == folded.fitted.predict(X).tobytes()
    assert loaded.n_parameters == folded.fitted.n_parameters > 0
    assert sum(loaded.importance().values()) == pytest.approx(1)


@kinds
@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "lightgbm"])  # whose bins all rows share
def test_validation_rows_teach_nothing(name: str, kind: ProblemKind) -> None:
    """Half of the validation rows, of no weight so that no early stopping hears of them, change beyond recognition:
    new levels, extremes, gaps. Predictions for the other half stay."""
    plain = training(kind)
    _, valid = plain.folds[0]
    strange, rest = valid[::2], np.arange(len(valid)) % 2 == 1
    weight = np.ones(N)
    weight[strange] = 0
    X = table()
    X.loc[strange, "level 絵"] = [f"new {i}" for i in range(len(strange))]
    X.loc[strange, "zip"] = None
    X.loc[strange, "amount"] = 1e12
    before, after = (validated(name, training(kind, frame, weight)) for frame in (None, X))
    np.testing.assert_allclose(before[rest], after[rest], rtol=CLOSE.get(name, 0))
    assert not np.array_equal(before[~rest], after[~rest])


@kinds
@families
def test_weights_reach_the_fit_but_not_their_unit(name: str, kind: ProblemKind) -> None:
    half = np.where(np.arange(N) % 2, 1.0, 6.0)
    new = table(60, seed=5)
    without, equal, some, scaled = (fitted(name, training(kind, weight=weight)).predict(new)
                                    for weight in (None, np.full(N, 3.0), half, 1024 * half))
    assert without.tobytes() == equal.tobytes()
    np.testing.assert_allclose(some, scaled, rtol=1e-6)
    assert np.abs(some - without).max() > 1e-3


@kinds
@families
def test_a_saved_model_loads_and_predicts_the_same(name: str, kind: ProblemKind, tmp_path: Path) -> None:
    it, new = fitted(name, training(kind)), table(60, seed=5)
    model.save(it, tmp_path / "m")
    loaded = model.load(tmp_path / "m")
    assert loaded.predict(new).tobytes() == it.predict(new).tobytes()
    assert loaded.n_parameters == it.n_parameters
    assert loaded.importance() == it.importance()


@kinds
@families
def test_a_fold_promises_what_the_final_model_comes_to(name: str, kind: ProblemKind, tmp_path: Path) -> None:
    it, data = family(name), training(kind)
    workspace = it.workspace(data, None, 1)
    for point in points(it, name):
        folded = it.validate(workspace, 0, point, 0)
        hyperparameters, rounds = it.final(point, folded.rounds and round(1.5 * folded.rounds))
        final = it.fit(workspace, hyperparameters, rounds, 0)
        found = it.footprint(workspace, folded.fitted, hyperparameters, rounds, 1.5)
        assert found == it.footprint(workspace, folded.fitted, hyperparameters, rounds, 1.5)
        model.save(final, tmp_path)
        assert found.megabytes == pytest.approx(model.megabytes(tmp_path), rel=0.3)
        assert 0 < found.milliseconds < 1_000


@families
def test_a_saved_model_holds_no_pickle(name: str, tmp_path: Path) -> None:
    model.save(fitted(name, training("binary")), tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".txt", ".skops", ".safetensors", ".onnx"}


@kinds
@families
def test_importance_names_every_column_and_sums_to_one(name: str, kind: ProblemKind) -> None:
    it = fitted(name, training(kind))
    importance = it.importance()
    assert list(importance) == list(table())
    assert min(importance.values()) >= 0
    assert sum(importance.values()) == pytest.approx(1)
    assert importance["größe: [cm], \"big\""] == max(importance.values())
    assert it.n_parameters > 0


@families
def test_columns_are_found_by_name_not_by_place(name: str) -> None:
    it, new = fitted(name, training("binary")), table(20, seed=5)
    moved = new[list(reversed(new.columns))].assign(more=1.0)
    assert it.predict(moved).tobytes() == it.predict(new).tobytes()


@kinds
@families
def test_every_loss_is_trained_on_or_refused_by_name(name: str, kind: ProblemKind) -> None:
    it, data = family(name), training(kind)
    for loss in [*map(loss_of, LOSSES), UnheardOf()]:
        faults = it.check(data.problem, loss)
        if faults:
            assert f"loss={loss.name}" in faults[0]
            assert name in faults[0]
        else:
            assert kind in loss.problems
            assert_sound(validated(name, replace(data, loss=loss)), kind, N // 3)
    assert it.check(data.problem, data.loss) == []
    assert it.check(data.problem, UnheardOf())


@kinds
@families
def test_every_loss_that_it_trains_on_makes_its_own_cost_small(name: str, kind: ProblemKind) -> None:
    it, data = family(name), training(kind)
    train, valid = data.folds[0]
    for loss in filter(lambda one: not it.check(data.problem, one), map(loss_of, LOSSES)):
        cost = loss.cost(data.y[valid], validated(name, replace(data, loss=loss)))
        assert cost < 0.9 * loss.cost(data.y[valid], constant_of(data, train, len(valid)))


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
@families
def test_class_weights_are_the_weights_of_the_rows_of_a_class_beside_their_own(name: str, kind: ProblemKind) -> None:
    own, new = np.random.default_rng(2).uniform(0.5, 2, N), table(60, seed=5)
    data = training(kind, weight=own)
    by_class = np.array([1.0, 5.0, 2.0])[: len(data.problem.classes)]
    by_row = fitted(name, replace(data, weight=own * by_class[data.y.astype(int)])).predict(new)
    weighed = replace(data, class_weight=ClassWeight(tuple(by_class)))
    np.testing.assert_allclose(fitted(name, weighed).predict(new), by_row, rtol=1e-6)
    assert np.abs(fitted(name, data).predict(new) - by_row).max() > 1e-3


@families
def test_balanced_class_weights_find_more_of_a_rare_class(name: str) -> None:
    generator = np.random.default_rng(0)
    X = pd.DataFrame(generator.normal(size=(1200, 3)), columns=["a", "b", "c"])
    y = (X["a"] + generator.normal(size=1200) > 2.3).to_numpy(dtype=np.float64)  # 5 % of the rows
    rows = np.arange(1200)
    data = Training(X, y, None, [(rows[:800], rows[800:])], Problem("binary", "y", ("no", "yes")), CrossEntropy(),
                    "balanced_accuracy")
    plain, balanced = (
        metric.value("balanced_accuracy", y[800:], validated(name, one))
        for one in (data, replace(data, class_weight=ClassWeight(None)))
    )
    assert balanced > plain + 0.1


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
@families
def test_class_weights_of_validation_rows_decide_nothing(name: str, kind: ProblemKind) -> None:
    """A fold is what its training rows alone make of it, though their balance differs from that of all rows."""
    it, data = family(name), replace(training(kind, coarse()), class_weight=ClassWeight(None))
    train, valid = data.folds[1]
    folded = it.validate(it.workspace(data, None, 1), 1, start(it, name), 0)
    alone = replace(data, features=data.X.iloc[train], y=data.y[train], folds=())
    whole = it.fit(it.workspace(alone, None, 1), start(it, name), folded.rounds, 0)
    close = CLOSE.get(name, 1e-6)
    np.testing.assert_allclose(whole.predict(data.X.iloc[valid]), folded.prediction, rtol=close, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in FAMILIES if not isinstance(family(name), GoesOn)])
def test_a_family_that_starts_from_nothing_refuses_a_base_by_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=f"base={tmp_path}.*{name}"):
        family(name).workspace(training("binary"), tmp_path, 1)


@families
def test_the_grid_is_short_and_every_point_of_it_trains(name: str) -> None:
    it, data = family(name), training("binary")
    assert set(it.grid) <= set(it.space)
    assert 1 <= prod(len(values) for values in it.grid.values()) <= 12
    for point in points(it, name):
        prediction = it.validate(it.workspace(data, None, 1), 0, point, 0).prediction
        assert_sound(prediction, "binary", N // 3)


@families
def test_every_hyperparameter_is_fixed_or_searched_from_a_start_inside_its_space(name: str) -> None:
    it = family(name)
    space = space_of(it, name)
    free = {key for key, value in it.hyperparameters.items() if value is None}
    assert set(it.space) <= set(it.start) <= set(it.hyperparameters)
    assert set(space.free) == free & set(it.space)
    assert free <= set(it.start)
    for key, value in it.start.items():
        # A logarithmic range can't begin at 0, where such a start is as good as its low end.
        inside = space.start.get(key, value)
        assert inside == value if isinstance(value, str) else abs(inside - value) <= 1e-6
