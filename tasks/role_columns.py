"""What is known of each row beside its features: target, hash, weight, group and time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.cells import as_numbers, as_text, as_times, date_format
from tasks.columns import Columns
from tasks.records import Roles
from tasks.refusal import Refusal
from tasks.row_hash import Hashes, row_hashes

Floats = npt.NDArray[np.float64]
N_ROWS_FOR_A_FORMAT = 50_000


def role_columns(
    raw: Columns, roles: Roles, codes: pd.Series[float], content: Hashes, seed: int
) -> tuple[pd.DataFrame, list[str]]:
    """(n_rows,) columns target, hash, and where given weight, group (text) and time (float64: seconds since 1970, or
    the column's own numbers); and what to say aloud.

    codes: (n_rows,) of the target. content: (n_rows,) hashes, which tell rows apart where no key or group does.

    Raises:
        Refusal: for weights that are none, or times that can't be read.
    """
    columns: dict[str, Any] = {"target": codes.to_numpy()}
    notes = []
    if roles.weight:
        columns["weight"] = _weights(raw[roles.weight])
    if roles.group:
        group = as_text(raw[roles.group])
        notes += _without(f"source.group={roles.group}", int(group.isna().sum()), "they count as one group")
        columns["group"] = group.fillna("").array
    if roles.time:
        columns["time"] = _times(raw[roles.time])
    identity = [roles.group] if roles.group else list(roles.key)
    if roles.key and not roles.group:
        n_blank = int(raw.only(roles.key).frame().isna().all(axis=1).sum())
        notes += _without(f"source.key={','.join(roles.key)}", n_blank, "they stay together, as one row would")
    columns["hash"] = row_hashes(raw.only(identity), seed) if identity else content
    return pd.DataFrame(columns), notes


def _without(key: str, n: int, what: str) -> list[str]:
    return [f"{n:,} row{'s have' if n > 1 else ' has'} no {key}; {what}"] if n else []


def _weights(values: pd.Series[Any]) -> Floats:
    weights: Floats = np.asarray(as_numbers(values), dtype=np.float64)
    n_bad = int((~(weights >= 0)).sum())
    if n_bad:
        raise Refusal(
            f"source.weight={values.name}: weights must be numbers of at least 0, and {n_bad:,} of {len(weights):,} "
            "are not; correct them or leave those rows out."
        )
    if weights.sum() == 0:
        raise Refusal(f"source.weight={values.name}: every weight is 0, so that no row counts; name another column.")
    return weights


def _times(values: pd.Series[Any]) -> Floats:
    is_number = pd.api.types.is_numeric_dtype(values)
    if is_number or as_numbers(values).notna().all():
        times = as_numbers(values)
    else:
        read_as = as_times(values, date_format(values.head(N_ROWS_FOR_A_FORMAT)))
        times = (read_as - pd.Timestamp("1970-01-01")) / pd.Timedelta(seconds=1)
    n_missing = int(times.isna().sum())
    if n_missing:
        example = values[times.isna()].iloc[0]
        raise Refusal(
            f"source.time={values.name}: {n_missing:,} of {len(values):,} values can't be read as a time or a number "
            f"(such as {'a missing one' if pd.isna(example) else repr(str(example))}); correct them, or leave those "
            "rows or source.time out."
        )
    seconds: Floats = np.asarray(times, dtype=np.float64)
    return seconds
