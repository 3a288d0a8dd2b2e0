"""A published test split: its rows, read with the schema of the training table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from tasks.cells import as_numbers, as_text
from tasks.columns import Columns, Table
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
KEY = "holdout.path"


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
    found = labelled(test, schema, roles, problem, Asked(KEY, "in the training table"), spool, slices)
    timed = replace(found.roles, time=roles.time if roles.time in found.raw.names else None)
    columns, more = role_columns(found.raw, timed, found.codes, row_hashes(found.raw, seed), seed)
    compared, hashes = train
    is_comparable = set(compared) <= set(found.raw.names)
    n_known = int(np.isin(row_hashes(found.raw.only(compared), seed), hashes).sum()) if is_comparable else 0
    if n_known:
        rows = f"{n_known:,} of {len(found.raw):,} rows of {KEY}"
        more.append(f"{rows} are in the training table too; scores flatter")
    held: dict[str, Table] = {"test_features": found.features, "test_roles": columns}
    return held, found.raw.only(slices).frame(), [*found.notes, *more]


@dataclass(frozen=True)
class Asked:
    """The key that a table was named by, and where its classes must be known."""

    key: str
    known: str


@dataclass(frozen=True)
class Labelled:
    """Rows of another table of the same columns: `codes` (n_rows,) of the target, `roles` those that were read."""

    raw: Columns
    features: Columns
    codes: pd.Series[float]
    roles: Roles
    notes: list[str]


def labelled(
    source: Source,
    schema: Schema,
    roles: Roles,
    problem: Problem,
    asked: Asked,
    spool: Spool,
    slices: Sequence[str] = (),
) -> Labelled:
    """The rows, and beside their roles the columns by which slices are told.

    Raises:
        Refusal: for columns, classes or targets that don't fit the schema and the problem, under the key asked for.
    """
    try:
        # Only what scoring needs must be there: the target, and weights and groups for the scores' intervals.
        kept = Roles(roles.target, (), (), (), (), (), roles.group, None, roles.weight, None, True)
        raw = read(source, kept, spool, slices)
        target = raw[str(roles.target)]
        codes, notes = _codes(as_text(target), target, problem, roles, asked)
        raw, codes = raw.where(codes.notna().to_numpy()), codes[codes.notna()]
        features, _ = typed(raw, schema, spool)
    except Refusal as refusal:
        raise Refusal(*(_under(asked.key, fault) for fault in refusal.faults)) from None
    return Labelled(raw, features, codes, kept, [*source.notes(), *notes])


def _under(key: str, fault: str) -> str:
    if fault.startswith("source.path="):
        return fault.replace("source.path=", f"{key}=", 1)
    return fault if fault.startswith(key) else f"{key}: {fault}"


def _codes(
    text: pd.Series[Any], values: pd.Series[Any], problem: Problem, roles: Roles, asked: Asked
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
            notes.append(f"{len(stripped):,} labels of {asked.key} are known only without their full stop ({such!r})")
            codes = codes.fillna(stripped)
        unknown = sorted(set(text[codes.isna()].dropna()))
        if unknown:
            shown = ", ".join(unknown[:MAX_NAMED]) + ", ..." * (len(unknown) > MAX_NAMED)
            raise Refusal(
                f"{asked.key}: {len(unknown)} of its classes are not {asked.known}: {shown}; "
                f"correct them, or leave those rows out. Known: {', '.join(list(known)[:MAX_NAMED])}."
            )
    else:
        codes = as_numbers(values)
    n_missing = int(codes.isna().sum())
    if n_missing and not roles.drop_missing_target:
        raise Refusal(
            f"{asked.key}: {n_missing:,} of {len(codes):,} values of {roles.target} are missing or no numbers; "
            "source.drop_missing_target=true leaves those rows out."
        )
    return codes, notes + ([f"{n_missing:,} rows of {asked.key} without a target left out"] if n_missing else [])
