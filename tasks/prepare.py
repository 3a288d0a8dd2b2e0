"""Prepare: check the table, type its columns, decide what was left open, and write it by its content's digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.cells import as_numbers, as_text, as_times
from tasks.find_out import Found, find_out
from tasks.quality import quality
from tasks.records import Prepared, Problem, Roles
from tasks.refusal import Refusal
from tasks.role_columns import role_columns
from tasks.row_hash import Hashes, row_hashes
from tasks.schema import Schema, check_roles
from tasks.source import Source, load
from tasks.store import write_folder
from tasks.target import codes_of, find_target

N_EXAMPLE_ROWS = 5
N_COLUMNS_IN_ONE_BLOCK = 500  # wider tables are kept in one block, narrower ones column by column, without a copy
MAX_NOTES = 25
MAX_NAMED = 5


@task(name="prepare", task_run_name="prepare", cache_policy=NO_CACHE, persist_result=False)
def prepare(
    source: Source,
    roles: Roles,
    problem: str,
    test: Source | None,
    holdout_seed: int,
    base: Path | None,
    root: str = "data",
) -> Prepared:
    """The typed table on disk, under `<root>/prepared/<digest>/`.

    test: a published test split, or None; its rows are read with the schema of the training table.
    holdout_seed: salt of the hash by which rows are told apart later.
    base: the folder of a registered model to go on from, whose reading of the columns is kept, or None.

    Raises:
        Refusal: for a table that can't be learned from; all faults at once.
    """
    raw = read(source, roles)
    target = find_target(raw[roles.target], roles, problem)
    is_known = target.codes.notna()
    if not is_known.all():
        raw, target_codes = raw[is_known], target.codes[is_known]
    else:
        target_codes = target.codes
    found = find_out(raw, roles)
    schema = found.schema if base is None else _schema_of(base, raw, target.problem)
    _check_features(found)
    features = schema.apply(raw)
    compared = _content(raw, roles)
    content = row_hashes(raw[compared], holdout_seed)
    roles_table, role_notes = role_columns(raw, roles, target_codes, content, holdout_seed)
    tables = {"features": features, "roles": roles_table}
    identifiers = [name for name in found.identifiers if name in compared]
    together = not (roles.key or roles.group or roles.time or identifiers or test is not None)
    told_apart = content if not identifiers else row_hashes(raw[compared].drop(columns=identifiers), 0)
    y = np.asarray(target_codes, dtype=np.float64)
    report = quality(features, y, target.problem, told_apart, together=together)
    test_notes: list[str] = []
    if test is not None:
        held, test_notes = _test_split(test, schema, roles, target.problem, (compared, content), holdout_seed)
        tables |= held
    notes = [*target.notes, *(found.notes if base is None else []), *role_notes, *test_notes, *report["notes"]]
    report["notes"] = [*source.notes(), *notes]
    folder, digest = _write(tables, schema, target.problem, raw, report, Path(root))
    return Prepared(
        folder=str(folder),
        digest=digest,
        name=source.name,
        problem=target.problem,
        n_rows=len(raw),
        n_features=features.shape[1],
        has_group=roles.group is not None,
        has_time=roles.time is not None,
        notes=_at_most(report["notes"]),
    )


def read(source: Source, roles: Roles) -> pd.DataFrame:
    """The raw table, with every role's column in it.

    Raises:
        Refusal: for duplicate names, or a role that names no column; all at once.
    """
    table = load(source)
    raw: pd.DataFrame = table.to_pandas(split_blocks=table.num_columns < N_COLUMNS_IN_ONE_BLOCK)
    raw.columns = pd.Index([str(name) for name in raw.columns], dtype=object)
    twice = sorted(set(raw.columns[raw.columns.duplicated()]))
    if twice:
        raise Refusal(f"the table has several columns of one name: {', '.join(twice)}; rename them.")
    faults = check_roles(raw.columns, roles)
    if roles.target is None:
        faults.append(
            f"source.target is needed: the column to predict, one of {', '.join(raw.columns[:12])}"
            f"{', ...' if len(raw.columns) > 12 else ''}."
        )
    if len(raw.columns) == 1:
        faults.append(
            f"the table has one column only ({raw.columns[0]}); there is nothing to learn from beside the target. "
            "Is source.delimiter right?"
        )
    if faults:
        raise Refusal(*faults)
    return raw


def _at_most(notes: Sequence[str]) -> tuple[str, ...]:
    """All of them stand in quality.json; a table of 10,000 columns would fill the screen."""
    if len(notes) <= MAX_NOTES:
        return tuple(notes)
    return (*notes[:MAX_NOTES], f"and {len(notes) - MAX_NOTES:,} more such findings; all are in quality.json")


def _check_features(found: Found) -> None:
    if found.schema.columns:
        return
    if found.empty and len(found.notes) == 1:
        raise Refusal("all features are missing in every row; there is nothing to learn from. Is it the right table?")
    reasons = "".join(f"\n  {note}" for note in found.notes)
    raise Refusal(f"no column is left to learn from besides the target; name one that is to be kept.{reasons}")


def _content(raw: pd.DataFrame, roles: Roles) -> list[str]:
    """The columns that tell by their content which rows are the same: all but those that may change for the same row.

    Identifiers, constant and empty columns are in, since what a column looks like changes as the table grows. So a row
    that was copied under a new number is another row, unless `source.drop` names the number.
    """
    out = {roles.target, roles.weight, *roles.drop, *roles.key}
    return [name for name in raw.columns if name not in out] or list(raw.columns)


def _schema_of(base: Path, raw: pd.DataFrame, problem: Problem) -> Schema:
    """The schema of the base, where the table has its columns and its classes."""
    schema = Schema.from_json((base / "schema.json").read_text())
    was = json.loads((base / "problem.json").read_text())
    faults = [
        f"base: it needs the column {column.name}, which the table doesn't have."
        for column in schema.columns
        if column.name not in raw.columns
    ]
    if was["kind"] != problem.kind or [str(c) for c in was["classes"]] != [str(c) for c in problem.classes]:
        faults.append(
            f"base: it was trained on a {was['kind']} problem with the classes {was['classes']}; the table is a "
            f"{problem.kind} problem with {list(problem.classes)}."
        )
    if faults:
        raise Refusal(*faults)
    return schema


def _test_split(
    test: Source, schema: Schema, roles: Roles, problem: Problem, train: tuple[list[str], Hashes], seed: int
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Features and roles of a published test split, and what to say aloud about it.

    train: the columns by which rows of the training table are compared, and the rows' hashes.
    """
    try:
        # Only what scoring needs must be there: the target, and weights and groups for the scores' intervals.
        kept = Roles(roles.target, (), (), (), (), (), roles.group, None, roles.weight, None, True)
        raw = read(test, kept)
        codes, notes = _test_codes(as_text(raw[roles.target]), raw[roles.target], problem, roles)
        raw, codes = raw[codes.notna()], codes[codes.notna()]
        features = schema.apply(raw)
        columns, more = role_columns(raw, kept, codes, row_hashes(raw, seed), seed)
    except Refusal as refusal:
        raise Refusal(*(_of_holdout(fault) for fault in refusal.faults)) from None
    compared, hashes = train
    is_comparable = set(compared) <= set(raw.columns)
    n_known = int(np.isin(row_hashes(raw[compared], seed), hashes).sum()) if is_comparable else 0
    if n_known:
        more.append(f"{n_known:,} of {len(raw):,} rows of holdout.path are in the training table too; scores flatter")
    return {"test_features": features, "test_roles": columns}, [*test.notes(), *notes, *more]


