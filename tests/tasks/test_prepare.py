"""Prepare checks a table whole, writes it by its content, and tells rows apart by what they hold."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks import parquet, spool
from tasks.prepare import prepare
from tasks.records import Prepared, Roles
from tasks.refusal import Refusal
from tasks.source.file import File

ROLES = Roles("y", (), (), (), (), (), None, None, None, None, False)
N = 60
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "id": range(1_000, 1_000 + N),
        "number": RNG.normal(size=N).round(3),
        "level": RNG.choice(["u", "v", "w"], N),
        "weight": RNG.integers(1, 5, N),
        "group": RNG.integers(0, 9, N),
        "day": pd.date_range("2021-01-01", periods=N, freq="D").astype(str),
        "y": ["no", "yes"] * (N // 2),
    }
)


def file(frame: pd.DataFrame, path: Path) -> File:
    frame.to_csv(path, index=False)
    return File(str(path), None, None, None)


def prepared(frame: pd.DataFrame, root: Path, *, test: pd.DataFrame | None = None, **roles: Any) -> Prepared:
    root.mkdir(exist_ok=True)
    held = None if test is None else file(test, root / "test.csv")
    asked = replace(ROLES, **roles)
    return prepare.fn(file(frame, root / "t.csv"), asked, "auto", held, 0, None, str(root / "data"))


def refusal(frame: pd.DataFrame, root: Path, **asked: Any) -> tuple[str, ...]:
    with pytest.raises(Refusal) as caught:
        prepared(frame, root, **asked)
    return caught.value.faults


def hashes(made: Prepared) -> list[int]:
    return pd.read_parquet(Path(made.folder) / "roles.parquet")["hash"].tolist()


def test_the_same_table_has_the_same_digest_and_another_value_another(tmp_path: Path) -> None:
    first, again = prepared(TABLE, tmp_path / "a"), prepared(TABLE, tmp_path / "b")
    changed = prepared(TABLE.assign(number=[9.0, *TABLE["number"][1:]]), tmp_path / "c")
    renamed = prepared(TABLE.rename(columns={"number": "figure"}), tmp_path / "d")
    assert first.digest == again.digest
    assert len({first.digest, changed.digest, renamed.digest}) == 3


def test_no_row_moves_when_the_table_grows_or_is_shuffled(tmp_path: Path) -> None:
    small = TABLE.assign(constant=1, whole=range(0, 4 * N, 4))
    more = small.tail(20).assign(id=range(2_000, 2_020), number=7.5, constant=2, whole=None, level="new")
    grown = pd.concat([small, more]).sample(frac=1, random_state=1).reset_index(drop=True)
    was = dict(zip(small["day"], hashes(prepared(small, tmp_path / "a")), strict=True))
    now = hashes(prepared(grown, tmp_path / "b"))
    kept = [(day, row) for day, row, n in zip(grown["day"], now, grown["number"], strict=True) if n != 7.5]
    assert dict(kept) == was


def test_copies_under_another_number_are_told_and_stay_together_when_the_number_is_dropped(tmp_path: Path) -> None:
    copied = pd.concat([TABLE, TABLE.head(10)]).assign(id=range(N + 10))
    made = prepared(copied, tmp_path)
    assert any("10 rows repeat another row; they may stand on both" in note for note in made.notes)
    dropped = prepared(copied, tmp_path / "dropped", drop=("id",))
    assert hashes(dropped)[:10] == hashes(dropped)[N:]
    assert any("10 rows repeat another row; they stay on one side" in note for note in dropped.notes)
    by_key = prepared(copied, tmp_path / "key", key=("id",))
    assert any("10 rows repeat another row; they may stand on both" in note for note in by_key.notes)


def test_target_and_weight_do_not_decide_where_a_row_belongs(tmp_path: Path) -> None:
    other = TABLE.assign(y=TABLE["y"].iloc[::-1].to_numpy(), weight=1)
    assert hashes(prepared(TABLE, tmp_path / "a", weight="weight")) == hashes(
        prepared(other, tmp_path / "b", weight="weight")
    )


def test_a_key_and_a_group_decide_where_a_row_belongs(tmp_path: Path) -> None:
    changed = TABLE.assign(number=0.5, level=TABLE["level"].iloc[::-1].to_numpy())
    by_key = [
        hashes(prepared(t, tmp_path / n, key=("id",))) for n, t in (("a", TABLE), ("b", changed.assign(x=TABLE.number)))
    ]
    assert by_key[0] == by_key[1]
    assert len(set(by_key[0])) == N
    by_group = pd.Series(hashes(prepared(TABLE, tmp_path / "c", group="group"))).groupby(TABLE["group"])
    assert (by_group.nunique() == 1).all()


def test_rows_without_a_group_are_said(tmp_path: Path) -> None:
    made = prepared(TABLE.assign(group=TABLE["group"].where(TABLE.index > 2)), tmp_path, group="group")
    assert "3 rows have no source.group=group; they count as one group" in made.notes


def test_times_become_numbers_in_their_order(tmp_path: Path) -> None:
    far = TABLE.assign(day=[*TABLE["day"][:-1], "3021-01-01"])
    for n, (table, name) in enumerate([(far, "day"), (TABLE, "id"), (TABLE.assign(id=TABLE["id"].astype(str)), "id")]):
        made = prepared(table, tmp_path / str(n), time=name)
        assert pd.read_parquet(Path(made.folder) / "roles.parquet")["time"].is_monotonic_increasing


def test_an_example_of_raw_rows_the_schema_and_all_findings_lie_beside_the_table(tmp_path: Path) -> None:
    folder = Path(prepared(TABLE, tmp_path).folder)
    assert len(json.loads((folder / "example.json").read_text())["data"]) == 5
    assert [column["name"] for column in json.loads((folder / "schema.json").read_text())][:2] == ["number", "level"]
    assert any("id counts the rows" in note for note in json.loads((folder / "quality.json").read_text())["notes"])


def test_more_findings_than_a_screen_holds_are_cut_short(tmp_path: Path) -> None:
    wide = TABLE.assign(**{f"day{n}": TABLE["day"] for n in range(40)})
    notes = prepared(wide, tmp_path).notes
    assert len(notes) == 26
    assert "more such findings; all are in quality.json" in notes[-1]


@pytest.mark.parametrize(
    ("frame", "roles", "said"),
    [
        (TABLE, {"target": None}, "source.target is needed: the column to predict, one of id, number"),
        (TABLE, {"target": ""}, "source.target is needed: the column to predict, one of id, number"),
        (TABLE, {"weight": "level"}, "source.weight=level: weights must be numbers of at least 0, and 60 of 60"),
        (TABLE.assign(weight=0), {"weight": "weight"}, "source.weight=weight: every weight is 0"),
        (TABLE.assign(weight=-1), {"weight": "weight"}, "60 of 60"),
        (TABLE.assign(day=[None, *TABLE["day"][1:]]), {"time": "day"}, "source.time=day: 1 of 60 values can't be read"),
    ],
)
def test_roles_that_do_not_fit_are_refused(
    tmp_path: Path, frame: pd.DataFrame, roles: dict[str, Any], said: str
) -> None:
    assert said in refusal(frame, tmp_path, **roles)[0]


def test_a_published_split_needs_no_column_that_only_training_uses(tmp_path: Path) -> None:
    held = TABLE.tail(10).drop(columns=["id", "day"])
    made = prepared(TABLE.head(50).drop(columns="day"), tmp_path, test=held, drop=("id",))
    assert len(pd.read_parquet(Path(made.folder) / "test_features.parquet")) == 10
    assert not any("are in the training table too" in note for note in made.notes)


def test_times_of_a_published_split_are_kept(tmp_path: Path) -> None:
    made = prepared(TABLE, tmp_path / "a", test=TABLE.head(5), time="day")
    roles = {name: pd.read_parquet(Path(made.folder) / f"{name}.parquet") for name in ("roles", "test_roles")}
    assert roles["test_roles"]["time"].tolist() == roles["roles"]["time"].head(5).tolist()


def test_rows_of_a_published_split_without_a_target_are_left_out_when_asked(tmp_path: Path) -> None:
    held = TABLE.tail(10).assign(y=["no", None] * 5)
    assert "holdout.path: 5 of 10 values of y are missing" in refusal(TABLE, tmp_path / "a", test=held)[0]
    made = prepared(TABLE, tmp_path / "b", test=held, drop_missing_target=True)
    assert len(pd.read_parquet(Path(made.folder) / "test_roles.parquet")) == 5
    assert "5 rows of holdout.path without a target left out" in made.notes


def test_faults_of_a_published_split_name_it(tmp_path: Path) -> None:
    assert refusal(TABLE, tmp_path, test=TABLE.drop(columns="y"))[0].startswith(
        "holdout.path: source.target=y: the table"
    )


def test_times_with_a_zone_stand_in_the_example_without_it(tmp_path: Path) -> None:
    TABLE.assign(day=pd.to_datetime(TABLE["day"], utc=True)).to_parquet(tmp_path / "t.parquet")
    source = File(str(tmp_path / "t.parquet"), None, None, None)
    folder = Path(prepare.fn(source, ROLES, "auto", None, 0, None, str(tmp_path / "data")).folder)
    rows = json.loads((folder / "example.json").read_text())
    assert rows["data"][0][rows["columns"].index("day")].startswith("2021-01-01T00:00:00")
    assert not str(rows["data"]).count("Z'")


def test_a_table_on_the_disk_is_prepared_as_one_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With rows that have no target, a published split, and features in many groups of rows."""
    table, test = TABLE.assign(y=[None, *TABLE["y"][1:]]), TABLE.tail(10).assign(number=0.5)
    asked = {"test": test, "drop_missing_target": True, "weight": "weight", "group": "group", "time": "day"}
    small = prepared(table, tmp_path / "a", **asked)
    monkeypatch.setattr(spool, "N_BYTES_IN_MEMORY", 0)
    monkeypatch.setattr(parquet, "ROWS_IN_GROUP", 7)
    large = prepared(table, tmp_path / "b", **asked)
    assert replace(large, folder="") == replace(small, folder="")
    for file in ("features", "roles", "test_features", "test_roles"):
        read = [pd.read_parquet(Path(made.folder) / f"{file}.parquet") for made in (small, large)]
        pd.testing.assert_frame_equal(*read)
    assert (Path(large.folder) / "example.json").read_text() == (Path(small.folder) / "example.json").read_text()


def test_features_take_half_of_the_memory_where_no_digit_is_lost(tmp_path: Path) -> None:
    made = prepared(TABLE.assign(half=np.arange(N) / 4), tmp_path)
    features = pd.read_parquet(Path(made.folder) / "features.parquet")
    assert (features["half"].dtype, features["number"].dtype) == (np.float32, np.float64)
    assert features["number"].tolist() == TABLE["number"].tolist()
