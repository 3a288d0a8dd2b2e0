"""Parts of the rows are told by any column of the user's table, and belong to the rows of the holdout."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold

from tasks.check import Case
from tasks.loss.mse import MSE
from tasks.prepare import prepare
from tasks.records import Prepared, Roles
from tasks.refusal import Refusal
from tasks.slices import labelled
from tasks.source.file import File
from tasks.split import split
from tasks.workspace import Experiment

N = 200
RANDOM = np.random.default_rng(0)
TABLE = pd.DataFrame({
    "a": np.arange(N) / 7, "town": RANDOM.choice(["u", "v", "w"], N), "age": RANDOM.integers(18, 90, N),
    "y": RANDOM.normal(size=N).round(4),
})  # fmt: skip
ROLES = Roles("y", ("town",), (), (), (), (), None, None, None, None, False)


def prepared(root: Path, *slices: str, test: pd.DataFrame | None = None) -> Prepared:
    files = []
    for name, frame in (("t", TABLE), ("test", test)):
        if frame is not None:
            frame.to_csv(root / f"{name}.csv", index=False)
            files.append(File(str(root / f"{name}.csv"), None, None, None))
    return prepare.fn(
        files[0], ROLES, "auto", files[1] if len(files) > 1 else None, 0, None, str(root / "data"), slices=slices
    )


def of_holdout(made: Prepared) -> tuple[pd.DataFrame, pd.Series]:
    """The slices of the holdout's rows, and a column of their features."""
    divided = split.fn(made, KFold(3), "kfold", 0.2)
    experiment = Experiment(
        digest="", folder="", split=divided.folder, problem=made.problem, families={}, loss=MSE(), metric="rmse",
        base=None, seed=0, n_folds=3, growth=1.5, n_threads=1, keep_models=False,
    )  # fmt: skip
    labels = Case(experiment, Path(), Path(), None, (), Path(made.slices)).slice_labels
    assert labels is not None
    return labels, pd.read_parquet(Path(divided.folder) / "holdout_features.parquet")["a"]


def test_a_dropped_column_tells_the_slices_of_exactly_the_rows_that_are_held_out(tmp_path: Path) -> None:
    with chdir(tmp_path):
        labels, a = of_holdout(prepared(tmp_path, "town"))
    rows = (a * 7).round().astype(int)
    assert 20 < len(rows) < 60
    assert labels["town"].tolist() == TABLE["town"].iloc[rows].tolist()


def test_of_a_published_split_its_own_rows_are_told_by_the_quarters_of_the_training_table(tmp_path: Path) -> None:
    test = TABLE.head(30).assign(age=[*[10] * 10, *[200] * 10, *[None] * 10])
    with chdir(tmp_path):
        labels, _ = of_holdout(prepared(tmp_path, "age", test=test))
    low, _, high = np.quantile(TABLE["age"], [0.25, 0.5, 0.75])
    assert labels["age"].tolist() == [f"up to {low:.4g}"] * 10 + [f"over {high:.4g}"] * 10 + ["missing"] * 10


def test_slices_are_no_part_of_the_tables_digest(tmp_path: Path) -> None:
    assert prepared(tmp_path, "town", "age").digest == prepared(tmp_path).digest
    assert prepared(tmp_path).slices == ""


def test_a_slice_that_names_no_column_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"slices=twon: the table has no such column; did you mean 'town'\?"):
        prepared(tmp_path, "twon")


def test_numbers_are_cut_into_quarters_of_equally_many_and_names_stay_names() -> None:
    numbers = pd.Series(np.arange(1, 101))
    found = pd.Series(labelled(numbers, numbers))
    assert found.value_counts().tolist() == [25] * 4
    assert found.iloc[[0, 30, 60, 99]].tolist() == ["up to 25.75", "25.75 to 50.5", "50.5 to 75.25", "over 75.25"]
    flags = pd.Series([0, 1, None, 1])
    assert labelled(flags, flags).tolist() == ["0", "1", "missing", "1"]
    as_text = pd.Series([*map(str, range(40)), "many"])
    assert labelled(as_text, as_text).tolist() == as_text.tolist()  # one cell is no number
