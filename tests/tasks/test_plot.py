"""The pictures of a run: of small real studies, readable whatever the names, left out where they would say nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
from judged import linear
from matplotlib.image import imread
from optuna.samplers import RandomSampler

from tasks import model as models
from tasks.evaluate import evaluate
from tasks.folds import write_folds
from tasks.loss.cross_entropy import CrossEntropy
from tasks.loss.mse import MSE
from tasks.model.lightgbm import LightGBM
from tasks.plot import Material, draw_all
from tasks.plot._canvas import limits, number, printable
from tasks.records import Problem, ProblemKind, Split, Trained, TrialResult, Winner
from tasks.search import Space, family_space
from tasks.search.sampled import Sampled
from tasks.study import Study, opened, read_fold, write_fold
from tasks.trial import run_trial
from tasks.workspace import Experiment, workspace_of

N_FOLDS = 3
SPACE: dict[str, Any] = {
    "num_leaves": {"low": 2, "high": 8, "log": True},
    "learning_rate": {"low": 0.05, "high": 0.3},
    "extra_trees": [True, False],
}
START = {"num_leaves": 4, "learning_rate": 0.1, "extra_trees": False}
OF_ANY_RUN = {"fold_scheme", "learning_curve", "feature_importance"}
OF_A_SEARCH = {"search_history", "hyperparameter_importance", "parallel_coordinates"}
UGLY = ["a_$b_1$", "half a $ sign", "测量值", "100 % of\n_{the}^things", "x" * 80]


@contextmanager
def finished(
    folder: Path,
    n_trials: int,
    classes: Sequence[Any] = ("no", "yes"),
    names: Sequence[str] = ("a", "b", "c", "d", "e"),
    n_rows: int = 240,
    roles: pd.DataFrame | None = None,
    families: Sequence[str] = ("lightgbm",),
    is_flat: bool = False,
) -> Iterator[Material]:
    """A finished run of `n_trials` random trials on made-up rows; no classes make it a regression."""
    kind: ProblemKind = "regression" if not classes else "binary" if len(classes) == 2 else "multiclass"
    problem = Problem(kind, "outcome of $100", tuple(classes))
    split = _write_split(folder / "split", n_rows, problem, names, roles)
    rules = {"rounds": 20, "patience": 10, "final_step": 1, "check_every": 2, "leaves": {}}
    family = LightGBM(dict.fromkeys(SPACE), START, SPACE, {}, [], **rules)
    metric, loss = ("accuracy", CrossEntropy()) if classes else ("rmse", MSE())
    searched = family_space("lightgbm", family.hyperparameters, START, SPACE, {})
    space = Space(dict.fromkeys(families, searched))
    with opened(folder / "studies", "some", is_higher_better=bool(classes)) as study:
        experiment = Experiment(
            digest=str(folder),
            folder=str(study.folder),
            split=split.folder,
            problem=problem,
            families=dict.fromkeys(families, cast(models.Model, family)),
            loss=loss,
            metric=metric,
            base=None,
            seed=0,
            n_folds=N_FOLDS, growth=1.5,
            n_threads=1,
            keep_models=False,
        )
        results = [_trial(experiment, study, space, is_flat) for _ in range(n_trials)]
        best = (max if classes else min)(results, key=attrgetter("score"))
        winner = Winner(best.proposal, best.score, 0.01, best.folds, best.folds[0].rounds)
        workspace = workspace_of(experiment, families[0])
        fitted = family.fit(workspace, best.proposal.hyperparameters, winner.rounds, 0)
        models.save(fitted, folder / "model")
        trained = Trained(str(folder / "model"), "lightgbm", fitted.n_parameters, winner.rounds)
        evaluate.fn(split, trained, problem, loss, metric, 0, lambda *_: ("run",), linear())
        yield Material(
            split=folder / "split",
            problem=problem,
            study=study,
            results=tuple(results),
            winner=winner,
            metric=metric,
            loss=loss.name,
            trained=trained,
            predictions=folder / "model-predictions.parquet",
            seed=0,
        )


def _trial(experiment: Experiment, study: Study, space: Space, is_flat: bool) -> TrialResult:
    higher = experiment.metric == "accuracy"
    asked = Sampled(lambda seed: RandomSampler(seed), is_flat).ask(space, study.trials(), 0, is_higher_better=higher)
    assert asked is not None
    result = run_trial(experiment, space.proposal(study.add(asked)))
    study.tell(result)
    return result


def _write_split(
    folder: Path, n_rows: int, problem: Problem, names: Sequence[str], roles: pd.DataFrame | None
) -> Split:
    random = np.random.default_rng(0)
    X = pd.DataFrame(random.normal(size=(n_rows, len(names))), columns=list(names))
    signal = X.iloc[:, 0] + 0.5 * X.iloc[:, 1] + 0.3 * random.normal(size=n_rows)
    k = len(problem.classes)
    target = pd.qcut(signal, k, labels=False).astype(float) if k else signal
    table = pd.DataFrame({"target": target}) if roles is None else roles.assign(target=target)
    table["hash"] = np.arange(n_rows, dtype=np.uint64)
    n_train = n_rows * 3 // 4
    fold = np.arange(n_train) % N_FOLDS
    folder.mkdir()
    X[:n_train].to_parquet(folder / "train_features.parquet", index=False)
    X[n_train:].to_parquet(folder / "holdout_features.parquet", index=False)
    table[:n_train].to_parquet(folder / "train_roles.parquet", index=False)
    table[n_train:].to_parquet(folder / "holdout_labels.parquet", index=False)
    write_folds(folder, [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(N_FOLDS)])
    return Split(str(folder), "some", n_train, n_rows - n_train, N_FOLDS, 1.5, ())


def _names(paths: Sequence[Path]) -> set[str]:
    return {path.stem for path in paths}


def _assert_same_as_vectors(paths: Sequence[Path]) -> None:
    """Each beside a small SVG file whose letters are text."""
    vectors = {path.stem: path for path in (paths[0].parent / "svg").iterdir()}
    assert set(vectors) == _names(paths)
    for path in vectors.values():
        assert path.stat().st_size < 200_000, path
        assert "<text" in path.read_text(), path
        assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def _assert_readable(paths: Sequence[Path]) -> None:
    for path in paths:
        assert path.read_bytes().startswith(b"\x89PNG"), path
        pixels = imread(path)
        height, width = pixels.shape[:2]
        assert 700 <= width <= 3000, (path, width)
        assert 250 <= height <= 3000, (path, height)
        inked = (pixels[..., :3].min(axis=2) < 0.9).mean()
        assert 0.01 < inked < 0.9, (path, inked)


def test_every_picture_of_a_classification_is_a_png_with_something_on_it(tmp_path: Path) -> None:
    with finished(tmp_path, 9) as material:
        paths = draw_all(tmp_path / "plots", material)
    assert _names(paths) == OF_ANY_RUN | OF_A_SEARCH | {"confusion_matrix", "reliability"}
    _assert_same_as_vectors(paths)
    _assert_readable(paths)


@pytest.mark.parametrize("n_rows", [160, 24_000])
def test_a_regression_has_residuals_of_few_rows_and_of_many(tmp_path: Path, n_rows: int) -> None:
    with finished(tmp_path, 3, classes=(), n_rows=n_rows) as material:
        paths = draw_all(tmp_path / "plots", material)
    assert "residuals" in _names(paths)
    assert "confusion_matrix" not in _names(paths)
    _assert_readable(paths)
    _assert_same_as_vectors(paths)


def test_a_single_trial_draws_nothing_of_a_search(tmp_path: Path) -> None:
    with finished(tmp_path, 1) as material:
        paths = draw_all(tmp_path / "plots", material)
    assert _names(paths) == OF_ANY_RUN | {"confusion_matrix", "reliability"}


def test_two_trials_draw_no_importance_of_hyperparameters(tmp_path: Path) -> None:
    with finished(tmp_path, 2) as material:
        paths = draw_all(tmp_path / "plots", material)
    assert OF_A_SEARCH - _names(paths) == {"hyperparameter_importance"}


def test_a_family_without_rounds_has_no_learning_curve(tmp_path: Path) -> None:
    with finished(tmp_path, 1) as material:
        for path in material.study.folder.glob("folds/*/*.npz"):
            record = read_fold(path)
            assert record is not None
            write_fold(path, replace(record, score=replace(record.score, rounds=None), curve=()))
        assert "learning_curve" not in _names(draw_all(tmp_path / "plots", material))


@pytest.mark.parametrize("is_flat", [False, True])
def test_each_family_is_shown_with_its_own_trials_and_hyperparameters_alone(tmp_path: Path, is_flat: bool) -> None:
    with finished(tmp_path, 18, families=("lightgbm", "other"), is_flat=is_flat) as material:
        assert material.families == ["lightgbm", "other"]
        assert set(material.searched("other").values()) == set(SPACE)
        assert all(name.startswith("other.") for name in material.searched("other"))
        paths = draw_all(tmp_path / "plots", material)
    assert set(OF_A_SEARCH) <= _names(paths)
    _assert_readable(paths)


def test_failed_trials_are_drawn_and_count_for_nothing(tmp_path: Path) -> None:
    with finished(tmp_path, 9) as material:
        failed = replace(material.results[-1], folds=(), error="Traceback ...")
        with_failure = replace(material, results=(*material.results[:-1], failed))
        draw_all(tmp_path / "plots", with_failure)
        assert len(with_failure.finished()) == 8


def test_names_of_any_letters_are_drawn_without_a_warning(tmp_path: Path) -> None:
    with finished(tmp_path, 2, classes=("$x$", "是_", "a^{"), names=UGLY) as material:
        _assert_readable(draw_all(tmp_path / "plots", material))


@pytest.mark.parametrize("k", [25, 70])
def test_many_classes_stay_drawable(tmp_path: Path, k: int) -> None:
    with finished(tmp_path, 1, classes=[f"class of number {code}" for code in range(k)], n_rows=700) as material:
        _assert_readable(draw_all(tmp_path / "plots", material))


def test_groups_and_times_are_shown_with_the_folds(tmp_path: Path) -> None:
    roles = pd.DataFrame({"group": np.repeat([f"g{i}" for i in range(24)], 10), "time": np.arange(240)[::-1]})
    with finished(tmp_path, 1, roles=roles) as material:
        _assert_readable([path for path in draw_all(tmp_path / "plots", material) if path.stem == "fold_scheme"])


def test_the_same_run_gives_the_same_pictures_and_matplotlib_is_left_as_it_was(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    with finished(tmp_path, 9) as material:
        first, second = draw_all(tmp_path / "first", material), draw_all(tmp_path / "second", material)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert dict(matplotlib.rcParams) == before


def test_a_model_too_large_to_permute_is_still_drawn_by_its_own_measure(tmp_path: Path) -> None:
    with finished(tmp_path, 1) as material:
        whole = {path.stem: path for path in draw_all(tmp_path / "whole", material)}["feature_importance"]
        huge = replace(material, trained=replace(material.trained, n_parameters=10**12))
        alone = {path.stem: path for path in draw_all(tmp_path / "huge", huge)}["feature_importance"]
    assert imread(alone).shape[1] < imread(whole).shape[1] - 500


def test_a_label_is_one_line_and_never_a_formula() -> None:
    assert printable("a $x$ b") == r"a \$x\$ b"
    assert printable("two\nlines") == "two lines"
    assert len(printable("x" * 100)) == 28


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (0.0, "0"),
        (255.0, "255"),
        (100.0, "100"),
        (0.0632, "0.0632"),
        (-3394.2, "−3,394"),
        (1e-6, "1e−06"),
        (0.5, "0.5"),
    ],
)
def test_a_number_is_written_short_and_plain(value: float, label: str) -> None:
    assert number(value) == label


def test_one_trial_far_off_does_not_flatten_the_others() -> None:
    low, high = limits([1.0, 1.1, 1.2, 1.3, 1e6], "rmse")
    assert low < 1.0
    assert high < 3.0
