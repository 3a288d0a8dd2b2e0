"""What was found out about each column, and how raw rows, as the user has them, become typed features."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.records import Roles
from tasks.refusal import Refusal, did_you_mean

Kind = Literal["numeric", "boolean", "categorical", "time"]

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
    "None",
    "n/a",
    "nan",
    "null",
}
TRUTH = {"true": 1.0, "false": 0.0}
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
JUNK_FRACTION = 0.01  # a column whose other values are numbers may hold so many that are none; they become missing
TIME_PARTS = ("year", "month", "day", "weekday", "hour", "minute", "days")
N_SAMPLED = 2_000


@dataclass(frozen=True)
class Column:
    """A column of the user's table that is used. `format` and `parts` are for times: how the text is read, and
    which parts of the date become features; `raw` is the type that a caller of the model is asked for."""

    name: str
    kind: Kind
    raw: Literal["double", "boolean", "string", "datetime"]
    format: str | None = None
    parts: tuple[str, ...] = ()

    def features(self) -> list[str]:
        return [f"{self.name} ({part})" for part in self.parts] if self.kind == "time" else [self.name]


@dataclass(frozen=True)
class Schema:
    """The columns that features are made of, in order."""

    columns: tuple[Column, ...]

    @property
    def features(self) -> list[str]:
        return [feature for column in self.columns for feature in column.features()]

    def apply(self, raw: pd.DataFrame) -> pd.DataFrame:
        """Typed features: numeric ones float64 with NaN for missing, others text with None; infinities are missing.

        Raises:
            Refusal: when columns are missing; names them.
        """
        absent = [column.name for column in self.columns if column.name not in raw.columns]
        if absent:
            raise Refusal(
                f"the rows lack {len(absent)} of the columns that the model was trained on: {', '.join(absent[:10])}"
            )
        typed: dict[str, Any] = {}
        for column in self.columns:
            typed.update(_typed(column, raw[column.name]))
        return pd.DataFrame(typed, index=raw.index)

    def to_json(self) -> str:
        return json.dumps([asdict(column) for column in self.columns], ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Schema:
        return cls(tuple(Column(**{**column, "parts": tuple(column["parts"])}) for column in json.loads(text)))


def find_out(raw: pd.DataFrame, roles: Roles) -> tuple[Schema, list[str]]:
    """The schema of the feature columns, and what to say aloud about those that are read in a way the user may
    not expect, each with the override that changes it."""
    columns, notes = [], []
    not_features = {roles.target, roles.weight, roles.group, *roles.drop, *roles.key}
    for name in raw.columns:
        if name in not_features:
            continue
        column, note = _find_out_column(raw[name], roles)
        if column is not None:
            columns.append(column)
        if note:
            notes.append(note)
    return Schema(tuple(columns)), notes


def check_roles(names: Iterable[str], roles: Roles) -> list[str]:
    """A fault for every role that names a column that isn't there, with the nearest name."""
    known = list(names)
    given = [
        (f"source.{role}", name) for role in ("target", "group", "time", "weight") if (name := getattr(roles, role))
    ]
    given += [
        (f"source.{role}", name)
        for role in ("drop", "numeric", "categorical", "text", "key")
        for name in getattr(roles, role)
    ]
    return [
        f"{key}={name}: the table has no such column{did_you_mean(name, known)}"
        for key, name in given
        if name not in known
    ]


def as_text(values: pd.Series[Any]) -> pd.Series[Any]:
    """Values as text, stripped; missing ones None. Whole numbers are written without a point, so that a level is
    the same whether its column was read as integers or as floats."""
    if pd.api.types.is_float_dtype(values):
        text = values.map(lambda x: None if pd.isna(x) else f"{x:.0f}" if float(x).is_integer() else repr(float(x)))
    else:
        text = values.map(_cell_as_text, na_action="ignore")
    text = text.astype(object).where(values.notna(), None)
    return text.where(~text.isin(MISSING), None)


