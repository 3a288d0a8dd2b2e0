"""Finding out what each column holds, and what to say aloud about it, with the override that changes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from tasks.cells import array_of, as_text, as_times, date_format
from tasks.columns import Table
from tasks.records import Roles
from tasks.schema import TIME_PARTS, Column, Schema, part_of

JUNK_FRACTION = 0.01  # a column whose other values are numbers may hold so many that are none; they become missing
MIXED_FRACTION = 0.5  # from so many numbers on, text that is no number is worth a word
N_SAMPLED = 2_000
MIN_ROWS_OF_AN_IDENTIFIER = 20  # among fewer, all different is no sign of anything
MIN_DENSITY_OF_A_COUNTER = 0.5  # a row number keeps so much of its range when half of the rows are left out
MAX_NAMED = 6


@dataclass(frozen=True)
class Found:
    """notes: what to say aloud. identifiers: columns left out because they only tell rows apart. empty:
    those without any value."""

    schema: Schema
    notes: list[str]
    identifiers: tuple[str, ...]
    empty: tuple[str, ...]


@dataclass(frozen=True)
class _Finding:
    column: Column | None = None
    note: str | None = None
    why: Literal["", "identifier", "empty", "constant", "boolean", "number"] = ""


def find_out(raw: Table, roles: Roles, *, reads_text: bool = False) -> Found:
    """The schema of the feature columns. A column's finding depends on its values, never on the order of the rows.

    reads_text: whether a family of the run reads prose; where none does it is left out, aloud.
    """
    not_features = {roles.target, roles.weight, roles.group, *roles.drop, *roles.key}
    findings = {
        str(name): _find_out_column(values, roles, reads_text=reads_text)
        for name, values in raw.items()
        if name not in not_features
    }
    return Found(
        Schema(tuple(finding.column for finding in findings.values() if finding.column is not None)),
        [*_together(findings), *(finding.note for finding in findings.values() if finding.note)],
        tuple(name for name, finding in findings.items() if finding.why == "identifier"),
        tuple(name for name, finding in findings.items() if finding.why == "empty"),
    )


def _together(findings: dict[str, _Finding]) -> list[str]:
    """One line for all columns of which the same is said: a wide table may have thousands."""
    lines = []
    for why, one, many in (
        ("empty", "is empty and is left out", "are empty and are left out"),
        ("constant", "is constant and is left out", "are constant and are left out"),
        ("boolean", "is read as true or false", "are read as true or false"),
        ("number", "holds numbers as text and is read as numbers", "hold numbers as text and are read as numbers"),
    ):
        names = [name for name, finding in findings.items() if finding.why == why]
        if names:
            more = f" and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else ""
            lines.append(f"{', '.join(names[:MAX_NAMED])}{more} {one if len(names) == 1 else many}")
    return lines


def _find_out_column(values: pd.Series[Any], roles: Roles, *, reads_text: bool) -> _Finding:
    name = str(values.name)
    if name in roles.text and not reads_text:
        return _Finding(note=f"{name} is text; the families of models for tables leave it out")
    if not _varies(values):
        return _Finding(why="empty" if as_text(values).isna().all() else "constant")
    if name in roles.text:
        return _Finding(Column(name, "text", "string"))
    if name in roles.numeric:
        return _Finding(Column(name, "numeric", "double"))
    if name in roles.categorical:
        return _Finding(Column(name, "categorical", _raw_type(values)))
    if name == roles.time:
        return _Finding(_time_column(values, date_format(values), is_order=True))
    if pd.api.types.is_bool_dtype(values):
        return _Finding(Column(name, "boolean", "boolean"), why="boolean")
    if pd.api.types.is_timedelta64_dtype(values):
        return _Finding(Column(name, "numeric", "string"), f"{name} is a length of time; it is read in seconds")
    if pd.api.types.is_datetime64_any_dtype(values):
        in_utc = " in UTC" if getattr(values.dt, "tz", None) is not None else ""
        return _Finding(_time_column(values, None), f"{name} is a time; its parts{in_utc} are used")
    if pd.api.types.is_numeric_dtype(values):
        return _number_or_counter(name, values)
    return _find_out_text(name, values, reads_text=reads_text)


def _varies(values: pd.Series[Any]) -> bool:
    """Whether two values that are there differ; counting five million different numbers takes 130 MB and a second."""
    if values.dtype == object:
        return values.nunique() > 1
    if not pd.api.types.is_numeric_dtype(values):
        known = values.dropna().array
        return len(known) > 1 and bool((known != known[0]).any())
    numbers = array_of(values)
    present = numbers[~np.isnan(numbers)]
    return len(present) > 1 and bool((present != present[0]).any())


def _raw_type(values: pd.Series[Any]) -> Literal["double", "boolean", "string"]:
    if pd.api.types.is_bool_dtype(values):
        return "boolean"
    return "double" if pd.api.types.is_numeric_dtype(values) else "string"


def _number_or_counter(name: str, values: pd.Series[Any]) -> _Finding:
    if pd.api.types.is_integer_dtype(values) and _counts(values):
        return _Finding(
            note=f"{name} counts the rows and is left out; source.numeric=[{name}] keeps it", why="identifier"
        )
    is_infinite = np.isinf(array_of(values)).any()
    note = f"{name} has infinities; they count as missing" if is_infinite else None
    return _Finding(Column(name, "numeric", "double"), note)


def _counts(values: pd.Series[Any]) -> bool:
    """Whether whole numbers are all different and fill most of their range, as a row's number does."""
    n, n_in_range = len(values), int(values.max()) - int(values.min()) + 1
    return (
        n >= MIN_ROWS_OF_AN_IDENTIFIER
        and n_in_range >= n >= MIN_DENSITY_OF_A_COUNTER * n_in_range
        and values.is_unique
    )


