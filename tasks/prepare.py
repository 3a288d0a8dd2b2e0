"""Prepare: check the table, type its columns, decide what was left open, and write it by its content's digest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.quality import quality
from tasks.records import Prepared, Problem, Roles
from tasks.refusal import Refusal
from tasks.schema import Schema, as_numbers, as_text, as_times, check_roles, date_format, find_out, row_hashes
from tasks.source import Source, load
from tasks.store import write_folder
from tasks.target import find_target

N_EXAMPLE_ROWS = 5


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
    raw = raw[target.codes.notna()]
    codes = target.codes[target.codes.notna()]
    schema, notes = find_out(raw, roles) if base is None else (_schema_of(base, raw, target.problem), [])
    if not schema.columns:
        raise Refusal("no column is left to learn from besides the target:\n  " + "\n  ".join(notes))
    tables = {"features": schema.apply(raw)}
    if tables["features"].isna().all().all():
        raise Refusal("all features are missing in every row; there is nothing to learn from.")
    tables["roles"] = _role_columns(raw, roles, codes, tables["features"], holdout_seed)
    report = quality(tables["features"], codes.to_numpy(dtype=np.float64), target.problem)
    if test is not None:
        tables |= _test_split(test, schema, roles, target.problem)
    folder, digest = _write(tables, schema, target.problem, raw, report, Path(root))
    return Prepared(
        folder=str(folder),
        digest=digest,
        name=source.name,
        problem=target.problem,
        n_rows=len(raw),
        n_features=tables["features"].shape[1],
        has_group=roles.group is not None,
        has_time=roles.time is not None,
        notes=(*source.notes(), *target.notes, *notes, *report["notes"]),
    )


def read(source: Source, roles: Roles) -> pd.DataFrame:
    """The raw table, with every role's column in it.

    Raises:
        Refusal: for duplicate names, or a role that names no column; all at once.
    """
    raw: pd.DataFrame = load(source).to_pandas()
    raw.columns = [str(name) for name in raw.columns]
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
            f"the table has one column only ({raw.columns[0]}); there is nothing to learn from beside the target."
        )
    if faults:
        raise Refusal(*faults)
    return raw


def _role_columns(
    raw: pd.DataFrame, roles: Roles, codes: pd.Series[float], features: pd.DataFrame, seed: int
) -> pd.DataFrame:
    """(n_rows,) columns target, hash, and where given weight, group and time (as int64 nanoseconds or float64)."""
    columns: dict[str, Any] = {"target": codes.to_numpy()}
    if roles.weight:
        columns["weight"] = _weights(raw[roles.weight])
    if roles.group:
        columns["group"] = as_text(raw[roles.group]).fillna("").to_numpy()
    if roles.time:
        columns["time"] = _times(raw[roles.time])
    if roles.group:
        identity = pd.DataFrame({"group": columns["group"]})
    elif roles.key:
        identity = pd.DataFrame({name: as_text(raw[name]) for name in roles.key})
    else:
        identity = features
    columns["hash"] = row_hashes(identity, seed)
    return pd.DataFrame(columns)


def _weights(values: pd.Series[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    weights = as_numbers(values).to_numpy(dtype=np.float64)
    n_bad = int((~(weights >= 0)).sum())
    if n_bad or weights.sum() == 0:
        raise Refusal(
            f"source.weight={values.name}: weights must be numbers of at least 0, and not all 0; {n_bad:,} are not."
        )
    return weights


def _times(values: pd.Series[Any]) -> np.ndarray[Any, Any]:
    if pd.api.types.is_numeric_dtype(values):
        times = values.astype("float64")
    else:
        times = as_times(values, date_format(values.dropna().head(2_000)))
        times = times.astype("datetime64[ns]").astype("int64").astype("float64").where(times.notna())
    n_missing = int(times.isna().sum())
    if n_missing:
        raise Refusal(
            f"source.time={values.name}: {n_missing:,} of {len(values):,} values can't be read as a time or a number."
        )
    return times.to_numpy()


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


def _test_split(test: Source, schema: Schema, roles: Roles, problem: Problem) -> dict[str, pd.DataFrame]:
    """Features and roles of a published test split. A label that only a trailing full stop keeps from being known
    (as in the census table's published test file) is taken for the known one."""
    raw = read(test, roles)
    text = as_text(raw[roles.target])
    if problem.is_classification:
        known = {str(label): float(code) for code, label in enumerate(problem.classes)}
        codes = text.map(lambda label: known.get(label, known.get(str(label).rstrip(".")))).astype("float64")
        unknown = sorted(set(text[codes.isna()].dropna()))
        if unknown:
            raise Refusal(f"holdout.path: classes that the training table doesn't have: {', '.join(unknown[:5])}.")
    else:
        codes = as_numbers(raw[roles.target])
    if codes.isna().any():
        raise Refusal(f"holdout.path: {int(codes.isna().sum()):,} rows have no target; leave them out.")
    features = schema.apply(raw)
    return {"test_features": features, "test_roles": _role_columns(raw, roles, codes, features, 0)}


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
        digest.update(np.ascontiguousarray(row_hashes(table, 0)).tobytes())

    def fill(folder: Path) -> None:
        for name, table in tables.items():
            table.to_parquet(folder / f"{name}.parquet", index=False)
        raw[[column.name for column in schema.columns]].head(N_EXAMPLE_ROWS).to_json(
            folder / "example.json", orient="split", date_format="iso"
        )
        (folder / "schema.json").write_text(schema.to_json())
        (folder / "problem.json").write_text(json.dumps(asdict(problem)))
        (folder / "quality.json").write_text(json.dumps(report, indent=1))

    name = digest.hexdigest()[:16]
    return write_folder(root / "prepared" / name, fill), name
