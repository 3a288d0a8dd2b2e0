"""What differs is named leaf by leaf, and what explains it is what was not the same to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from tasks.reproduction import Difference, causes, differences, how_far_apart, n_results, of_results, why

OUTCOME: dict[str, Any] = {
    "identity": {"data": "d1", "split": "s1", "seed": 0, "versions": {"numpy": "2.1"}}, "versions": {"numpy": "2.1"},
    "threads": 2, "machine": {"processor": "one"}, "place": "/somewhere",
    "trials": 3, "winner": 1, "hyperparameters": {"model": "linear", "penalty": 0.1}, "folds": {"fold 0": 0.5},
    "ensemble": None, "final": {"rounds": None, "note": ""}, "corrected": 0.4, "holdout": {"mae": 1.0},
    "predictions": "p1",
}  # fmt: skip


def changed(**values: Any) -> dict[str, Any]:
    return {**OUTCOME, **values}


def test_the_same_outcome_has_no_differences() -> None:
    assert of_results(OUTCOME, changed(place="/elsewhere")) == ()
    assert causes(OUTCOME, OUTCOME) == ()
    assert n_results(OUTCOME) == 11


def test_a_difference_names_its_place_and_both_values() -> None:
    now = changed(hyperparameters={"model": "linear", "penalty": 0.2}, folds={"fold 0": 0.5, "fold 1": 0.6})
    assert of_results(OUTCOME, now) == (
        Difference("hyperparameters.penalty", 0.1, 0.2), Difference("folds.fold 1", "nothing", 0.6),
    )  # fmt: skip


def test_the_last_digit_is_a_difference() -> None:
    assert list(differences(0.1 + 0.2, 0.3, "x")) == [Difference("x", 0.1 + 0.2, 0.3)]


def test_versions_are_told_once_though_a_studys_identity_holds_them_too() -> None:
    identity = {**OUTCOME["identity"], "versions": {"numpy": "2.2"}}
    found = causes(OUTCOME, changed(identity=identity, versions={"numpy": "2.2"}))
    assert found == (Difference("versions.numpy", "2.1", "2.2"),)
    assert why([], found) == ["other versions: numpy 2.1 then, 2.2 now"]


def test_another_table_another_configuration_and_another_machine_are_told_apart() -> None:
    other = [
        ({"identity": {**OUTCOME["identity"], "data": "d2", "split": "s2"}}, "the table is another"),
        ({"identity": {**OUTCOME["identity"], "split": "s2"}}, "holdout or folds are drawn otherwise"),
        ({"identity": {**OUTCOME["identity"], "seed": 1}}, "configured otherwise: seed"),
        ({"machine": {"processor": "two"}}, "another machine: processor one then, two now"),
    ]
    for values, said in other:
        (told,) = why([], causes(OUTCOME, changed(**values)))
        assert told.startswith(said)


def test_a_difference_that_nothing_recorded_explains_is_said_to_be_one() -> None:
    assert why([Difference("winner", 1, 2)], [])[0].startswith("nothing that was recorded differs")
    assert why([], []) == []


def test_predictions_are_compared_row_by_row(tmp_path: Path) -> None:
    before = pd.DataFrame({"prediction": [0.0, 1.0, 1.0], "probability_yes": [0.2, 0.9, 0.6]})
    before.to_parquet(tmp_path / "p.parquet")
    now = before.assign(prediction=[0.0, 1.0, 0.0], probability_yes=[0.2, 0.9, 0.4])
    assert how_far_apart(str(tmp_path / "p.parquet"), now) == (
        "predictions of 1 of 3 rows differ by at most 0.2, and 1 labels"
    )
    assert "another table" in how_far_apart(str(tmp_path / "p.parquet"), now.head(2))
    assert "are gone" in how_far_apart(str(tmp_path / "none.parquet"), now)
    assert "are gone" in how_far_apart(None, now)