def _of_holdout(fault: str) -> str:
    if fault.startswith("source.path="):
        return fault.replace("source.path=", "holdout.path=", 1)
    return fault if fault.startswith("holdout.path") else f"holdout.path: {fault}"


def _test_codes(
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


def _exact(values: pd.Series[Any]) -> bytes:
    """The values as they are; the rows' hashes take 7, "7" and "007" for one."""
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy().tobytes()
    return pd.util.hash_array(values.astype(object).fillna("").to_numpy(), categorize=True).tobytes() + (
        values.isna().to_numpy().tobytes()
    )


def _write(
    tables: dict[str, pd.DataFrame],
    schema: Schema,
    problem: Problem,
    raw: pd.DataFrame,
    report: dict[str, Any],
    root: Path,
) -> tuple[Path, str]:
    digest = hashlib.sha256(schema.to_json().encode())
    digest.update(json.dumps([problem.kind, problem.target, [str(label) for label in problem.classes]]).encode())
    for name, table in tables.items():
        digest.update(name.encode())
        digest.update(json.dumps(list(table.columns), ensure_ascii=False).encode())
        for column in table.columns:
            digest.update(_exact(table[column]))

    def fill(folder: Path) -> None:
        for name, table in tables.items():
            table.to_parquet(folder / f"{name}.parquet", index=False)
        example = raw.head(N_EXAMPLE_ROWS)[[column.name for column in schema.columns]]
        zoned = example.select_dtypes("datetimetz").columns  # a signature's datetime has no zone
        example = example.assign(**{name: as_times(example[name], None) for name in zoned})
        example.to_json(folder / "example.json", orient="split", date_format="iso")
        (folder / "schema.json").write_text(schema.to_json())
        (folder / "problem.json").write_text(json.dumps(asdict(problem)))
        (folder / "quality.json").write_text(json.dumps(report, indent=1))

    name = digest.hexdigest()[:16]
    return write_folder(root / "prepared" / name, fill), name
