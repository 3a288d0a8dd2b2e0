"""Rows that the user gives for a base that keeps none lie in a copy of it, divided by what they hold."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bases import ROLES, base_of, file, prepared, source
from sklearn.model_selection import KFold

from tasks import base_folder, provenance, seen
from tasks.base_fit import problem_of
from tasks.given_rows import to_train_on, with_rows
from tasks.records import Problem
from tasks.refusal import Refusal
from tasks.seen import Today
from tasks.source_rows import PARTS, SourceRows, has_source_rows, source_rows
from tasks.split import split

SOURCE = source(400, seed=3)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("bare")
    return base_folder.stored(base_of(source(), place, rows=False), "b", place / "bases")


def given(base: Path, frame: pd.DataFrame, place: Path) -> Path:
    return with_rows(base, file(frame, place / "rows.csv"), ROLES, 0, base.parent)


def parts(folder: Path) -> dict[str, SourceRows]:
    return {part: source_rows(folder, part, problem_of(folder)) for part in PARTS}


def test_each_part_has_its_share_and_all_rows_are_in_one(base: Path, tmp_path: Path) -> None:
    folder = given(base, SOURCE, tmp_path)
    found = parts(folder)
    assert sum(len(one.y) for one in found.values()) == 400
    assert [round(len(one.y) / 400, 1) for one in found.values()] == [0.8, 0.1, 0.1]
    y = pd.Series(np.array(list("abc"))[found["train"].y.astype(int)])
    expected = SOURCE.set_index("size")["y"].loc[found["train"].X["size"]].reset_index(drop=True)
    pd.testing.assert_series_equal(y, expected, check_names=False, check_dtype=False)


def test_equal_rows_stay_together_and_no_row_moves_when_the_file_grows(base: Path, tmp_path: Path) -> None:
    twice = pd.concat([SOURCE, SOURCE.assign(y="a")])
    found = parts(given(base, twice, tmp_path))
    sizes = {part: set(one.X["size"]) for part, one in found.items()}
    assert not sizes["train"] & (sizes["valid"] | sizes["holdout"])
    before = parts(given(base, SOURCE.head(300), tmp_path / "fewer"))
    assert all(set(before[part].X["size"]) <= sizes[part] for part in PARTS)


def test_the_folder_is_a_base_of_the_same_model_that_says_where_its_rows_are_from(base: Path, tmp_path: Path) -> None:
    folder = given(base, SOURCE, tmp_path)
    assert given(base, SOURCE, tmp_path) == folder
    assert not has_source_rows(base)
    base_folder.check(folder, "b", ())
    known, was = provenance.read(folder), provenance.read(base)
    assert known is not None
    assert was is not None
    assert known.source["given"] == "rows"
    assert known.sha256 == was.sha256
    same = [provenance.identity(one, with_source=False) for one in (folder, base)]
    assert same[0] == same[1]
    assert provenance.identity(folder, with_source=True) != same[0]


def test_what_is_sealed_in_the_table_is_not_trained_on_and_the_rest_counts_as_seen(base: Path, tmp_path: Path) -> None:
    made = prepared(SOURCE.head(200), tmp_path / "table", base)
    divided_ = split.fn(made, KFold(3), "kfold", 0.2, str(tmp_path / "data"))
    divided = Path(divided_.folder)
    sealed = pd.read_parquet(divided / "holdout_features.parquet")["size"].to_numpy()
    before = given(base, SOURCE, tmp_path)
    assert set(sealed) <= set(source_rows(before, "train", problem_of(before)).X["size"])
    folder = to_train_on(before, divided, base.parent)
    base_folder.check(folder, "b", ())
    left = source_rows(folder, "train", problem_of(folder)).X
    assert set(left["size"]) == set(source_rows(before, "train", problem_of(before)).X["size"]) - set(sealed)
    assert all(len(parts(folder)[part].y) == len(parts(before)[part].y) for part in ("valid", "holdout"))
    known = provenance.read(folder)
    assert known is not None
    assert known.source["sealed"] == len(sealed)
    was = provenance.read(base)
    assert was is not None
    assert known.sha256 == was.sha256
    kept = tmp_path / "model"
    kept.mkdir()
    seen.write(kept, made, divided_, 0, folder)
    mask = Today(Path(made.folder), divided, 0).seen_by(seen.read(kept))
    assert mask is not None
    assert not mask.any()
    (own, *others) = seen.read(kept)
    assert sum(len(table.typed) for table in (own, *others)) >= len(left)


def test_rows_that_are_all_sealed_are_refused(base: Path, tmp_path: Path) -> None:
    made = prepared(SOURCE, tmp_path / "table", base)
    divided = Path(split.fn(made, KFold(3), "kfold", 0.2, str(tmp_path / "data")).folder)
    before = given(base, SOURCE, tmp_path)
    X = source_rows(before, "train", problem_of(before)).X
    shutil.copytree(divided, tmp_path / "split")
    X.to_parquet(tmp_path / "split" / "holdout_features.parquet")
    with pytest.raises(Refusal, match="source_data: all of its rows are sealed rows of the table"):
        to_train_on(before, tmp_path / "split", base.parent)


def test_codes_are_those_of_a_problem_with_more_classes(base: Path, tmp_path: Path) -> None:
    folder = given(base, SOURCE, tmp_path)
    other = Problem("multiclass", "y", ("c", "new", "a", "b"))
    own, mapped = parts(folder)["valid"].y, source_rows(folder, "valid", other).y
    assert mapped.tolist() == np.array([2.0, 3.0, 0.0])[own.astype(int)].tolist()


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (SOURCE.drop(columns="size").assign(more=1), "source_data: the rows lack 1 of the columns"),
        (SOURCE.drop(columns="y"), "source_data: source.target=y: the table has no such column"),
        (SOURCE.assign(y="zz"), "source_data: 1 of its classes are not known to the base: zz"),
        (SOURCE.head(2), "source_data: of its 2 rows none is left for"),
    ],
)
def test_rows_that_do_not_fit_the_base_are_refused(
    base: Path, tmp_path: Path, frame: pd.DataFrame, said: str
) -> None:
    with pytest.raises(Refusal, match=said):
        given(base, frame, tmp_path)
    assert not list(base.parent.glob(".*"))


def test_a_base_that_keeps_no_rows_says_so(base: Path) -> None:
    assert json.loads((base / "base.json").read_text())["source"]["kept"] == {}
    with pytest.raises(Refusal, match="source_data=FILE"):
        source_rows(base, "train", problem_of(base))


def test_texts_of_a_general_kind_are_divided_like_a_table_s_rows_and_empty_ones_left_out(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from tiny_generator import questions, tiny_generator  # which needs an extra

    bases = tmp_path / "bases"
    writer = base_folder.stored(tiny_generator(tmp_path / "writer"), "w", bases)
    roles = replace(ROLES, target="response", prompt="prompt", response="response")
    table = questions("animals", 200)[["prompt", "response"]]
    table.loc[3, "response"] = " "
    folder = with_rows(writer, file(table, tmp_path / "pairs.csv"), roles, 0, bases)
    problem = Problem("generation", "response", ())
    found = {part: source_rows(folder, part, problem) for part in PARTS}
    assert sum(len(one.y) for one in found.values()) == 199
    assert list(found["valid"].X) == ["prompt", "response"]
    plain = with_rows(writer, file(table[["response"]], tmp_path / "plain.csv"), roles, 0, bases)
    assert list(source_rows(plain, "holdout", problem).X) == ["response"]
    with pytest.raises(Refusal, match=r"source_data: its texts must be in a column response, as in the table"):
        with_rows(writer, file(table[["prompt"]], tmp_path / "no.csv"), roles, 0, bases)
