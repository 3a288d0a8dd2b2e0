"""How single values are read, whatever type they come in: as text, numbers, truth or times."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

# pandas' own list (pandas.read_csv, na_values), and the question mark of the UCI tables.
MISSING = {
    "",
    "?",
    "-",
    "#N/A",
    "#NA",
    "-NaN",
    "-nan",
    "<NA>",
    "N/A",
    "NA",
    "NULL",
    "NaN",
    "NaT",
    "None",
    "n/a",
    "nan",
    "null",
}
TRUTH = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}
DATE_FORMATS = (
    "ISO8601",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%Y/%m/%d",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d.%m.%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
)


def as_text(values: pd.Series[Any]) -> pd.Series[Any]:
    """Values as text (dtype str), stripped; missing ones NaN. Whole numbers are written without a point, so that a
    level is the same whether its column was read as integers or as floats."""
    if isinstance(values.dtype, pd.StringDtype):
        return _by_level(values, lambda levels: levels.astype("str").str.strip())
    if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_datetime64_any_dtype(values):
        return _by_level(values, lambda levels: pd.Series([_cell_as_text(one) for one in levels], dtype="str"))
    # 1, 1.0 and True would be one level: mixed values are read one by one.
    return pd.Series([_cell_as_text(value) for value in values], index=values.index, dtype="str", name=values.name)


def verbatim(values: pd.Series[Any]) -> pd.Series[Any]:
    """Values as text (dtype str) as they are, spaces and all, for what is to be written again; only blank ones are
    missing: "None" and "-" are answers."""
    text = pd.Series([None if one is None else str(one) for one in values.astype(object).where(values.notna(), None)],
                     index=values.index, dtype="str", name=values.name)  # fmt: skip
    kept: pd.Series[Any] = text.mask(text.str.strip() == "")
    return kept


def as_numbers(values: pd.Series[Any]) -> pd.Series[float]:
    """Values as float64, lengths of time in seconds; what is no finite number is NaN."""
    if pd.api.types.is_timedelta64_dtype(values):
        numbers = values.dt.total_seconds()
    elif pd.api.types.is_bool_dtype(values) or pd.api.types.is_numeric_dtype(values):
        numbers = values.astype("float64")
    else:
        text = as_text(values)
        numbers = pd.to_numeric(text, errors="coerce").astype("float64")
        if values.dtype == object:  # Python's own booleans among other values
            numbers = numbers.fillna(text.map({"True": 1.0, "False": 0.0}))
    infinite = np.isinf(array_of(numbers))
    finite: pd.Series[float] = numbers.mask(infinite) if infinite.any() else numbers
    return finite


def array_of(numbers: pd.Series[Any]) -> npt.NDArray[Any]:
    """(n,) the numbers or booleans in their own type, without a copy, where that has a NaN of its own or needs none;
    else float64."""
    if isinstance(numbers.dtype, np.dtype):
        return numbers.to_numpy()
    return numbers.to_numpy(dtype="float64", na_value=np.nan)


def as_truth(values: pd.Series[Any]) -> pd.Series[float]:
    """1 for true, 0 for false, however it is written; anything else is NaN."""
    if pd.api.types.is_bool_dtype(values) or pd.api.types.is_numeric_dtype(values):
        return as_numbers(values)
    return as_text(values).map(lambda text: TRUTH.get(text.lower(), np.nan), na_action="ignore").astype("float64")


def as_times(values: pd.Series[Any], fmt: str | None) -> pd.Series[Any]:
    """Values as timestamps without a zone, in UTC; what is none is NaT.

    fmt: how text is read, None for ISO 8601. Python's and pandas' own dates among the text need none.
    """
    if pd.api.types.is_datetime64_any_dtype(values):
        return values.dt.tz_convert(None) if getattr(values.dt, "tz", None) is not None else values
    text = as_text(values)
    times = pd.to_datetime(text, format=fmt or "ISO8601", errors="coerce", utc=True)
    is_date = values.map(lambda value: isinstance(value, date | np.datetime64)) if values.dtype == object else None
    if fmt not in (None, "ISO8601") and is_date is not None and is_date.any():
        own = pd.to_datetime(text.where(is_date.astype(bool)), format="ISO8601", errors="coerce", utc=True)
        times = own.where(own.notna(), times)
    return times.dt.tz_convert(None)


def date_format(values: pd.Series[Any]) -> str | None:
    """The first format that reads every value, or None. `03-04-2011` alone is read day first."""
    levels = pd.Series(as_text(values).dropna().unique(), dtype="str")
    if levels.empty or not levels.str.contains(r"\d[-/.:T]\d", regex=True).all():
        return None
    for fmt in DATE_FORMATS:
        if pd.to_datetime(levels, format=fmt, errors="coerce", utc=True).notna().all():
            return fmt
    return None


def _by_level(values: pd.Series[Any], read: Callable[[pd.Series[Any]], pd.Series[Any]]) -> pd.Series[Any]:
    """Each different value is read once: 0.1 s instead of 1.2 s for 500,000 rows of 100 levels."""
    codes, levels = pd.factorize(values)
    text = read(pd.Series(levels))
    text = text.mask(text.isin(MISSING))
    return pd.Series(text.array.take(codes, allow_fill=True), index=values.index, name=values.name)


def _cell_as_text(value: Any) -> str | None:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, np.ndarray):
        return json.dumps(value.tolist(), ensure_ascii=False, default=str)
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else f"{value:.0f}" if float(value).is_integer() else repr(float(value))
    text = str(value).strip()
    return None if text in MISSING else text
