"""Raw rows become the same typed features wherever they come from, and rows keep their hashes."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.find_out import Found, find_out
from tasks.records import Roles
from tasks.refusal import Refusal
from tasks.row_hash import row_hashes
from tasks.schema import Column, Schema, check_roles
from tasks.source import load
from tasks.source.file import File

ROLES = Roles("y", (), (), (), (), (), None, None, None, None, False)
N = 40
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "whole": [*range(0, 2 * N - 4, 2), None, None],
        "number": RNG.normal(size=N),
        "level": RNG.choice(["u", "v", None], N),
        "truth": RNG.random(N) < 0.5,
        "day": pd.date_range("2020-01-31", periods=N, freq="D"),
        "y": [0, 1] * (N // 2),
    }
)
SCHEMA = Schema(
    (
        Column("number", "numeric", "double"),
        Column("truth", "boolean", "boolean"),
        Column("level", "categorical", "string"),
        Column("day", "time", "string", "%d.%m.%Y", ("year", "day")),
    )
)


def found(**columns: Any) -> Found:
    return find_out(pd.DataFrame(columns).assign(y=0), ROLES)


def kinds(found: Found) -> dict[str, str]:
    return {column.name: column.kind for column in found.schema.columns}


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_features_and_hashes_are_the_same_from_every_kind_of_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"t.{kind}"
    if kind == "csv":
        TABLE.to_csv(path, index=False)
    elif kind == "parquet":
        TABLE.to_parquet(path)
    else:
        TABLE.to_json(path, orient="records", lines=True, date_format="iso", double_precision=15)
        path.write_text(path.read_text().replace("T00:00:00.000", ""))
    raw = load(File(str(path), None, None, None)).to_pandas()
    expected, typed = find_out(TABLE, ROLES).schema.apply(TABLE), find_out(raw, ROLES).schema.apply(raw)
    pd.testing.assert_frame_equal(typed, expected, rtol=1e-12 if kind == "jsonl" else 0)
    columns = [name for name in TABLE if name != "number" or kind != "jsonl"]
    assert (row_hashes(raw[columns], 0) == row_hashes(TABLE[columns], 0)).all()


@pytest.mark.parametrize("seed", range(3))
def test_a_row_keeps_its_hash_when_the_table_grows_is_shuffled_and_gains_a_column(seed: int) -> None:
    small = pd.DataFrame({"a": [1, 2, 3], "b": ["1", "x", " x y"], "c": ["true", "False", ""]})
    more = pd.DataFrame({"a": [None, 7.5], "b": ["q", None], "c": [None, "z"], "new": [1.0, 2.0]})
    grown = pd.concat([small, more]).sample(frac=1, random_state=seed)[["new", "c", "b", "a"]]
    was = row_hashes(small, 5)
    now = pd.Series(row_hashes(grown, 5), index=grown["a"].to_numpy())
    assert list(was) == [now[1], now[2], now[3]]
    assert len(set(was)) == 3
    assert set(was).isdisjoint(row_hashes(small, 6))


def test_values_that_swap_columns_give_another_hash() -> None:
    first, second = row_hashes(pd.DataFrame({"a": [1, 2], "b": [2, 1]}), 0)
    assert first != second


def test_hashes_are_spread_evenly() -> None:
    uniform = (row_hashes(pd.DataFrame({"a": np.arange(20_000)}), 0) >> np.uint64(11)) / 2.0**53
    assert abs((uniform < 0.2).mean() - 0.2) < 3 * (0.2 * 0.8 / 20_000) ** 0.5


@pytest.mark.parametrize("truth", [True, np.True_, "True", " true", 1, 1.0, "1"])
@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, "", "NA", " "])
def test_raw_rows_are_read_in_whatever_type_they_come(truth: Any, missing: Any) -> None:
    raw = pd.DataFrame({"number": [5, missing], "truth": [truth, missing], "level": ["a", missing]}, dtype=object)
    typed = SCHEMA.apply(raw.assign(day=["31.12.2021", missing], extra=0))
    assert typed.iloc[0].tolist() == [5.0, 1.0, "a", 2021.0, 31.0]
    assert typed.iloc[1].isna().all()


@pytest.mark.parametrize("number", [5, 5.0, "5", " 5.0 ", np.int8(5), np.float32(5)])
def test_a_number_and_a_level_are_one_in_every_type(number: Any) -> None:
    raw = pd.DataFrame({"number": [number, None], "truth": None, "level": [number, None], "day": None}, dtype=object)
    typed = SCHEMA.apply(raw)
    assert typed["number"].iloc[0] == 5.0
    assert typed["level"].iloc[0] == ("5" if not isinstance(number, str) else number.strip())


@pytest.mark.parametrize(
    "day", ["31.12.2021", date(2021, 12, 31), datetime(2021, 12, 31, 5), pd.Timestamp("2021-12-31 02:00+02:00")]
)
def test_dates_are_read_as_text_and_as_python_s_own(day: Any) -> None:
    raw = pd.DataFrame({"number": 1, "truth": True, "level": "a", "day": [day, None]}, dtype=object)
    assert SCHEMA.apply(raw)[["day (year)", "day (day)"]].iloc[0].tolist() == [2021.0, 31.0]


def test_times_with_a_zone_are_read_in_utc() -> None:
    result = found(t=pd.date_range("2021-12-31 23:00", periods=3, freq="h", tz="America/New_York"))
    assert result.notes == ["t is a time; its parts in UTC are used"]
    raw = pd.DataFrame({"t": pd.to_datetime(["2022-01-01 04:30+00:00"])})
    assert result.schema.apply(raw)["t (hour)"].iloc[0] == 4.0


def test_missing_columns_are_refused_by_name_and_more_columns_are_ignored() -> None:
    with pytest.raises(Refusal, match="lack 2 of the columns that the model was trained on: truth, day; give each"):
        SCHEMA.apply(pd.DataFrame({"number": [1], "level": ["a"], "more": [1]}))


def test_two_columns_of_one_name_are_refused() -> None:
    raw = pd.DataFrame([[1, 2, True, "a", None]], columns=["number", "number", "truth", "level", "day"])
    with pytest.raises(Refusal, match="several columns of one name: number"):
        SCHEMA.apply(raw)


def test_numbers_as_names_of_columns_are_found() -> None:
    typed = Schema((Column("0", "numeric", "double"),)).apply(pd.DataFrame({0: [1, 2]}))
    assert typed["0"].tolist() == [1.0, 2.0]


def test_a_schema_survives_json() -> None:
    assert Schema.from_json(SCHEMA.to_json()) == SCHEMA


def test_findings_do_not_depend_on_the_order_of_rows() -> None:
    raw = TABLE.assign(mixed=[*RNG.integers(0, 9, N - 5).astype(str), *"wwxzz"], code=[f"k{n}" for n in range(N)])
    for seed in range(3):
        assert find_out(raw, ROLES) == find_out(raw.sample(frac=1, random_state=seed), ROLES)


@pytest.mark.parametrize(
    ("values", "kind", "note"),
    [
        ([1.5, 2.5] * 20, "numeric", None),
        (["1.5", "2.5"] * 20, "numeric", "c holds numbers as text and is read as numbers"),
        (["1.5", " "] * 20, None, "c is constant and is left out"),
        (["1.5", "3", " ", "2.5"] * 10, "numeric", "c holds numbers as text; 10 blanks count as missing"),
        (["1.5"] * 100 + ["2"] * 99 + ["oops"], "numeric", "1 that are none (such as 'oops') count as missing"),
        ([1, "a", 2] * 14, "categorical", "c mixes numbers and text (14 such as 'a')"),
        (["a", "b"] * 20, "categorical", None),
        (["True", "False"] * 20, "boolean", "c is read as true or false"),
        ([True, None, False] * 14, "boolean", "c is read as true or false"),
        (["2020-01-01", "2021-03-02"] * 20, "time", "c is read as dates (ISO8601)"),
        (["01/31/2020", "02/11/2021"] * 20, "time", "c is read as dates (%m/%d/%Y)"),
        ([pd.Timedelta(hours=1), pd.Timedelta(hours=2)] * 20, "numeric", "c is a length of time"),
        ([f"id{n}" for n in range(40)], None, "c looks like an identifier (40 different values)"),
        (list(range(40)), None, "c counts the rows and is left out; source.numeric=[c] keeps it"),
        (list(range(0, 60, 2)) + list(range(1, 21, 2)), None, "c counts the rows"),
        ([n * n for n in range(40)], "numeric", None),
        ([f"this is sentence number {n} of many" for n in range(40)], None, "c is prose"),
        (['{"a": 1}', '{"a": 2}'] * 20, "categorical", "c holds nested JSON"),
        ([np.inf, 1.0] * 20, "numeric", "c has infinities; they count as missing"),
        (["inf", "1.0"] * 20, "numeric", "c holds numbers as text; infinities count as missing"),
        ([3] * 40, None, "c is constant and is left out"),
        ([None] * 40, None, "c is empty and is left out"),
        ([""] * 40, None, "c is empty and is left out"),
    ],
)
def test_what_a_column_holds_is_found_out_and_said(values: list[Any], kind: str | None, note: str | None) -> None:
    result = found(c=values)
    assert kinds(result).get("c") == kind
    assert (not result.notes) if note is None else any(note in said for said in result.notes), result.notes


def test_a_role_wins_over_what_is_found_out() -> None:
    raw = pd.DataFrame({"a": [f"id{n}" for n in range(40)], "b": range(40), "c": [f"{n % 3}" for n in range(40)]})
    roles = Roles("y", (), ("b",), ("a", "c"), (), (), None, None, None, None, False)
    assert kinds(find_out(raw, roles)) == {"a": "categorical", "b": "numeric", "c": "categorical"}


def test_text_is_a_feature_only_where_a_family_reads_it() -> None:
    raw = pd.DataFrame({
        "review": [f"this is sentence number {n} of many" for n in range(40)],
        "title": [f"no {n}" for n in range(40)], "empty": [None] * 40, "y": 0,
    })  # fmt: skip
    roles = replace(ROLES, text=("title", "empty"))
    without, within = find_out(raw, roles), find_out(raw, roles, reads_text=True)
    assert without.schema.columns == ()
    assert kinds(within) == {"review": "text", "title": "text"}
    assert within.schema.text == ("review", "title")
    assert "empty is empty and is left out" in within.notes
    assert any("review is prose and is read as text; source.categorical=[review]" in note for note in within.notes)
    typed = within.schema.apply(raw.assign(review=[None, " x ", *raw["review"][2:]]))
    assert typed["review"].isna().tolist()[:2] == [True, False]
    assert typed["review"].iloc[1] == "x"
    assert Schema.from_json(within.schema.to_json()) == within.schema


def test_an_identifier_may_be_read_as_text() -> None:
    (note,) = find_out(pd.DataFrame({"a": [f"id{n}" for n in range(40)]}), ROLES, reads_text=True).notes
    assert note.endswith("source.text=[a] reads it as text")


def test_the_time_that_orders_rows_gives_no_year() -> None:
    roles = Roles("y", (), (), (), (), (), None, "day", None, None, False)
    years = TABLE.assign(day=pd.date_range("2020-01-31", periods=N, freq="31D"))
    (column,) = [column for column in find_out(years, roles).schema.columns if column.name == "day"]
    assert set(column.parts) == {"month", "day", "weekday"}


def test_roles_that_name_no_column_are_all_told_with_the_nearest_name() -> None:
    roles = Roles("zz", ("q",), (), (), (), (), "levle", None, None, None, False)
    faults = check_roles(TABLE.columns, roles)
    assert faults[0] == "source.target=zz: the table has no such column."
    assert faults[1] == "source.group=levle: the table has no such column; did you mean 'level'?"
    assert faults[2].startswith("source.drop=q")


def test_a_thousand_constant_columns_are_one_line() -> None:
    result = found(**{f"c{n}": [1, 1] for n in range(1_000)})
    assert result.notes == ["c0, c1, c2, c3, c4, c5 and 994 more are constant and are left out"]


def test_csv_and_frame_hash_alike_with_missing_whole_numbers() -> None:
    text = io.StringIO("a\n5\n\n7\n")
    read = pd.read_csv(text, skip_blank_lines=False)
    assert (row_hashes(read, 0) == row_hashes(pd.DataFrame({"a": ["5", None, 7]}), 0)).all()
