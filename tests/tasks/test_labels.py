"""Labels: late, twice, contradicting and unknown ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.labels import Labels, coded
from tasks.records import Problem
from tasks.refusal import Refusal
from tasks.scored import key_hashes
from tasks.source.file import File


def read(folder: Path, table: pd.DataFrame, key: tuple[str, ...] = ("id",)) -> Labels:
    table.to_csv(folder / "labels.csv", index=False)
    return Labels.read(File(str(folder / "labels.csv"), None, None, None), key, "sold")


def test_a_label_counts_once_and_contradicting_ones_never(tmp_path: Path) -> None:
    came = pd.DataFrame({"id": [1, 2, 2, 3, 3, 4, None], "sold": ["yes", "no", "no", "yes", "no", None, "yes"]})
    labels = read(tmp_path, came)
    assert len(labels.by_key) == 2
    told = " ".join(labels.notes)
    assert "1 labels came twice" in told
    assert "1 keys have labels that contradict" in told
    assert "2 labels without a key or a value" in told


def test_labels_find_their_rows_whatever_type_the_key_has_and_late_ones_are_missing(tmp_path: Path) -> None:
    labels = read(tmp_path, pd.DataFrame({"id": [1, 2], "day": ["2026-01-01", "2026-01-02"], "sold": ["a", "b"]}),
                  ("id", "day"))  # fmt: skip
    rows = pd.DataFrame({"day": pd.to_datetime(["2026-01-02", "2026-01-01", "2026-01-01"]), "id": ["2", "1", "2"]})
    found = labels.of(key_hashes(rows, ("id", "day")))
    assert found.tolist()[:2] == ["b", "a"]
    assert found.isna().tolist() == [False, False, True]


def test_labels_of_a_truth_are_known_in_every_writing() -> None:
    truth = Problem("binary", "sold", (False, True))
    for written in ([True, False], ["true", "FALSE"], [1, 0], ["1", "0"]):
        y, n_unknown = coded(pd.Series(written), truth)
        assert (y.tolist(), n_unknown) == ([1.0, 0.0], 0)
    y, n_unknown = coded(pd.Series([2, None, 1]), truth)
    np.testing.assert_equal(y, [np.nan, np.nan, 1.0])
    assert n_unknown == 1


@pytest.mark.parametrize(("content", "said"), [
    (None, "no labels have come yet: labels.path="), ("id,sold\n", "there is a header line but no rows"),
    ("", "the file is empty"),
])  # fmt: skip
def test_where_none_have_come_yet_there_are_none_which_is_noted(
    tmp_path: Path, content: str | None, said: str
) -> None:
    path = tmp_path / "labels.csv"
    if content is not None:
        path.write_text(content)
    labels = Labels.read(File(str(path), None, None, None), ("id",), "sold")
    assert said in labels.notes[0]
    assert labels.of(key_hashes(pd.DataFrame({"id": [1, 2]}), ("id",))).isna().all()


def test_a_file_that_is_none_is_refused_by_the_key_of_labels(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"labels\.path=.* is a folder; name a file in it"):
        Labels.read(File(str(tmp_path), None, None, None), ("id",), "sold")


def test_a_class_that_the_model_does_not_know_is_counted_and_left_out() -> None:
    problem = Problem("binary", "sold", (0, 1))
    y, unknown = coded(pd.Series(["1", "0", "2", None], dtype="str"), problem)
    assert unknown == 1
    assert np.array_equal(y, [1, 0, np.nan, np.nan], equal_nan=True)
    numbers, unknown = coded(pd.Series(["1.5", "x", None], dtype="str"), Problem("regression", "sold", ()))
    assert unknown == 1
    assert np.array_equal(numbers, [1.5, np.nan, np.nan], equal_nan=True)


def test_a_table_without_the_key_is_refused_with_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="its table lacks id; did you mean 'idd'"):
        read(tmp_path, pd.DataFrame({"idd": [1], "sold": ["a"]}))
