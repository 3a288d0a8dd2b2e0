"""Laws that all folds of conf/folds hold."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from omegaconf import OmegaConf

from tasks.folds import Rows, Splitter, choose, draw

CONF = Path(__file__).parents[3] / "conf" / "folds"
CHOICES = sorted(path.stem for path in CONF.glob("*.yaml") if "_target_" in path.read_text())  # auto names another
CLASSES = ("no", "perhaps", "yes")
N = 203


def load(choice: str, seed: int = 0, **overrides: int) -> Splitter:
    root = OmegaConf.create({"seed": seed, "folds": OmegaConf.load(CONF / f"{choice}.yaml")})
    node = OmegaConf.to_container(root, resolve=True)["folds"] | overrides
    module, _, name = node.pop("_target_").rpartition(".")
    splitter: Splitter = getattr(import_module(module), name)(**node)
    return splitter


def columns() -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.datetime64]]:
    """y, groups of about five rows, and dates of about four rows, none of them in order."""
    generator = np.random.default_rng(7)
    y = generator.choice(3, N, p=[0.6, 0.3, 0.1]).astype(np.float64)
    dates = np.datetime64("2020-01-01") + generator.integers(0, 50, N)
    return y, generator.integers(0, 40, N), dates


def drawn(choice: str, seed: int = 0, **overrides: int) -> list[tuple[Rows, Rows]]:
    y, groups, times = columns()
    return draw(load(choice, seed, **overrides), y, groups, times, classes=CLASSES, name=choice)


@pytest.mark.parametrize("choice", CHOICES)
def test_train_and_valid_are_disjoint_rows_of_the_table(choice: str) -> None:
    for train, valid in drawn(choice):
        assert not set(train) & set(valid)
        for rows in (train, valid):
            assert len(rows) == len(set(rows)) > 0
            assert rows.dtype == np.int64
            assert rows.min() >= 0
            assert rows.max() < N


@pytest.mark.parametrize("choice", CHOICES)
def test_every_row_validates_as_often_as_the_scheme_says(choice: str) -> None:
    folds = drawn(choice)
    counts = np.bincount(np.concatenate([valid for _, valid in folds]), minlength=N)
    if choice == "time_ordered":
        assert set(counts) == {0, 1}
    else:
        assert set(counts) == {3 if choice == "repeated" else 1}
        assert all(len(train) + len(valid) == N for train, valid in folds)


@pytest.mark.parametrize("choice", CHOICES)
def test_there_are_as_many_folds_as_asked_for(choice: str) -> None:
    assert len(drawn(choice, n_splits=4)) == 4 * (3 if choice == "repeated" else 1)


@pytest.mark.parametrize("choice", [choice for choice in CHOICES if "grouped" in choice])
def test_a_group_stays_whole(choice: str) -> None:
    _, groups, _ = columns()
    for train, valid in drawn(choice):
        assert not set(groups[train]) & set(groups[valid])


@pytest.mark.parametrize("choice", ["time_ordered"])
def test_forward_folds_train_on_the_past_only(choice: str) -> None:
    _, _, times = columns()
    for train, valid in drawn(choice):
        assert times[train].max() < times[valid].min()


@pytest.mark.parametrize("choice", [choice for choice in CHOICES if choice in ("stratified", "repeated")])
def test_stratified_folds_hold_each_class_in_proportion(choice: str) -> None:
    y, _, _ = columns()
    for _, valid in drawn(choice):
        for code in range(3):
            assert abs(np.sum(y[valid] == code) - np.sum(y == code) / 5) < 1


@pytest.mark.parametrize("choice", CHOICES)
def test_the_same_seed_gives_the_same_folds_and_another_seed_others(choice: str) -> None:
    def key(seed: int) -> list[list[int]]:
        return [rows.tolist() for fold in drawn(choice, seed) for rows in fold]

    assert key(0) == key(0)
    assert (key(0) == key(1)) == (choice == "time_ordered")


@pytest.mark.parametrize("choice", CHOICES)
def test_a_number_is_split_too_unless_the_folds_are_for_classes(choice: str) -> None:
    _, groups, times = columns()
    y = np.random.default_rng(1).normal(size=N)
    if not choice.startswith("stratified"):
        assert draw(load(choice), y, groups, times, name=choice)


@pytest.mark.parametrize("problem", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("has_group", [False, True])
@pytest.mark.parametrize("has_time", [False, True])
def test_what_auto_chooses_exists_and_uses_the_columns_that_are_there(
    problem: str, has_group: bool, has_time: bool
) -> None:
    choice = choose(problem, has_group, has_time)
    assert choice in CHOICES
    assert (choice == "time_ordered") == has_time
    assert ("grouped" in choice) == (has_group and not has_time)
    assert ("stratified" in choice) == (problem != "regression" and not has_time)
