"""Where the model fails is shown by the user's own rows, from the worst on."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold, RepeatedKFold

from tasks import parquet
from tasks.examine import N_WORST, OUT_OF_FOLD, WORST, examine
from tasks.folds import Splitter, write_folds
from tasks.loss.cross_entropy import CrossEntropy
from tasks.loss.mae import MAE
from tasks.prepare import prepare
from tasks.records import Examined, FoldScore, Member, Prepared, Proposal, Roles
from tasks.source.file import File
from tasks.split import split
from tasks.study import FoldRecord, fold_file, write_fold
from tasks.workspace import Experiment, training_of

N = 400
GENERATOR = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "a": GENERATOR.normal(size=N).round(3),
        "loss": GENERATOR.choice(["x", "y"], N),  # a feature that is called as a column of ours
        "name": [f"row {n}" for n in range(N)],
        "y": GENERATOR.normal(size=N),
        "label": GENERATOR.choice(["no", "yes"], N),
    }
)
FIRST, SECOND = Proposal(0, "some", {"x": 1}), Proposal(1, "some", {"x": 2})


def roles(**given: Any) -> Roles:
    nothing: dict[str, Any] = dict.fromkeys(("drop", "numeric", "categorical", "text", "key"), ())
    nothing |= dict.fromkeys(("group", "time", "weight", "positive"))
    return Roles(**{**nothing, "target": "y", "drop_missing_target": True, **given})


def experiment(
    folder: Path, table: pd.DataFrame = TABLE, splitter: Splitter | None = None, **given: Any
) -> tuple[Experiment, Prepared]:
    table.to_csv(folder / "t.csv", index=False)
    source = File(str(folder / "t.csv"), None, None, None)
    prepared = prepare.fn(source, roles(**given), "auto", None, 0, None, str(folder / "data"))
    splitter = splitter or KFold(4, shuffle=True, random_state=0)
    made = split.fn(prepared, splitter, "kfold", 0.25, str(folder / "data"))
    loss: Any = CrossEntropy() if prepared.problem.is_classification else MAE()
    it = Experiment(
        digest=str(folder), folder=str(folder / "study"), split=made.folder, problem=prepared.problem, families={},
        loss=loss, metric="mae", base=None, seed=0, n_folds=made.n_folds, growth=1.5, n_threads=1, keep_models=False,
    )  # fmt: skip
    return it, prepared


def store(it: Experiment, proposal: Proposal, shift: float = 0.0) -> None:
    """Predictions of a trial: for a regression `shift` beside 0, for two classes a probability by the first feature."""
    training = training_of(it)
    for fold in range(it.n_folds):
        valid = training.fold(fold, proposal.n_rows)[1]
        prediction = np.full(len(valid), shift)
        if it.problem.is_classification:
            positive = 1 / (1 + np.exp(-training.X["a"].to_numpy(np.float64)[valid]))
            prediction = np.column_stack([1 - positive, positive])
        score = FoldScore(fold, 0.0, 0.0, None, 0.0)
        write_fold(fold_file(Path(it.folder), proposal, fold), FoldRecord(score, (), prediction.astype(np.float32)))


def tables(examined: Examined) -> tuple[pd.DataFrame, pd.DataFrame]:
    folder = Path(examined.folder)
    return pd.read_parquet(folder / OUT_OF_FOLD), pd.read_csv(folder / WORST)


def test_every_training_row_is_there_once_from_the_worst_on_and_found_in_the_source(tmp_path: Path) -> None:
    it, prepared = experiment(tmp_path)
    store(it, FIRST)
    examined = examine.fn(it, prepared, (Member(FIRST, 1.0),))
    every, worst = tables(examined)
    assert len(every) == len(training_of(it).y) == examined.n_rows < N
    assert every["row"].is_unique
    np.testing.assert_allclose(every["target"], TABLE["y"].to_numpy()[every["row"]])
    np.testing.assert_allclose(every["loss"], np.abs(every["target"]))
    assert every["loss"].is_monotonic_decreasing
    assert len(worst) == N_WORST == examined.n_worst
    np.testing.assert_allclose(worst["loss"], every["loss"].head(N_WORST))
    assert examined.share == pytest.approx(worst["loss"].sum() / every["loss"].sum())


def test_the_worst_rows_come_with_their_features_under_names_of_their_own(tmp_path: Path) -> None:
    it, prepared = experiment(tmp_path)
    store(it, FIRST)
    _, worst = tables(examine.fn(it, prepared, (Member(FIRST, 1.0),)))
    source = TABLE.iloc[worst["row"]].reset_index(drop=True)
    np.testing.assert_allclose(worst["a"], source["a"], rtol=1e-6)
    assert worst["loss (feature)"].tolist() == source["loss"].tolist()
    assert worst["label"].tolist() == source["label"].tolist()


def test_rows_are_named_by_their_key_and_those_without_a_target_shift_no_position(tmp_path: Path) -> None:
    table = TABLE.assign(y=TABLE["y"].where(np.arange(N) % 7 != 2))
    it, prepared = experiment(tmp_path, table, key=("name",))
    store(it, FIRST)
    every, worst = tables(examine.fn(it, prepared, (Member(FIRST, 1.0),)))
    np.testing.assert_allclose(every["target"], table["y"].to_numpy()[every["row"]])
    assert worst["name"].tolist() == [f"row {row}" for row in worst["row"]]


def test_classes_are_shown_as_the_user_has_them_with_their_probabilities(tmp_path: Path) -> None:
    it, prepared = experiment(tmp_path, target="label", drop=("name",))
    store(it, FIRST)
    every, _ = tables(examine.fn(it, prepared, (Member(FIRST, 1.0),)))
    assert every["target"].tolist() == TABLE["label"].iloc[every["row"]].tolist()
    is_yes = every["probability_yes"] > every["probability_no"]
    assert every["prediction"].tolist() == np.where(is_yes, "yes", "no").tolist()
    of_true = np.where(every["target"] == "yes", every["probability_yes"], every["probability_no"])
    np.testing.assert_allclose(every["loss"], -np.log(of_true), rtol=1e-5)


def test_an_ensemble_is_judged_by_the_weighted_mean_of_its_members(tmp_path: Path) -> None:
    it, prepared = experiment(tmp_path)
    store(it, FIRST, 1.0)
    store(it, SECOND, 2.0)
    every, _ = tables(examine.fn(it, prepared, (Member(FIRST, 0.25), Member(SECOND, 0.75))))
    assert set(every["prediction"]) == {1.75}


def test_after_further_folds_were_judged_the_rows_of_all_are_there(tmp_path: Path) -> None:
    it, prepared = experiment(tmp_path)
    store(it, FIRST)
    file = fold_file(Path(it.folder), FIRST, 0)
    later = file.rename(file.with_name("later"))
    some, _ = tables(examine.fn(it, prepared, (Member(FIRST, 1.0),)))
    later.rename(file)
    every, _ = tables(examine.fn(it, prepared, (Member(FIRST, 1.0),)))
    assert (set(some["fold"]), set(every["fold"])) == ({1, 2, 3}, {0, 1, 2, 3})


def test_a_row_that_several_folds_validate_is_there_once(tmp_path: Path) -> None:
    it, prepared = experiment(tmp_path, splitter=RepeatedKFold(n_splits=3, n_repeats=2, random_state=0))
    store(it, FIRST)
    every, _ = tables(examine.fn(it, prepared, (Member(FIRST, 1.0),)))
    assert every["row"].is_unique
    assert set(every["n_folds"]) == {2}
    np.testing.assert_allclose(every["loss"], np.abs(every["target"]))


def test_a_winner_of_a_sample_of_rows_is_judged_on_the_rows_that_it_predicted(tmp_path: Path) -> None:
    it, prepared = experiment(tmp_path)
    some = replace(FIRST, n_rows=40)
    store(it, some)
    every, _ = tables(examine.fn(it, prepared, (Member(some, 1.0),)))
    assert 0 < len(every) < len(training_of(it).y)


@pytest.mark.parametrize("target", ["y", "label"])
def test_where_no_prediction_is_stored_any_more_the_tables_are_empty(tmp_path: Path, target: str) -> None:
    it, prepared = experiment(tmp_path, target=target)
    examined = examine.fn(it, prepared, (Member(FIRST, 1.0),))
    every, worst = tables(examined)
    assert (len(every), len(worst), examined.share) == (0, 0, 0.0)
    assert {"loss", "row", "target", "prediction"} <= set(every.columns)


def test_rows_that_are_written_in_parts_are_those_that_are_written_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, prepared = experiment(tmp_path)
    store(it, FIRST)
    whole, worst = tables(examine.fn(it, prepared, (Member(FIRST, 1.0),)))
    monkeypatch.setattr(parquet, "ROWS_IN_GROUP", 64)
    elsewhere = replace(it, folder=str(tmp_path / "again"))
    store(elsewhere, FIRST)
    parts, same = tables(examine.fn(elsewhere, prepared, (Member(FIRST, 1.0),)))
    pd.testing.assert_frame_equal(parts, whole)
    pd.testing.assert_frame_equal(same, worst)


def test_the_table_is_not_in_memory(tmp_path: Path) -> None:
    """300,000 rows of 40 columns are 48 MB as float32; predictions and losses of as many rows 8 MB."""
    n, width = 300_000, 40
    features = pd.DataFrame(np.random.default_rng(0).normal(size=(n, width)).astype(np.float32)).rename(columns=str)
    it, prepared = experiment(tmp_path)
    folder = tmp_path / "large"
    folder.mkdir()
    parquet.write_frame(folder / "train_features.parquet", features)
    parquet.write_frame(folder / "train_roles.parquet", pd.DataFrame({"target": features["0"].astype("float64")}))
    rows = np.arange(n)
    write_folds(folder, [(rows[k % 2 :: 2], rows[1 - k :: 2]) for k in range(2)])
    large = replace(it, digest="large", split=str(folder), folder=str(tmp_path / "study-large"), n_folds=2)
    store(large, FIRST)
    del features
    tracemalloc.start()
    examined = examine.fn(large, prepared, (Member(FIRST, 1.0),))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert examined.n_rows == n
    assert peak < 45e6
