"""What a model can't read is told with the reason, and what it took as missing in training is no fault."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.misfits import misfits
from tasks.schema import Column, Schema

SCHEMA = Schema((
    Column("n", "numeric", "double"), Column("t", "time", "datetime", None, ("hour", "year")),
    Column("b", "boolean", "boolean"), Column("c", "categorical", "string"), Column("w", "text", "string"),
))  # fmt: skip


def found(**cells: list[Any]) -> tuple[dict[int, list[str]], list[str]]:
    """Of rows that fit, but for these cells; a key beside them."""
    n = len(next(iter(cells.values())))
    fitting = {"n": 1.5, "t": "2026-01-02", "b": True, "c": "x", "w": "some words", "id": 7}
    raw = pd.DataFrame({name: cells.get(name, [cell] * n) for name, cell in fitting.items()})
    made = misfits(raw, SCHEMA.apply(raw), SCHEMA, ["id"])
    return made.reasons, made.whole


@pytest.mark.parametrize("cells", [
    {"n": ["1", " ", "?", "inf", "NaN"]}, {"n": [1, True, None]}, {"n": [np.inf, np.nan]}, {"n": [True, False]},
    {"t": ["2026-01-02 03:04", None]}, {"t": [pd.Timestamp("2026-01-02"), pd.NaT]}, {"t": [None, None]},
    {"b": ["TRUE", "0", ""]}, {"c": [None, "never seen"]}, {"c": [1, 2]}, {"w": [3, None]}, {"id": ["7", "x"]},
])  # fmt: skip
def test_blanks_infinities_new_levels_and_other_spellings_fit(cells: dict[str, list[Any]]) -> None:
    assert found(**cells) == ({}, [])


def test_every_reason_of_a_row_is_told() -> None:
    reasons, whole = found(n=["1", "many"], t=["2026-01-02", "soon"], b=["true", "maybe"], id=[1, np.nan])
    assert reasons == {1: ["n='many' is no number", "t='soon' is no time", "b='maybe' is no truth value",
                           "id, the key, is missing"]}  # fmt: skip
    assert whole == []


def test_a_column_of_which_no_cell_fits_is_told_as_a_whole() -> None:
    assert found(n=["many", None])[1] == ["n holds text (such as 'many') where the model knows numbers"]
    assert found(t=[5, 6])[1] == ["t holds numbers (such as '5') where the model knows times"]
    assert found(n=[pd.Timestamp("2026-01-02")] * 2)[1]