def as_numbers(values: pd.Series[Any]) -> pd.Series[float]:
    """Values as float64; what is no finite number is NaN."""
    if pd.api.types.is_bool_dtype(values) or pd.api.types.is_numeric_dtype(values):
        numbers = values.astype("float64")
    else:
        numbers = pd.to_numeric(as_text(values), errors="coerce").astype("float64")
    return numbers.where(np.isfinite(numbers), np.nan)


def as_times(values: pd.Series[Any], fmt: str | None) -> pd.Series[Any]:
    """Values as timestamps without a zone, in UTC; what is none is NaT."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return values.dt.tz_convert(None) if getattr(values.dt, "tz", None) is not None else values
    times = pd.to_datetime(as_text(values), format=fmt, errors="coerce", utc=True)
    return times.dt.tz_convert(None)


def date_format(values: pd.Series[Any]) -> str | None:
    """The first format that reads every sampled value, or None. `03-04-2011` alone is read day first."""
    text = as_text(values).dropna()
    if text.empty or not text.str.contains(r"\d[-/.:T]\d", regex=True).all():
        return None
    for fmt in DATE_FORMATS:
        if pd.to_datetime(text, format=fmt, errors="coerce", utc=True).notna().all():
            return fmt
    return None


def row_hashes(frame: pd.DataFrame, seed: int) -> npt.NDArray[np.uint64]:
    """(n_rows,) a hash of each row's values: the same row gives the same hash in a table that grew, whatever its
    place. The values must be typed already, so that 5 and 5.0 are one."""
    hashes = np.full(len(frame), seed + 0x9E3779B97F4A7C15, dtype=np.uint64)
    for name in sorted(frame.columns):
        values = frame[name]
        array = (
            values.to_numpy(dtype="float64")
            if pd.api.types.is_numeric_dtype(values)
            else values.astype(object).fillna("").to_numpy()
        )
        hashes = _mix(hashes ^ pd.util.hash_array(array))
    return _mix(hashes)


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014): every bit depends on every bit."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _cell_as_text(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value).strip()


def _typed(column: Column, values: pd.Series[Any]) -> dict[str, Any]:
    if column.kind == "numeric":
        return {column.name: as_numbers(values)}
    if column.kind == "boolean":
        if pd.api.types.is_bool_dtype(values) or pd.api.types.is_numeric_dtype(values):
            return {column.name: as_numbers(values)}
        return {column.name: as_text(values).str.lower().map(TRUTH).astype("float64")}
    if column.kind == "categorical":
        return {column.name: as_text(values)}
    times = as_times(values, column.format)
    return {feature: _part(times, part) for feature, part in zip(column.features(), column.parts, strict=True)}


def _part(times: pd.Series[Any], part: str) -> pd.Series[float]:
    if part == "days":
        return (times - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)
    return getattr(times.dt, part).astype("float64")  # type: ignore[no-any-return]


def _find_out_column(values: pd.Series[Any], roles: Roles) -> tuple[Column | None, str | None]:
    name = str(values.name)
    if name in roles.text:
        return None, f"{name} is text; the families of models for tables leave it out"
    if not _is_nested(values) and values.nunique(dropna=True) <= 1:
        return None, _left_out(values)
    if name in roles.numeric:
        return Column(name, "numeric", "double"), None
    if name in roles.categorical:
        return Column(name, "categorical", _raw_type(values)), None
    if name == roles.time:
        return _time_column(values, date_format(values), is_order=True), None
    if pd.api.types.is_bool_dtype(values):
        return Column(name, "boolean", "boolean"), None
    if pd.api.types.is_datetime64_any_dtype(values):
        return _time_column(values, None), f"{name} is a time; its parts are used"
    if pd.api.types.is_numeric_dtype(values):
        return _number_or_identifier(name, values)
    return _find_out_text(name, values)


def _left_out(values: pd.Series[Any]) -> str:
    return f"{values.name} is {'empty' if values.isna().all() else 'constant'} and is left out"


def _is_nested(values: pd.Series[Any]) -> bool:
    return values.dtype == object and any(isinstance(v, dict | list | np.ndarray) for v in values.dropna().head(20))


def _raw_type(values: pd.Series[Any]) -> Literal["double", "boolean", "string"]:
    if pd.api.types.is_bool_dtype(values):
        return "boolean"
    return "double" if pd.api.types.is_numeric_dtype(values) else "string"


def _number_or_identifier(name: str, values: pd.Series[Any]) -> tuple[Column | None, str | None]:
    n = len(values)
    is_counter = (
        n >= 20
        and pd.api.types.is_integer_dtype(values)
        and values.nunique() == n
        and int(values.max()) - int(values.min()) == n - 1
    )
    if is_counter:
        return None, f"{name} counts the rows and is left out; source.numeric=[{name}] keeps it"
    note = (
        f"{name} has infinities; they count as missing"
        if np.isinf(values.to_numpy(dtype="float64", na_value=np.nan)).any()
        else None
    )
    return Column(name, "numeric", "double"), note


def _find_out_text(name: str, values: pd.Series[Any]) -> tuple[Column | None, str | None]:
    text = as_text(values)
    known = text.dropna()
    n_levels = known.nunique()
    if n_levels <= 1:
        return None, _left_out(text)
    if set(known.head(N_SAMPLED).str.lower()) <= set(TRUTH) and set(known.str.lower()) <= set(TRUTH):
        return Column(name, "boolean", "string"), None
    numbers = pd.to_numeric(known, errors="coerce")
    junk = known[numbers.isna()]
    if len(junk) <= JUNK_FRACTION * len(known):
        return Column(name, "numeric", "string"), _text_numbers_note(name, values, junk)
    sample = known.sample(min(len(known), N_SAMPLED), random_state=0)
    if (fmt := date_format(sample)) and as_times(known, fmt).notna().mean() > 1 - JUNK_FRACTION:
        return _time_column(
            known, fmt
        ), f"{name} is read as dates ({fmt}); its parts are used; source.categorical=[{name}] prevents it"
    n_words = sample.str.count(r"\S+").mean()
    if n_words >= 5 and n_levels > 0.5 * len(known):
        return (
            None,
            f"{name} is prose; the families of models for tables leave it out; source.categorical=[{name}] keeps it",
        )
    if n_levels >= 0.95 * len(known) and len(known) >= 20:
        return (
            None,
            f"{name} looks like an identifier ({n_levels:,} different values) and is left out; "
            f"source.categorical=[{name}] keeps it",
        )
    return Column(name, "categorical", "string"), None


def _text_numbers_note(name: str, values: pd.Series[Any], junk: pd.Series[Any]) -> str | None:
    n_blank = int(as_text(values).isna().sum() - values.isna().sum())
    read_as = f"{name} holds numbers as text"
    if len(junk):
        such = f"{len(junk)} that are none (such as {junk.iloc[0]!r}) count as missing"
        return f"{read_as}; {such}; source.categorical=[{name}] prevents it"
    return f"{read_as}; {n_blank} blank{'s' * (n_blank != 1)} count as missing" if n_blank else None


def _time_column(values: pd.Series[Any], fmt: str | None, *, is_order: bool = False) -> Column | None:
    """Parts that vary. Of the column that orders the rows, only those that come round again: a model can't learn
    from a year that is still to come."""
    name = str(values.name)
    raw: Literal["datetime", "string"] = "datetime" if pd.api.types.is_datetime64_any_dtype(values) else "string"
    if is_order and raw == "string" and fmt is None:
        return None
    times = as_times(values, fmt)
    parts = [part for part in TIME_PARTS if not (is_order and part in ("year", "days"))]
    varying = tuple(part for part in parts if _part(times, part).nunique() > 1)
    return Column(name, "time", raw, fmt, varying) if varying else None
