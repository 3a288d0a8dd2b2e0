"""Slices: groups of rows by columns that the user names, whether these are learned from or not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.cells import as_numbers, as_text
from tasks.columns import Columns
from tasks.store import write_file

MOST_LEVELS = 10  # of numbers that are names of groups, such as 0 and 1; more are quantities
MISSING = "missing"


def write_slices(raw: Columns, judged: pd.DataFrame | None, names: Sequence[str], digest: str, root: Path) -> str:
    """The Parquet file with each row's slices as text, by the prepared table's digest; '' where none are named.

    judged: those columns of the rows of a published test split, or None: then the file is of the rows of `raw`.
    """
    if not names:
        return ""
    labels = {name: labelled(raw[name], raw[name] if judged is None else judged[name]) for name in names}
    which = [digest, list(names), judged is not None]
    path = root / f"{hashlib.sha256(json.dumps(which).encode()).hexdigest()[:16]}.parquet"
    table = pd.DataFrame(labels)
    root.mkdir(parents=True, exist_ok=True)
    write_file(path, lambda beside: table.to_parquet(beside, index=False))
    return str(path)


def held_slices(path: Path, split: Path) -> pd.DataFrame:
    """(n_holdout, n_columns) what `write_slices` wrote of the holdout's rows. split: the folder of the split."""
    table, file = pd.read_parquet(path), split / "is_held.npy"
    if not file.exists():  # a published split, whose rows these are
        return table
    is_held = np.unpackbits(np.load(file))[: len(table)].astype(np.bool_)
    return table[is_held].reset_index(drop=True)


def labelled(known: pd.Series[Any], values: pd.Series[Any]) -> npt.NDArray[np.object_]:
    """(n_rows,) the name of each value's slice: the value itself, or which quarter of the `known` numbers it is in."""
    text = as_text(values)
    edges = _edges(known)
    if edges is None:
        return text.fillna(MISSING).to_numpy(dtype=object)
    between = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
    names = [f"up to {edges[0]:.4g}", *between, f"over {edges[-1]:.4g}", MISSING]
    numbers = as_numbers(values).to_numpy()
    places = np.where(np.isnan(numbers), len(names) - 1, np.searchsorted(edges, numbers, side="left"))
    return np.asarray(np.array(names, dtype=object)[places])


def _edges(known: pd.Series[Any]) -> npt.NDArray[np.float64] | None:
    """The quartiles of numbers; None of what are names."""
    numbers = as_numbers(known)
    is_quantity = numbers.notna().sum() == as_text(known).notna().sum() and numbers.nunique() > MOST_LEVELS
    return np.unique(np.quantile(numbers.dropna(), [0.25, 0.5, 0.75])) if is_quantity else None
