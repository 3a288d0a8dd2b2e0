"""Which rows of a table don't fit a model's schema, and why; and which columns don't, so that no row does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.cells import as_text
from tasks.schema import Column, Schema

WHAT = {"numeric": "number", "boolean": "truth value", "time": "time"}
Mask = npt.NDArray[np.bool_]


@dataclass
class Misfits:
    """reasons: why, by the place of a row. whole: columns of which no cell that has a value can be read."""

    reasons: dict[int, list[str]] = field(default_factory=dict)
    whole: list[str] = field(default_factory=list)

    def add(self, places: npt.NDArray[np.int64], reasons: Sequence[str]) -> None:
        for place, reason in zip(places.tolist(), reasons, strict=True):
            self.reasons.setdefault(place, []).append(reason)


def misfits(raw: pd.DataFrame, typed: pd.DataFrame, schema: Schema, keys: Sequence[str] = ()) -> Misfits:
    """Cells that have a value which can't be read as what the model was trained on, and keys without a value.

    raw: (n_rows, n_columns) the user's; typed: (n_rows, n_features) what the schema made of them. Levels that are new,
    blanks and infinities are no faults: families take them as they took them in training.
    """
    found = Misfits()
    for column in schema.columns:
        if column.kind in WHAT:
            _look_at(column, raw[column.name], typed[column.features()[0]], found)
    for key in keys:
        # Of numbers each different one would be written as text first: a third of the time of a quick model.
        known = raw[key] if pd.api.types.is_numeric_dtype(raw[key]) else as_text(raw[key])
        places = np.flatnonzero(known.isna().to_numpy())
        found.add(places, [f"{key}, the key, is missing"] * len(places))
    return found


def _look_at(column: Column, values: pd.Series[Any], feature: pd.Series[Any], found: Misfits) -> None:
    """A time has a fault where its first part is missing; numbers in its place are none."""
    is_number = pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values)
    if is_number and column.kind != "time":
        return
    is_lacking = np.ones(len(values), dtype=bool) if is_number else feature.isna().to_numpy()
    if not is_lacking.any():
        return
    text = as_text(values[is_lacking])
    is_there = text.notna().to_numpy()
    is_bad = is_there
    if column.kind == "numeric":
        is_bad = is_there & pd.to_numeric(text, errors="coerce").isna().to_numpy()  # an infinity counts as missing
    if not is_bad.any():
        return
    if is_lacking.all() and is_there.sum() == is_bad.sum():
        found.whole.append(_whole(column, text[is_bad], "numbers" if is_number else "text"))
    places = np.flatnonzero(is_lacking)[is_bad]
    found.add(places, [f"{column.name}={cell!r} is no {WHAT[column.kind]}" for cell in text[is_bad]])


def _whole(column: Column, values: pd.Series[Any], what: str) -> str:
    return f"{column.name} holds {what} (such as {values.iloc[0]!r}) where the model knows {WHAT[column.kind]}s"
