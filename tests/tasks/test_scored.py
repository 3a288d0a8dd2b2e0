"""What the monitor reads of scored batches and of the rows that a version was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks import scored
from tasks.records import Problem
from tasks.scored import COUNTED, Batch, Summary

PROBLEM = Problem("binary", "y", (0.5, 1.5))


@pytest.fixture
def reference(tmp_path: Path) -> Summary:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=500), "c": pd.Series(rng.choice(["x", "y"], 500), dtype="str"),
                      "t": pd.Series(["prose of some words"] * 500, dtype="str")})  # fmt: skip
    X.to_parquet(tmp_path / "X.parquet")
    codes = rng.integers(0, 2, 90)
    predictions = pd.DataFrame({"target": 0, "prediction": codes, "probability_0.5": rng.random(90),
                                "probability_1.5": rng.random(90)})  # fmt: skip
    predictions.to_parquet(tmp_path / "p.parquet")
    scored.write_reference(tmp_path, tmp_path / "X.parquet", ["t"], tmp_path / "p.parquet", PROBLEM)
    found = scored.reference_in(tmp_path, "sold", 3)
    assert found is not None
    return found


def test_the_reference_of_a_version_counts_its_training_rows_and_its_holdout_s_predictions(reference: Summary) -> None:
    assert (reference.model_name, reference.version, reference.n_rows) == ("sold", 3, 500)
    assert [(one.name, one.kind, one.n_rows) for one in reference.columns] == [
        ("a", "number", 500), ("c", "level", 250), ("t", "length", 500),
    ]  # fmt: skip
    assert [one.n_rows for one in reference.predictions] == [90] * 3
    assert set(reference.predictions[0].bounds) == {"0.5", "1.5"}


def test_of_a_model_that_writes_the_lengths_of_prompts_are_counted_alone(tmp_path: Path) -> None:
    pairs = pd.DataFrame({"asked": ["a", "bb", "ccc"] * 50, "answered": ["d"] * 150}, dtype="str")
    pairs.to_parquet(tmp_path / "X.parquet")
    pd.DataFrame({"target": 1.0, "loss": 0.5, "tokens": [1, 2]}).to_parquet(tmp_path / "p.parquet")
    files = tmp_path / "X.parquet", ["asked", "answered"], tmp_path / "p.parquet"
    scored.write_reference(tmp_path, *files, Problem("generation", "answered", ()))
    found = scored.reference_in(tmp_path, "writer", 1)
    assert found is not None
    assert [(one.name, one.kind) for one in found.columns] == [("asked", "length")]
    assert found.predictions == ()
    assert found.counted(pairs[["asked"]], pd.DataFrame({"prediction": pairs["answered"]})).n_rows == 150


def batch(folder: Path, ids: range, keys: tuple[str, ...] = ("id",), known: int = 0) -> Batch:
    hashes = scored.key_hashes(pd.DataFrame({"id": ids}), ["id"])
    folder.mkdir()
    is_known = np.arange(len(ids)) < known
    pd.DataFrame({"key": hashes, "known": is_known}).to_parquet(folder / "predictions.parquet")
    return Batch(folder, Summary("sold", 3, "", "", len(ids), 0, (), (), keys))


def test_a_table_that_is_scored_again_and_again_is_worth_its_rows_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = [batch(tmp_path / f"{hour}", range(50)) for hour in range(24)]
    assert scored.independent(hours) == 1 / 24
    new = [batch(tmp_path / f"new {hour}", range(hour * 9, hour * 9 + 9)) for hour in range(9)]
    assert scored.independent(new) == 1
    grown = [batch(tmp_path / "part", range(300)), batch(tmp_path / "whole", range(600))]
    assert scored.independent(grown) == 900 / (300 * 4 + 300)  # 300 rows twice, 300 once
    assert scored.independent([batch(tmp_path / "no key", range(9), keys=())] * 2) == 1
    assert scored.independent([batch(tmp_path / "of training", range(9), known=9)] * 2) == 1
    monkeypatch.setattr(scored, "KEYS_AT_ONCE", 100)
    assert scored.independent(grown) == pytest.approx(0.6, abs=0.1)


def test_a_part_of_a_histogram_has_its_shape_and_its_share_of_the_rows(reference: Summary) -> None:
    third = reference.thinned(1 / 3)
    assert [one.n_rows for one in third.columns] == [167, 83, 167]
    whole, part = reference.columns[0], third.columns[0]
    assert np.abs(np.cumsum(part.counts) - np.cumsum(whole.counts) / 3).max() <= 0.5 + 1e-9
    assert reference.thinned(1.0) == reference


def test_a_model_that_was_registered_without_has_none(tmp_path: Path) -> None:
    assert scored.reference_in(tmp_path, "sold", 1) is None


def test_of_a_large_chunk_some_rows_are_counted_and_all_are_numbered(reference: Summary) -> None:
    n = 3 * COUNTED
    text = {"c": pd.Series(["x"] * n, dtype="str"), "t": pd.Series([None] * n, dtype="str")}
    X = pd.DataFrame({"a": np.zeros(n), **text})
    predicted = pd.DataFrame({"prediction": np.repeat(0.5, n), "probability_0.5": 0.1, "probability_1.5": 0.9})
    made = reference.counted(X, predicted)
    assert made.n_rows == n
    assert {one.n_rows for one in (*made.columns, *made.predictions)} == {COUNTED}
    assert sum(made.predictions[0].counts[:-1]) == COUNTED  # a class that is a number is a level all the same


def test_batches_are_written_once_and_read_in_their_order(reference: Summary, tmp_path: Path) -> None:
    root, rows = tmp_path / "monitor", tmp_path / "rows.parquet"
    pd.DataFrame({"key": np.array([7], dtype=np.uint64), "prediction": ["yes"]}).to_parquet(rows)
    for name in ("20260102T000000Z-b", "20260101T000000Z-a", "20260102T000000Z-b"):
        scored.write(reference, rows, name, root)
    batches = scored.read("sold", 3, root)
    assert [batch.folder.name for batch in batches] == ["20260101T000000Z-a", "20260102T000000Z-b"]
    assert batches[0].summary == reference
    assert pd.concat(batches[1].predictions())["key"].tolist() == [7]
    assert scored.merged(batch.summary for batch in batches).n_rows == 1_000
    assert scored.versions("sold", root) == [3]


def test_a_key_is_known_again_in_whatever_type_it_comes() -> None:
    numbers = scored.key_hashes(pd.DataFrame({"id": [7, 8], "x": 0}), ["id"])
    text = scored.key_hashes(pd.DataFrame({"id": ["7", "8.0"]}), ["id"])
    assert numbers.tolist() == text.tolist()
    assert numbers[0] != numbers[1]
