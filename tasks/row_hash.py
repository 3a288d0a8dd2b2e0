"""Hashes of rows that stay the same when a table grows, is shuffled, or is read from another kind of file."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.cells import array_of, as_text
from tasks.columns import Table

Hashes = npt.NDArray[np.uint64]
FIRST_LOST = 2**53  # of the integers, that a float doesn't tell from the next one


def row_hashes(table: Table, seed: int) -> Hashes:
    """(n_rows,) a hash of each row's values, whatever its place in the table and the order of the columns.

    A value has one hash in whichever type it comes: 5, 5.0 and "5"; true, True and 1; a date as text in ISO 8601 or
    as a time. A missing value adds nothing, so that a column that is new, and empty in the rows of before, moves
    none of them.
    """
    total = np.zeros(len(table), dtype=np.uint64)
    for name, values in table.items():
        total += _placed(_of_column(values), str(name))
    return _mix(total ^ _salt(seed))


def unsalted(hashes: Hashes, seed: int) -> Hashes:
    """(n_rows,) what `row_hashes` of these rows would be by the seed 0."""
    total: Hashes = _unmix(hashes) ^ _salt(seed)
    return _mix(total ^ _salt(0))


def _salt(seed: int) -> np.uint64:
    return np.uint64(_mix(np.full(1, seed + 0x9E3779B97F4A7C15, dtype=np.uint64))[0])


def _placed(cells: Hashes, name: str) -> Hashes:
    """(n_rows,) hashes of cells that know their column; 0 stays 0, for missing."""
    salt = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
    return np.where(cells == 0, np.uint64(0), _mix(cells ^ np.uint64(salt)))


def _of_column(values: pd.Series[Any]) -> Hashes:
    if pd.api.types.is_integer_dtype(values) and _are_large(values):
        return _of_text(values.astype("str").where(values.notna()))
    if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return _of_numbers(array_of(values).astype(np.float64))
    return _of_text(values)


def _are_large(values: pd.Series[Any]) -> bool:
    """Whether some of the integers are beyond what a float tells apart."""
    known = values.dropna()
    return bool(len(known)) and max(int(known.max()), -int(known.min())) >= FIRST_LOST


def _of_numbers(numbers: npt.NDArray[np.floating[Any]]) -> Hashes:
    """Hashes of the bits; minus zero is zero, and NaN is missing."""
    hashes = _mix((numbers + 0.0).view(np.uint64) ^ np.uint64(0xD6E8FEB86659FD93))
    return np.where(np.isnan(numbers), np.uint64(0), hashes)


def _of_text(values: pd.Series[Any]) -> Hashes:
    """(n_rows,) hashes, each different text looked at once."""
    if pd.api.types.is_datetime64_any_dtype(values):
        times = values.dt.tz_convert(None) if getattr(values.dt, "tz", None) is not None else values
        return _of_times(times)
    codes, levels = pd.factorize(as_text(values))
    text = pd.Series(levels, dtype="str")
    hashes = pd.util.hash_array(text.to_numpy(dtype=object), categorize=False)
    lower = text.str.lower()
    numbers = pd.to_numeric(text.where(_is_number(lower)), errors="coerce").astype("float64")
    numbers = numbers.fillna(lower.map({"true": 1.0, "false": 0.0})).astype("float64")
    hashes = np.where(numbers.isna(), hashes, _of_numbers(numbers.to_numpy(copy=True)))
    is_iso = text.str.match(r"\d{4}-\d\d-\d\d").to_numpy(dtype=bool)
    if is_iso.any():
        times = pd.to_datetime(text.where(is_iso), format="ISO8601", errors="coerce", utc=True).dt.tz_convert(None)
        hashes = np.where(times.isna(), hashes, _of_times(times))
    return np.append(hashes, np.uint64(0))[codes].astype(np.uint64)  # code -1, missing, takes the zero


def _is_number(lower: pd.Series[Any]) -> npt.NDArray[np.bool_]:
    """Which texts may be hashed as the numbers that they can be read as: not an identifier that as a float is another
    one's too, of seventeen digits, say, or with an e among its digits as hexadecimal ones have it."""
    value = pd.to_numeric(lower, errors="coerce").to_numpy(dtype=np.float64)
    is_whole, has_e = (lower.str.fullmatch(form).to_numpy(dtype=bool) for form in (r"[+-]?\d+", r"[+-]?\d+e[+-]?\d+"))
    is_lost = has_e & ~(np.isfinite(value) & (value != 0))
    return np.asarray(~is_lost & ~(is_whole & (np.abs(value) >= FIRST_LOST)))


def _of_times(times: pd.Series[Any]) -> Hashes:
    """Of seconds since 1970; the unit that a library keeps times in makes no difference."""
    seconds = ((times - pd.Timestamp("1970-01-01")) / pd.Timedelta(seconds=1)).to_numpy(dtype="float64")
    hashes = _mix(_of_numbers(seconds) ^ np.uint64(0x54494D45))  # a time is not the number of its seconds
    return np.where(np.isnan(seconds), np.uint64(0), hashes)


def _mix(x: Hashes) -> Hashes:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014): every bit depends on every bit."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _unmix(x: Hashes) -> Hashes:
    """The inverse of `_mix`: the multiplications by the inverses of its factors modulo 2^64."""
    x = (x ^ (x >> np.uint64(31)) ^ (x >> np.uint64(62))) * np.uint64(pow(0x94D049BB133111EB, -1, 2**64))
    x = (x ^ (x >> np.uint64(27)) ^ (x >> np.uint64(54))) * np.uint64(pow(0xBF58476D1CE4E5B9, -1, 2**64))
    before: Hashes = x ^ (x >> np.uint64(30)) ^ (x >> np.uint64(60))
    return before
