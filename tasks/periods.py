"""Periods: which calendar period each row of a table falls into, and which periods have no row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pandas as pd

from tasks.cells import as_numbers, as_times, date_format
from tasks.metric import Integers
from tasks.refusal import Refusal

Kind = Literal["year", "quarter", "month", "week", "day"]
FREQUENCY = {"year": "Y", "quarter": "Q", "month": "M", "week": "W", "day": "D"}  # pandas' names
FEWEST = 3  # one to learn from, one to be decided on, and one to see what came of it
N_ROWS_FOR_A_FORMAT = 50_000


@dataclass(frozen=True)
class Periods:
    """names: of the periods that have rows, in their order: `2011-01`. ends: when each is over (UTC). places: (n_rows,)
    in which of them each row lies. gaps: the names of those between them without a row."""

    names: tuple[str, ...]
    ends: tuple[datetime, ...]
    places: Integers
    gaps: tuple[str, ...]


def periods_of(values: pd.Series[Any], kind: Kind) -> Periods:
    """The periods of the times of all rows.

    values: (n_rows,) dates, or text that reads as such.

    Raises:
        Refusal: for what can't be read as a date; for numbers, which have no months; for fewer than three periods.
    """
    key = f"source.time={values.name}"
    if pd.api.types.is_numeric_dtype(values) or as_numbers(values).notna().all():
        raise Refusal(f"{key} holds numbers, which fall into no {kind}; name a column of dates.")
    times = as_times(values, date_format(values.head(N_ROWS_FOR_A_FORMAT)))
    if n_missing := int(times.isna().sum()):
        first = values[times.isna()].iloc[0]
        example = "a missing one" if pd.isna(first) else repr(str(first))
        raise Refusal(f"{key}: {n_missing:,} of {len(values):,} values are no dates (such as {example}); correct them.")
    each = times.dt.to_period(FREQUENCY[kind])
    places, found = pd.factorize(each, sort=True)
    if len(found) < FEWEST:
        raise Refusal(
            f"replay.period={kind}: the rows fall into {len(found)} of them, and at least {FEWEST} are needed; choose "
            "a shorter one, or another source.time."
        )
    every = pd.period_range(found[0], found[-1], freq=found.freq)
    ends = [(one + 1).start_time.to_pydatetime().replace(tzinfo=UTC) for one in found]
    gaps = tuple(_name(one) for one in every.difference(pd.PeriodIndex(found)))
    return Periods(tuple(map(_name, found)), tuple(ends), np.asarray(places, dtype=np.int64), gaps)


def _name(period: Any) -> str:
    """A week by its first day; no name holds a slash, for it becomes that of a file."""
    return str(period).partition("/")[0]
