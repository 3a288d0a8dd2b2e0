"""A published test split: its rows, read with the schema of the training table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tasks.cells import as_numbers, as_text
from tasks.columns import Table
from tasks.raw import read, typed
from tasks.records import Problem, Roles
from tasks.refusal import Refusal
from tasks.role_columns import role_columns
from tasks.row_hash import Hashes, row_hashes
from tasks.schema import Schema
from tasks.source import Source
from tasks.spool import Spool
from tasks.target import codes_of

MAX_NAMED = 5


def published(
    test: Source,
    schema: Schema,
    roles: Roles,
    problem: Problem,
    train: tuple[list[str], Hashes],
    seed: int,
    spool: Spool,
    slices: Sequence[str] = (),
) -> tuple[dict[str, Table], pd.DataFrame, list[str]]:
    """Features and roles of the split, the columns by which slices are told, and what to say aloud about it.

    train: the columns by which rows of the training table are compared, and the rows' hashes.

    Raises:
        Refusal: for columns, classes or targets that are not those of the training table.
    """
    try:
        # Only what scoring needs must be there: the target, and weights and groups for the scores' intervals.
        kept = Roles(roles.target, (), (), (), (), (), roles.group, None, roles.weight, None, True)
        raw = read(test, kept, spool, slices)
        target = raw[str(roles.target)]
        codes, notes = _codes(as_text(target), target, problem, roles)
        raw, codes = raw.where(codes.notna().to_numpy()), codes[codes.notna()]
        features, _ = typed(raw, schema, spool)
        columns, more = role_columns(raw, kept, codes, row_hashes(raw, seed), seed)
    except Refusal as refusal:
        raise Refusal(*(_of_holdout(fault) for fault in refusal.faults)) from None
    compared, hashes = train
    is_comparable = set(compared) <= set(raw.names)
    n_known = int(np.isin(row_hashes(raw.only(compared), seed), hashes).sum()) if is_comparable else 0
    if n_known:
        more.append(f"{n_known:,} of {len(raw):,} rows of holdout.path are in the training table too; scores flatter")
    held: dict[str, Table] = {"test_features": features, "test_roles": columns}
    return held, raw.only(slices).frame(), [*test.notes(), *notes, *more]


def _of_holdout(fault: str) -> str:
    if fault.startswith("source.path="):
        return fault.replace("source.path=", "holdout.path=", 1)
    return fault if fault.startswith("holdout.path") else f"holdout.path: {fault}"


def _codes(
    text: pd.Series[Any], values: pd.Series[Any], problem: Problem, roles: Roles
) -> tuple[pd.Series[float], list[str]]:
    """Codes, NaN in rows to leave out. A label that only a trailing full stop keeps from being known (as in the
    census table's published test file) is taken for the known one."""
    notes = []
    if problem.is_classification:
        known = codes_of(problem.classes)
        codes = text.map(known).astype("float64")
        stripped = text[codes.isna()].str.rstrip(".").map(known).dropna()
        if len(stripped):
            such = text[stripped.index[0]]
            notes.append(f"{len(stripped):,} labels of holdout.path are known only without their full stop ({such!r})")
            codes = codes.fillna(stripped)
        unknown = sorted(set(text[codes.isna()].dropna()))
        if unknown:
            shown = ", ".join(unknown[:MAX_NAMED]) + ", ..." * (len(unknown) > MAX_NAMED)
            raise Refusal(
                f"holdout.path: {len(unknown)} of its classes are not in the training table: {shown}; "
                f"correct them, or leave those rows out. Known: {', '.join(list(known)[:MAX_NAMED])}."
            )
    else:
        codes = as_numbers(values)
    n_missing = int(codes.isna().sum())
    if n_missing and not roles.drop_missing_target:
        raise Refusal(
            f"holdout.path: {n_missing:,} of {len(codes):,} values of {roles.target} are missing or no numbers; "
            "source.drop_missing_target=true leaves those rows out."
        )
    return codes, notes + ([f"{n_missing:,} rows of holdout.path without a target left out"] if n_missing else [])