def _find_out_text(name: str, values: pd.Series[Any], *, reads_text: bool) -> _Finding:
    """counts: how often each level occurs, in the order of the levels, so that the order of the rows is no matter."""
    text = as_text(values)
    counts = text.value_counts().sort_index()
    n, n_levels = int(counts.sum()), len(counts)
    if n_levels <= 1:
        return _Finding(why="empty" if n_levels == 0 else "constant")
    levels = pd.Series(counts.index, dtype="str")
    if n_levels <= 4 and set(levels.str.lower()) == {"true", "false"}:
        return _Finding(Column(name, "boolean", "string"), why="boolean")
    numbers = pd.to_numeric(levels, errors="coerce")
    junk = counts[numbers.isna().to_numpy()]
    if junk.sum() <= JUNK_FRACTION * n:
        note = _numbers_note(name, text, values, junk)
        if np.isinf(numbers).any():
            note = f"{note or f'{name} holds numbers as text'}; infinities count as missing"
        return _Finding(Column(name, "numeric", "string"), note, "" if note else "number")
    sample = levels.iloc[np.linspace(0, n_levels - 1, min(n_levels, N_SAMPLED)).astype(int)]
    fmt = date_format(sample)
    if fmt and counts[as_times(levels, fmt).notna().to_numpy()].sum() > (1 - JUNK_FRACTION) * n:
        note = f"{name} is read as dates ({fmt}); its parts are used; source.categorical=[{name}] prevents it"
        return _Finding(_time_column(levels.rename(name), fmt), note)
    return _words(name, sample, junk, n, n_levels, reads_text=reads_text)


def _words(
    name: str, sample: pd.Series[Any], junk: pd.Series[int], n: int, n_levels: int, *, reads_text: bool
) -> _Finding:
    """Text that is no number and no date: nested values, prose, an identifier, or levels."""
    keeps = f"source.categorical=[{name}] keeps it"
    is_nested = bool(sample.head(20).map(_is_json).all())
    if not is_nested and sample.str.count(r"\S+").mean() >= 5 and n_levels > 0.5 * n:
        if reads_text:
            prevents = f"source.categorical=[{name}] prevents it"
            return _Finding(Column(name, "text", "string"), f"{name} is prose and is read as text; {prevents}")
        return _Finding(note=f"{name} is prose; the families of models for tables leave it out; {keeps}")
    is_mixed = 1 - junk.sum() / n >= MIXED_FRACTION
    if n_levels >= 0.95 * n and n >= MIN_ROWS_OF_AN_IDENTIFIER:
        reads = f"; source.numeric=[{name}] reads its numbers" if is_mixed else ""
        reads += f"; source.text=[{name}] reads it as text" if reads_text else ""
        looks = f"{name} looks like an identifier ({n_levels:,} different values) and is left out"
        return _Finding(note=f"{looks}; {keeps}{reads}", why="identifier")
    note: str | None = None
    if is_nested:
        note = f"{name} holds nested JSON; each different one is a level; source.drop=[{name}] leaves it out"
    elif is_mixed:
        note = (
            f"{name} mixes numbers and text ({int(junk.sum()):,} such as {junk.index[0]!r}) and is read as levels; "
            f"source.numeric=[{name}] reads the numbers"
        )
    return _Finding(Column(name, "categorical", "string"), note)


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _numbers_note(name: str, text: pd.Series[Any], values: pd.Series[Any], junk: pd.Series[int]) -> str | None:
    n_blank = int(text.isna().sum() - values.isna().sum())
    blanks = f"; {n_blank:,} blank{'s' * (n_blank != 1)} count as missing" if n_blank else ""
    if junk.empty:
        return f"{name} holds numbers as text{blanks}; source.categorical=[{name}] prevents it" if blanks else None
    such = f"{int(junk.sum()):,} that are none (such as {junk.index[0]!r}) count as missing"
    return f"{name} holds numbers as text{blanks}; {such}; source.categorical=[{name}] prevents it"


def _time_column(values: pd.Series[Any], fmt: str | None, *, is_order: bool = False) -> Column | None:
    """Parts that vary. Of the column that orders the rows, only those that come round again: a model can't learn
    from a year that is still to come."""
    name = str(values.name)
    raw: Literal["datetime", "string"] = "datetime" if pd.api.types.is_datetime64_any_dtype(values) else "string"
    if is_order and raw == "string" and fmt is None:
        return None
    times = as_times(values, fmt)
    parts = [part for part in TIME_PARTS if not (is_order and part in ("year", "days"))]
    varying = tuple(part for part in parts if part_of(times, part).nunique() > 1)
    return Column(name, "time", raw, fmt, varying) if varying else None
