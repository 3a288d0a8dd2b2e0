"""What is peculiar to LightGBM: shared bins, early stopping, and going on from a base."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flows.build import build
from flows.config import compose
from tasks import model
from tasks.loss.cross_entropy import CrossEntropy
from tasks.loss.mae import MAE
from tasks.loss.mse import MSE
from tasks.loss.rmse import RMSE
from tasks.metric import value
from tasks.model import Curve, OutOfTimeError, Paced, Training, Until
from tasks.model.lightgbm import Fitted, LightGBM
from tasks.records import Problem, ProblemKind
from tasks.refusal import Refusal

N = 400
KINDS: tuple[ProblemKind, ...] = ("binary", "multiclass", "regression")
PLAIN: dict[str, Any] = {"num_leaves": 7, "learning_rate": 0.1, "min_data_in_leaf": 5}
NO_GAIN = {**PLAIN, "min_gain_to_split": 1e12}  # no split is worth it, so that no tree says anything
kinds = pytest.mark.parametrize("kind", KINDS)


def lightgbm(*overrides: str) -> LightGBM:
    built: LightGBM = build(compose(["model=lightgbm", *overrides]).config.model["lightgbm"], "model.lightgbm")
    return built


def training(kind: ProblemKind, metric: str | None = None) -> Training:
    generator = np.random.default_rng(0)
    # So few different values that a part of the rows has the same bins as all of them.
    X = pd.DataFrame(generator.normal(size=(N, 3)).clip(-1.5, 1.5).round(), columns=["a: b", "c, d", 'e "f" [絵]'])
    X["town"] = generator.choice(["x", "y", "z"], N)
    score = X.iloc[:, 0].to_numpy() + (X["town"] == "x") + generator.normal(size=N) / 2
    cuts = {"binary": [0.3], "multiclass": [-0.5, 1.0]}.get(kind)
    rows = np.arange(N)
    classes = {"binary": (0, 1), "multiclass": (0, 1, 2)}.get(kind, ())
    default = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}[kind]
    return Training(X, score if cuts is None else np.digitize(score, cuts).astype(np.float64), None,
                    [(rows[: N // 2], rows[N // 2:])], Problem(kind, "y", classes),
                    MSE() if kind == "regression" else CrossEntropy(), metric or default)


def base(kind: ProblemKind, folder: Path, rounds: int = 10) -> Fitted:
    it = lightgbm()
    fitted = it.fit(it.workspace(training(kind), None, 1), PLAIN, rounds, 0)
    model.save(fitted, folder)
    return fitted


@kinds
def test_more_rounds_are_put_on_top_of_a_base(kind: ProblemKind, tmp_path: Path) -> None:
    it, data, first = lightgbm(), training(kind), base(kind, tmp_path)
    more = it.fit(it.workspace(data, tmp_path, 1), PLAIN, 5, 0)
    n_classes = len(data.problem.classes) if kind == "multiclass" else 1
    assert more.booster.num_trees() == 15 * n_classes
    matrix = first.levels.encode(data.X)
    kept = more.booster.predict(matrix, raw_score=True, num_iteration=10)
    np.testing.assert_allclose(kept, first.raw(matrix), atol=1e-12)
    assert np.abs(more.predict(data.X) - first.predict(data.X)).max() > 1e-3


@kinds
def test_trees_that_gain_nothing_leave_the_base_as_it_is(kind: ProblemKind, tmp_path: Path) -> None:
    it, data, first = lightgbm(), training(kind), base(kind, tmp_path)
    workspace = it.workspace(data, tmp_path, 1)
    np.testing.assert_allclose(it.fit(workspace, NO_GAIN, 3, 0).predict(data.X), first.predict(data.X), atol=1e-6)
    valid = data.folds[0][1]
    fold = it.validate(workspace, 0, NO_GAIN, 0)
    np.testing.assert_allclose(fold.prediction, first.predict(data.X.iloc[valid]), atol=1e-6)


@kinds
def test_a_fold_that_goes_on_from_a_base_is_a_fit_that_does(kind: ProblemKind, tmp_path: Path) -> None:
    it, data = lightgbm("model.lightgbm.rounds=20"), training(kind)
    base(kind, tmp_path)
    train, valid = data.folds[0]
    fold = it.validate(it.workspace(data, tmp_path, 1), 0, PLAIN, 0)
    alone = Training(data.X.iloc[train], data.y[train], None, (), data.problem, data.loss, data.metric)
    whole = it.fit(it.workspace(alone, tmp_path, 1), PLAIN, fold.rounds, 0)
    np.testing.assert_allclose(whole.predict(data.X.iloc[valid]), fold.prediction, atol=1e-6)


def test_a_base_is_continued_on_columns_in_another_order_and_with_new_levels(tmp_path: Path) -> None:
    it, data, first = lightgbm(), training("binary"), base("binary", tmp_path)
    X = data.X[list(reversed(data.X.columns))].copy()
    X.loc[:20, "town"] = "a new one"
    moved = Training(X, data.y, None, data.folds, data.problem, data.loss, data.metric)
    same = it.fit(it.workspace(moved, tmp_path, 1), NO_GAIN, 3, 0)
    np.testing.assert_allclose(same.predict(data.X), first.predict(data.X), atol=1e-6)
    assert same.levels.levels["town"] == ("x", "y", "z", "a new one")


def test_a_model_that_was_continued_survives_saving(tmp_path: Path) -> None:
    it, data = lightgbm(), training("binary")
    base("binary", tmp_path / "base")
    more = it.fit(it.workspace(data, tmp_path / "base", 1), PLAIN, 5, 0)
    model.save(more, tmp_path / "more")
    assert model.load(tmp_path / "more").predict(data.X).tobytes() == more.predict(data.X).tobytes()


@pytest.mark.parametrize(("kind", "metric"), [
    ("binary", "roc_auc"), ("binary", "average_precision"), ("multiclass", "log_loss"), ("regression", "mae"),
])
def test_the_best_round_is_the_best_of_its_learning_curve(kind: ProblemKind, metric: str) -> None:
    data = training(kind, metric)
    fold = lightgbm().validate(lightgbm().workspace(data, None, 1), 0, PLAIN, 0)
    best = max(fold.curve, key=lambda point: point[1] if metric in ("roc_auc", "average_precision") else -point[1])
    assert fold.rounds == best[0]
    assert value(metric, data.y[data.folds[0][1]], fold.prediction, None) == pytest.approx(best[1], abs=1e-6)


def test_a_fold_stops_once_patience_is_over() -> None:
    it = lightgbm("model.lightgbm.patience=20")
    fold = it.validate(it.workspace(training("binary"), None, 1), 0, {**PLAIN, "learning_rate": 0.5}, 0)
    assert fold.rounds is not None
    assert fold.curve[-1][0] <= fold.rounds + 20 < it.rounds


@kinds
def test_the_model_of_a_fold_is_saved_with_the_trees_up_to_its_best_round_alone(
    kind: ProblemKind, tmp_path: Path
) -> None:
    it, data = lightgbm("model.lightgbm.patience=20"), training(kind)
    fold = it.validate(it.workspace(data, None, 1), 0, {**PLAIN, "learning_rate": 0.5}, 0)
    model.save(fold.fitted, tmp_path)
    loaded = model.load(tmp_path)
    assert isinstance(loaded, Fitted)
    assert fold.rounds is not None
    assert fold.curve[-1][0] > fold.rounds
    assert loaded.booster.num_trees() == fold.rounds * (3 if kind == "multiclass" else 1)
    np.testing.assert_allclose(loaded.predict(data.X.iloc[data.folds[0][1]]), fold.prediction, rtol=1e-9)


def test_rmse_is_trained_exactly_as_mse() -> None:
    it, data = lightgbm(), training("regression")
    as_rmse = Training(data.X, data.y, None, data.folds, data.problem, RMSE(), data.metric)
    mse, rmse = (it.validate(it.workspace(d, None, 1), 0, PLAIN, 0).prediction.tobytes() for d in (data, as_rmse))
    assert mse == rmse


@kinds
def test_targets_of_validation_rows_teach_nothing_but_when_to_stop(kind: ProblemKind) -> None:
    """Bins are made of all training rows; but rows without weight tell no early stopping anything."""
    data = training(kind)
    valid = data.folds[0][1]
    weight = np.ones(N)
    weight[valid[::2]] = 0
    changed = data.y.copy()
    changed[valid[::2]] = changed[valid[::2]].max() - changed[valid[::2]]
    one, other = (
        lightgbm().validate(lightgbm().workspace(replace(data, y=y, weight=weight), None, 1), 0, PLAIN, 0)
        for y in (data.y, changed)
    )
    assert one.prediction.tobytes() == other.prediction.tobytes()
    assert one.curve == other.curve


def test_folds_and_samples_are_cut_from_bins_that_are_made_once() -> None:
    workspace = lightgbm().workspace(training("binary"), None, 1)
    folds = [workspace.fold(0, n_rows) for n_rows in (None, 100)]
    assert all(part.reference is workspace.data for fold in folds for part in (fold.train, fold.valid))
    assert [fold.train.num_data() for fold in folds] == [N // 2, 100]


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_many_rows_pass_a_large_model_in_parts_and_come_to_the_same(
    kind: ProblemKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = training(kind)
    family = lightgbm()
    fitted = family.fit(family.workspace(given, None, 1), family.start, 20, 0)
    plain, raw = fitted.predict(given.X), fitted.raw(fitted.levels.encode(given.X))
    for name, less in (("LARGE", 50), ("LEAVES_AT_A_TIME", 40), ("MANY_VISITS", 5_000)):
        monkeypatch.setattr(f"tasks.model._booster.{name}", less)
    large = replace(fitted)
    large.predict(given.X.iloc[:3])
    assert "_in_parts" not in vars(large), "a few rows pass all trees at once"
    np.testing.assert_allclose(large.predict(given.X), plain, rtol=1e-12)
    np.testing.assert_allclose(large.raw(large.levels.encode(given.X)), raw, rtol=1e-12, atol=1e-14)
    assert large._in_parts is not None
    assert len(large._in_parts.parts) > 3


@kinds
def test_the_number_of_threads_does_not_change_the_final_model(kind: ProblemKind) -> None:
    it = lightgbm()
    workspace = it.workspace(training(kind), None, 1)
    one, two = (it.fit(workspace, PLAIN, 20, 0, n_threads=n).booster.model_to_string() for n in (1, 2))
    assert one.partition("parameters:")[0] == two.partition("parameters:")[0]


def test_a_final_fit_without_time_stays_as_far_as_it_came() -> None:
    calls = []

    def watch(curve: Curve) -> None:
        calls.append(curve)
        if len(calls) == 4:
            raise OutOfTimeError

    it = lightgbm()
    assert it.fit(it.workspace(training("binary"), None, 1), PLAIN, 20, 0, watch).booster.num_trees() == 4


def test_a_final_fit_in_short_time_takes_larger_steps_unless_the_user_fixed_them() -> None:
    it, learned = lightgbm(), training("binary")
    workspace, given = it.workspace(learned, None, 1), {**PLAIN, "learning_rate": 0.01}
    fits = [it.fit(workspace, given, 100, 0), *(it.fit(workspace, given, 100, 0, watch) for watch in hurried())]
    n_trees = [fitted.booster.num_trees() for fitted in fits]
    costs = [learned.loss.cost(learned.y, fitted.predict(learned.X), None) for fitted in fits]
    assert n_trees == [100, 40, 40]
    assert costs[1] > 1.1 * costs[0]
    assert costs[2] == pytest.approx(costs[0], rel=0.02)
    fixed = lightgbm("model.lightgbm.hyperparameters.learning_rate=0.01")
    assert fixed.fit(workspace, given, 100, 0, Paced(None, hurried={20: 20})).booster.num_trees() == 100


def hurried() -> list[Until]:
    """A fit that is ended after 40 rounds, and one that after 20 has 20 left."""
    return [Until(None, 40), Paced(None, hurried={20: 20})]


def test_a_fold_without_time_ends() -> None:
    def watch(curve: Curve) -> None:
        raise OutOfTimeError

    it = lightgbm()
    with pytest.raises(OutOfTimeError):
        it.validate(it.workspace(training("binary"), None, 1), 0, PLAIN, 0, watch)


def test_a_fixed_number_of_bins_reaches_the_bins() -> None:
    it = lightgbm("model.lightgbm.hyperparameters.max_bin=7")
    bins = it.workspace(training("binary"), None, 1).fold(0, None)
    assert bins.train.feature_num_bin(0) <= 7


@kinds
def test_contributions_have_a_column_for_each_feature(kind: ProblemKind, tmp_path: Path) -> None:
    data = training(kind)
    contributions = base(kind, tmp_path).contributions(data.X)
    assert contributions.shape == (N, 4)
    assert contributions.mean(axis=0).argmax() in (0, 3)


def test_what_decides_the_bins_can_not_be_searched() -> None:
    it = lightgbm("model.lightgbm.hyperparameters.max_bin=null", "model.lightgbm.space.max_bin=[63,255]")
    (fault,) = it.check(Problem("binary", "y", ("a", "b")), CrossEntropy())
    assert "model.lightgbm.space.max_bin" in fault
    assert "model.lightgbm.hyperparameters.max_bin=VALUE" in fault


def test_the_final_fit_takes_smaller_steps_and_as_many_more_unless_the_user_fixed_them() -> None:
    it = lightgbm("model.lightgbm.final_step=0.25")
    assert it.final({**PLAIN, "learning_rate": 0.2}, 100) == ({**PLAIN, "learning_rate": 0.05}, 400)
    fixed = lightgbm("model.lightgbm.final_step=0.25", "model.lightgbm.hyperparameters.learning_rate=0.2")
    assert fixed.final({**PLAIN, "learning_rate": 0.2}, 100) == ({**PLAIN, "learning_rate": 0.2}, 100)


def amounts() -> Training:
    """A target whose effects multiply."""
    data = training("regression")
    return replace(data, y=np.exp(data.y))


def test_a_log_link_predicts_exponentials_whose_mean_is_the_targets() -> None:
    it, data = lightgbm(), amounts()
    fitted = it.fit(it.workspace(data, None, 1), {**PLAIN, "link": "log"}, 100, 0)
    prediction = fitted.predict(data.X)
    assert prediction.min() > 0
    assert prediction.mean() == pytest.approx(data.y.mean(), rel=1e-3)  # as where its score is 0
    np.testing.assert_allclose(prediction, np.exp(fitted.raw(fitted.levels.encode(data.X))), rtol=1e-12)


def test_a_fold_of_a_log_link_is_judged_in_the_targets_unit() -> None:
    it, data = lightgbm("model.lightgbm.rounds=60"), amounts()
    done = it.validate(it.workspace(data, None, 1), 0, {**PLAIN, "link": "log"}, 0)
    valid = data.folds[0][1]
    np.testing.assert_allclose(done.prediction, done.fitted.predict(data.X.iloc[valid]), rtol=1e-6)
    assert dict(done.curve)[done.rounds or 0] == pytest.approx(value("rmse", data.y[valid], done.prediction))


def test_what_goes_on_from_a_base_keeps_its_link(tmp_path: Path) -> None:
    it, data = lightgbm(), amounts()
    first = it.fit(it.workspace(data, None, 1), {**PLAIN, "link": "log"}, 10, 0)
    model.save(first, tmp_path)
    assert it.forced(data.problem, data.loss, data.y, tmp_path) == {"link": "log"}
    for loss, y in ((MAE(), data.y), (data.loss, data.y - 10)):
        with pytest.raises(Refusal, match="base predicts by the link log"):
            it.forced(data.problem, loss, y, tmp_path)
    workspace = it.workspace(data, tmp_path, 1)
    valid = data.folds[0][1]
    fold = it.validate(workspace, 0, NO_GAIN, 0)
    np.testing.assert_allclose(fold.prediction, first.predict(data.X.iloc[valid]), rtol=1e-6)
    more = it.fit(workspace, PLAIN, 5, 0)
    assert (more.link, more.booster.num_trees()) == ("log", 15)
    assert value("rmse", data.y, more.predict(data.X)) < value("rmse", data.y, first.predict(data.X))


def test_the_target_decides_whether_there_is_a_choice_of_link() -> None:
    it, data = lightgbm(), amounts()
    assert it.forced(data.problem, data.loss, data.y, None) == {}
    assert it.forced(data.problem, MAE(), data.y, None) == {"link": "identity"}
    for y in (data.y - data.y.mean(), np.zeros(N)):
        assert it.forced(data.problem, data.loss, y, None) == {"link": "identity"}
    fixed = lightgbm("model.lightgbm.hyperparameters.link=log")
    assert fixed.check(data.problem, data.loss) == []
    with pytest.raises(Refusal, match=r"hyperparameters\.link=log: a target below 0, or of zeros alone, allows only"):
        fixed.forced(data.problem, data.loss, data.y - 10, None)


@pytest.mark.parametrize(("link", "kind", "said"), [
    ("log", "binary", "is for a regression by mse or rmse"), ("sqrt", "regression", "it is identity or log"),
])  # fmt: skip
def test_a_link_that_there_is_not_is_refused(link: str, kind: ProblemKind, said: str) -> None:
    data = training(kind)
    (fault,) = lightgbm(f"model.lightgbm.hyperparameters.link={link}").check(data.problem, data.loss)
    assert said in fault
