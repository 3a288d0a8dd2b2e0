"""The user's table as it is read, and the features that a schema makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd
import pyarrow as pa

from tasks.cells import as_text
from tasks.columns import Builder, Columns
from tasks.records import Roles
from tasks.refusal import Refusal, did_you_mean
from tasks.schema import Schema, check_roles
from tasks.source import Source
from tasks.spool import Spool

N_EXAMPLE_ROWS = 5


def read(source: Source, roles: Roles, spool: Spool, slices: Sequence[str] = ()) -> Columns:
    """The raw table, with every role's column in it, and those by which slices are told.

    Raises:
        Refusal: for duplicate names, or a role or slice that names no column; all at once.
    """
    return Columns.of(_checked(source, roles, slices), spool)


def _checked(source: Source, roles: Roles, slices: Sequence[str]) -> Iterator[pa.RecordBatch]:
    is_first = True
    for batch in source.batches():
        if is_first:
            _check(batch.schema.names, roles, slices)
        is_first = False
        yield batch


def _check(names: list[str], roles: Roles, slices: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise Refusal(f"the table has several columns of one name: {', '.join(twice)}; rename them.")
    faults = check_roles(names, roles)
    absent = [name for name in slices if name not in names]
    faults += [f"slices={name}: the table has no such column{did_you_mean(name, names)}" for name in absent]
    if not roles.target:
        faults.append(
            f"source.target is needed: the column to predict, one of {', '.join(names[:12])}"
            f"{', ...' if len(names) > 12 else ''}."
        )
    if len(names) == 1 and roles.response is None:
        faults.append(
            f"the table has one column only ({names[0]}); there is nothing to learn from beside the target. "
            "Is source.delimiter right?"
        )
    if faults:
        raise Refusal(*faults)


def keys(raw: Columns, roles: Roles, spool: Spool) -> Columns:
    """The columns of `source.key` as text, by which a row is named to the user."""
    built = Builder(len(raw), len(roles.key), spool)
    for name in dict.fromkeys(roles.key):
        built.add(name, as_text(raw[name]))
    return built.columns


def typed(raw: Columns, schema: Schema, spool: Spool) -> tuple[Columns, pd.DataFrame]:
    """The features of all rows, and the raw values that the first rows' features are made of.

    Raises:
        Refusal: when columns are missing; names them.
    """
    schema.check(raw.names)
    built = Builder(len(raw), len(schema.features), spool)
    example = {}
    for column in schema.columns:
        values = raw[column.name]
        example[column.name] = values.head(N_EXAMPLE_ROWS)
        for name, feature in column.read(values).items():
            built.add(name, feature)
    return built.columns, pd.DataFrame(example)
