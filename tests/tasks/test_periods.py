"""Rows in calendar periods, and times that have none."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from tasks.periods import periods_of
from tasks.refusal import Refusal


def column(*values: object) -> pd.Series:  # type: ignore[type-arg]
    return pd.Series(list(values), name="day")


def test_rows_fall_into_months_in_whatever_order_they_come() -> None:
    found = periods_of(column("2024-03-01", "2024-01-31", "2024-02-29", "2024-01-01"), "month")
    assert found.names == ("2024-01", "2024-02", "2024-03")
    assert found.places.tolist() == [2, 0, 1, 0]
    assert found.ends[0] == datetime(2024, 2, 1, tzinfo=UTC)


def test_days_written_day_first_are_read_so() -> None:
    found = periods_of(column("13-01-2011", "01-02-2011", "02-03-2011"), "month")
    assert found.names == ("2011-01", "2011-02", "2011-03")


def test_months_without_rows_are_gaps_and_no_periods() -> None:
    found = periods_of(column("2024-01-01", "2024-02-01", "2024-05-01"), "month")
    assert (found.names, found.gaps) == (("2024-01", "2024-02", "2024-05"), ("2024-03", "2024-04"))


def test_a_week_is_named_by_its_first_day() -> None:
    times = pd.date_range("2024-01-01", periods=3, freq="7D").to_series(name="day")
    assert periods_of(times, "week").names == ("2024-01-01", "2024-01-08", "2024-01-15")


@pytest.mark.parametrize(("values", "said"), [
    ((1, 2, 3), "holds numbers, which fall into no month"),
    (("1", "2", "3"), "holds numbers, which fall into no month"),
    (("2024-01-01", "soon", "2024-03-01"), r"1 of 3 values are no dates \(such as 'soon'\)"),
    (("2024-01-01", None, "2024-03-01"), "such as a missing one"),
    (("2024-01-01", "2024-01-02", "2024-02-01"), "fall into 2 of them, and at least 3 are needed"),
])  # fmt: skip
def test_times_that_make_no_periods_are_refused(values: tuple[object, ...], said: str) -> None:
    with pytest.raises(Refusal, match=said):
        periods_of(column(*values), "month")
