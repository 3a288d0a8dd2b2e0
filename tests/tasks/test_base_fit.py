"""What differs between a table and a base is refused all at once; what is new and can be taken is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bases import base_of, prepared, source

from tasks.base_fit import Takes
from tasks.model._inputs import Inputs
from tasks.records import Prepared
from tasks.refusal import Refusal

ALL = Takes(classes=True, levels=True)
TARGET = source(60, seed=1)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return base_of(source(), tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return base_of(source(classes="ab"), tmp_path_factory.mktemp("binary"))


@pytest.fixture(scope="module")
def of_numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame = source()
    return base_of(frame.assign(y=frame["size"] * 2 + 1), tmp_path_factory.mktemp("numbers"))


def refusal(frame: pd.DataFrame, place: Path, base: Path, **more: object) -> tuple[str, ...]:
    with pytest.raises(Refusal) as refused:
        prepared(frame, place, base, **more)
    return refused.value.faults


def targets(made: Prepared) -> list[float]:
    return pd.read_parquet(Path(made.folder) / "roles.parquet")["target"].tolist()


def test_a_table_of_some_of_the_classes_keeps_the_bases_classes_and_their_codes(base: Path, tmp_path: Path) -> None:
    some = TARGET[TARGET["y"] != "a"]
    made = prepared(some, tmp_path, base)
    assert (made.problem.kind, made.problem.classes) == ("multiclass", ("a", "b", "c"))
    assert targets(made) == some["y"].map({"b": 1.0, "c": 2.0}).tolist()
    assert "no row is of the class a; the base's 3 classes are kept, in its order" in made.notes


def test_new_classes_come_after_the_bases_own_where_they_are_taken(base: Path, tmp_path: Path) -> None:
    more = TARGET.assign(y=np.where(TARGET["size"] > 1, "Z", TARGET["y"]))
    made = prepared(more, tmp_path, base, takes=ALL)
    assert made.problem.classes == ("a", "b", "c", "Z")
    assert "new to the base: the class Z; they come after its own classes" in made.notes


def test_new_classes_are_refused_by_name_where_they_are_not_taken(base: Path, tmp_path: Path) -> None:
    more = TARGET.assign(y=["new", *TARGET["y"][1:]])
    (fault,) = refusal(more, tmp_path, base)
    assert "y has the class new in 1 rows, which the base doesn't know (it knows a, b, c)" in fault
    assert "strategy=pooled" in fault


def test_what_the_base_was_trained_on_is_no_target_weight_or_dropped_column_here(base: Path, tmp_path: Path) -> None:
    faults = refusal(TARGET, tmp_path, base, target="town", drop=("size",))
    assert "base: it was trained on the column town, which is source.target here; choose another base" in faults[0]
    assert "base: it was trained on the column size, which is source.drop here" in faults[1]


def test_a_binary_base_with_a_new_class_poses_a_multiclass_problem(binary: Path, tmp_path: Path) -> None:
    made = prepared(TARGET, tmp_path, binary, takes=ALL)
    assert (made.problem.kind, made.problem.classes) == ("multiclass", ("a", "b", "c"))


def test_columns_and_classes_that_differ_are_told_at_once(base: Path, tmp_path: Path) -> None:
    other = TARGET.drop(columns=["size"]).assign(more=1.5, y=["new", *TARGET["y"][1:]])
    faults = refusal(other, tmp_path, base)
    assert faults[0] == (
        "base: the table lacks 1 of the columns that it was trained on: size; give each, empty where unknown, or "
        "choose another base."
    )
    assert "the class new" in faults[1]


@pytest.mark.parametrize("asked", ["auto", "regression"])
def test_another_kind_of_problem_is_refused(base: Path, tmp_path: Path, asked: str) -> None:
    faults = refusal(TARGET.assign(y=TARGET["size"]), tmp_path, base, problem=asked)
    assert "it was trained on a multiclass problem, with 3 classes (a, b, c); y poses a regression" in faults[0]


def test_words_for_a_base_of_numbers_are_refused(of_numbers: Path, tmp_path: Path) -> None:
    assert "trained on a regression problem, of numbers; y poses a multiclass" in refusal(
        TARGET, tmp_path, of_numbers
    )[0]


def test_a_few_whole_numbers_are_numbers_for_a_base_of_numbers(of_numbers: Path, tmp_path: Path) -> None:
    made = prepared(TARGET.assign(y=[1, 2, 3] * 20), tmp_path, of_numbers)
    assert (made.problem.kind, made.problem.classes) == ("regression", ())
    assert targets(made)[:3] == [1.0, 2.0, 3.0]


def test_numbers_that_are_all_classes_of_the_base_are_classes(tmp_path: Path) -> None:
    frame = source(300)
    codes = frame.assign(y=np.arange(300) % 25)
    base = base_of(codes.assign(y=[f"{code}.5" for code in codes["y"]]), tmp_path / "b", problem="multiclass")
    made = prepared(codes.head(60).assign(y=codes["y"].head(60) + 0.5), tmp_path, base)
    assert made.problem.kind == "multiclass"
    assert len(made.problem.classes) == 25


def test_another_positive_class_than_the_bases_is_refused(binary: Path, tmp_path: Path) -> None:
    two = TARGET[TARGET["y"] != "c"]
    assert prepared(two, tmp_path / "b", binary, positive="b").problem.classes == ("a", "b")
    assert "the base's positive class is b" in refusal(two, tmp_path / "a", binary, positive="a")[0]


@pytest.mark.parametrize(("takes", "handled"), [(ALL, "they are added"), (Takes(), "they are handled as unseen")])
def test_new_levels_are_counted_by_column_and_it_is_said_what_becomes_of_them(
    base: Path, tmp_path: Path, takes: Takes, handled: str
) -> None:
    towns = ["Aachen", "Bonn", *TARGET["town"][2:]]
    made = prepared(TARGET.assign(town=towns), tmp_path, base, takes=takes)
    assert f"town: 2 levels that the base hasn't seen (such as 'Aachen') in 2 rows; {handled}" in made.notes


def test_a_level_that_a_net_was_taught_too_rarely_is_not_said_to_be_unseen(base: Path, tmp_path: Path) -> None:
    net = Path(shutil.copytree(base, tmp_path / "net"))
    taught = TARGET[["size", "town"]].assign(town=["Aachen", *TARGET["town"][1:]])
    Inputs.learn(taught, "standard", min_rows=5).save(net)
    made = prepared(TARGET.assign(town=["Aachen", "Bonn", *TARGET["town"][2:]]), tmp_path, net)
    assert any(
        note.startswith("town: 2 levels that the base hasn't seen, or in too few rows to tell them apart (such as 'Aac")
        for note in made.notes
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (1, "1 column that the base doesn't know is left out: new0"),
        (3, "3 columns that the base doesn't know are left out: new0, new1, new2"),
        (7, "7 columns that the base doesn't know are left out: new0, new1, new2, new3, new4 and 2 more"),
    ],
)
def test_columns_that_the_base_does_not_know_are_said_whatever_the_strategy_takes(
    base: Path, tmp_path: Path, more: int, said: str
) -> None:
    wide = TARGET.assign(**{f"new{n}": TARGET["size"] * n for n in range(more)})
    for takes in (ALL, Takes()):
        assert said in prepared(wide, tmp_path, base, takes=takes).notes
    assert not any("doesn't know" in note for note in prepared(TARGET, tmp_path, base).notes)


def test_a_column_with_a_role_is_not_said_to_be_left_out(base: Path, tmp_path: Path) -> None:
    wide = TARGET.assign(key=range(60), group=np.arange(60) % 9, day=range(60), weight=1, drop=0)
    roles = {"key": ("key",), "group": "group", "time": "day", "weight": "weight", "drop": ("drop",)}
    assert not any("left out" in note for note in prepared(wide, tmp_path, base, **roles).notes)


def test_a_column_that_is_asked_to_be_read_otherwise_than_the_base_reads_it_is_refused_by_its_key(
    base: Path, tmp_path: Path
) -> None:
    wide = TARGET.assign(more=1.5)
    faults = refusal(wide, tmp_path / "a", base, categorical=("size", "more"), numeric=("town",), text=("town",))
    assert faults == (
        "source.numeric=town: the base was trained on it as categorical, and it is read so; leave it out of "
        "source.numeric, or choose another base.",
        "source.categorical=size: the base was trained on it as numeric, and it is read so; leave it out of "
        "source.categorical, or choose another base.",
        "source.text=town: the base was trained on it as categorical, and it is read so; leave it out of source.text, "
        "or choose another base.",
    )
    assert prepared(TARGET, tmp_path / "b", base, categorical=("town",), numeric=("size",)).n_features == 2


def test_a_column_that_the_base_can_not_read_is_refused_and_some_unreadable_values_are_said(
    base: Path, tmp_path: Path
) -> None:
    none = TARGET.assign(size=[f"{value} cm" for value in TARGET["size"]])
    assert "it reads size as numeric, and none of the table's values can be read so (such as" in refusal(
        none, tmp_path / "a", base
    )[0]
    few = TARGET.assign(size=["tall", "small", *TARGET["size"][2:]])
    notes = prepared(few, tmp_path / "b", base).notes
    assert any(note.startswith("size: 2 values such as 'tall' count as missing, for the base reads") for note in notes)


def test_a_constant_target_is_refused_beside_missing_columns(base: Path, tmp_path: Path) -> None:
    faults = refusal(TARGET.drop(columns=["town"]).assign(y="a", more=1.5), tmp_path, base)
    assert "lacks 1 of the columns that it was trained on: town" in faults[0]
    assert "y is constant" in faults[1]
