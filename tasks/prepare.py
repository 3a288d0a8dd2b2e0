"""Prepare: check the table, type its columns, decide what was left open, and write it by its content's digest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.quality import quality
from tasks.records import Prepared, Problem, ProblemKind, Roles
from tasks.refusal import Refusal, did_you_mean
from tasks.schema import Schema, as_numbers, as_text, as_times, check_roles, date_format, find_out, row_hashes
from tasks.source import Source, load
from tasks.store import write_folder

MAX_LEVELS_OF_A_WHOLE_NUMBER = 20
N_EXAMPLE_ROWS = 5


@dataclass(frozen=True)
class _Target:
    problem: Problem
    codes: pd.Series[float]
    notes: list[str]


@task(name="prepare", task_run_name="prepare", cache_policy=NO_CACHE, persist_result=False)
def prepare(source: Source, roles: Roles, problem: str, test: Source | None, holdout_seed: int, base: Path | None,
            root: str = "data") -> Prepared:
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
    report = quality(tables["features"], codes.to_numpy(), target.problem)
    if test is not None:
        tables |= _test_split(test, schema, roles, target.problem)
    folder, digest = _write(tables, schema, target.problem, raw, report, Path(root))
    return Prepared(
        folder=str(folder), digest=digest, name=source.name, problem=target.problem, n_rows=len(raw),
        n_features=tables["features"].shape[1], has_group=roles.group is not None, has_time=roles.time is not None,
        notes=(*source.notes(), *target.notes, *notes, *report["notes"]),
    )


def read(source: Source, roles: Roles) -> pd.DataFrame:
    """The raw table, with every role's column in it.

    Raises:
        Refusal: for duplicate names, or a role that names no column; all at once.
    """
    raw = load(source).to_pandas()
    raw.columns = [str(name) for name in raw.columns]
    twice = sorted(set(raw.columns[raw.columns.duplicated()]))
    if twice:
        raise Refusal(f"the table has several columns of one name: {', '.join(twice)}; rename them.")
    faults = check_roles(raw.columns, roles)
    if roles.target is None:
        faults.append(f"source.target is needed: the column to predict, one of {', '.join(raw.columns[:12])}"
                      f"{', ...' if len(raw.columns) > 12 else ''}.")
    if len(raw.columns) == 1:
        faults.append(f"the table has one column only ({raw.columns[0]}); there is nothing to learn from beside the target.")
    if faults:
        raise Refusal(*faults)
    return raw


def find_target(values: pd.Series[Any], roles: Roles, problem: str) -> _Target:
    """Codes 0..k-1 or numbers (NaN where the target is missing and such rows are left out), and the problem.

    Raises:
        Refusal: for a missing, infinite or constant target, or one that the problem doesn't fit.
    """
    text = as_text(values)
    notes = _check_missing(text, roles)
    kind, note = _kind(values, text, problem)
    if note:
        notes.append(note)
    if kind == "regression":
        return _Target(Problem("regression", str(values.name), ()), _regression_target(values, text, roles), notes)
    classes, note = _classes(values, text, roles, kind)
    codes = text.map({str(as_text(pd.Series([label])).iloc[0]): float(code) for code, label in enumerate(classes)})
    return _Target(Problem(kind, str(values.name), tuple(classes)), codes.astype("float64"), [*notes, *note])


def _check_missing(text: pd.Series[Any], roles: Roles) -> list[str]:
    n_missing = int(text.isna().sum())
    if n_missing == len(text):
        raise Refusal(f"source.target={roles.target}: every value is missing.")
    if n_missing and not roles.drop_missing_target:
        raise Refusal(f"source.target={roles.target}: {n_missing:,} of {len(text):,} values are missing; "
                      "source.drop_missing_target=true leaves those rows out.")
    return [f"{n_missing:,} rows without a target are left out"] if n_missing else []


def _kind(values: pd.Series[Any], text: pd.Series[Any], problem: str) -> tuple[ProblemKind, str | None]:
    n_levels = text.nunique()
    name = values.name
    if n_levels == 1:
        raise Refusal(f"source.target={name} is constant: every value is {text.dropna().iloc[0]!r}.")
    numbers = pd.to_numeric(text.dropna(), errors="coerce")
    is_text = bool(numbers.isna().any()) or pd.api.types.is_bool_dtype(values)
    if problem != "auto":
        return _asked_kind(problem, name, n_levels, is_text)
    if n_levels == 2:
        return "binary", f"{name} has two values: a binary problem"
    if is_text:
        return "multiclass", f"{name} is text with {n_levels} values: a multiclass problem"
    if n_levels <= MAX_LEVELS_OF_A_WHOLE_NUMBER and (numbers % 1 == 0).all():
        return "multiclass", f"{name} has {n_levels} whole values: a multiclass problem; problem=regression changes it"
    changes = "; problem=multiclass changes it" if n_levels <= 100 else ""
    return "regression", f"{name} is a number: a regression{changes}"


def _asked_kind(problem: str, name: Any, n_levels: int, is_text: bool) -> tuple[ProblemKind, None]:
    if problem == "binary" and n_levels != 2:
        raise Refusal(f"problem=binary: {name} has {n_levels} different values; choose problem=multiclass or problem=regression.")
    if problem == "regression" and is_text:
        raise Refusal(f"problem=regression: {name} holds text; choose problem=multiclass, or another source.target.")
    if problem == "multiclass" and n_levels == 2:
        return "binary", None
    return problem, None  # type: ignore[return-value]


def _regression_target(values: pd.Series[Any], text: pd.Series[Any], roles: Roles) -> pd.Series[float]:
    numbers = values.astype("float64") if pd.api.types.is_numeric_dtype(values) else pd.to_numeric(text, errors="coerce")
    n_infinite = int(np.isinf(numbers.to_numpy(dtype="float64", na_value=np.nan)).sum())
    if n_infinite:
        raise Refusal(f"source.target={roles.target}: {n_infinite:,} values are infinite; correct them or leave these rows out.")
    return numbers.astype("float64")


def _classes(values: pd.Series[Any], text: pd.Series[Any], roles: Roles, kind: ProblemKind) -> tuple[list[Any], list[str]]:
    """Class values in the user's own type, in order of their codes."""
    labels: list[Any] = sorted(text.dropna().unique())
    if pd.api.types.is_bool_dtype(values):
        labels = [False, True]
    elif pd.api.types.is_numeric_dtype(values):
        numbers = sorted(float(label) for label in labels)
        labels = [int(x) if x.is_integer() else x for x in numbers]
    if kind != "binary":
        return labels, []
    if roles.positive is not None:
        named = [label for label in labels if str(label) == roles.positive]
        if not named:
            texts = [str(label) for label in labels]
            raise Refusal(f"source.positive={roles.positive}: no such class{did_you_mean(roles.positive, texts)} Classes: {', '.join(texts)}.")
        return [label for label in labels if label != named[0]] + named, []
    return labels, [f"the positive class is {labels[1]}; source.positive={labels[0]} changes it"]


def _role_columns(raw: pd.DataFrame, roles: Roles, codes: pd.Series[float], features: pd.DataFrame, seed: int) -> pd.DataFrame:
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
    weights = as_numbers(values).to_numpy()
    n_bad = int((~(weights >= 0)).sum())
    if n_bad or weights.sum() == 0:
        raise Refusal(f"source.weight={values.name}: weights must be numbers of at least 0, and not all 0; {n_bad:,} are not.")
    return weights


def _times(values: pd.Series[Any]) -> np.ndarray[Any, Any]:
    if pd.api.types.is_numeric_dtype(values):
        times = values.astype("float64")
    else:
        times = as_times(values, date_format(values.dropna().head(2_000)))
        times = times.astype("datetime64[ns]").astype("int64").astype("float64").where(times.notna())
    n_missing = int(times.isna().sum())
    if n_missing:
        raise Refusal(f"source.time={values.name}: {n_missing:,} of {len(values):,} values can't be read as a time or a number.")
    return times.to_numpy()


def _schema_of(base: Path, raw: pd.DataFrame, problem: Problem) -> Schema:
    """The schema of the base, where the table has its columns and its classes."""
    schema = Schema.from_json((base / "schema.json").read_text())
    was = json.loads((base / "problem.json").read_text())
    faults = [f"base: it needs the column {column.name}, which the table doesn't have." for column in schema.columns
              if column.name not in raw.columns]
    if was["kind"] != problem.kind or [str(c) for c in was["classes"]] != [str(c) for c in problem.classes]:
        faults.append(f"base: it was trained on a {was['kind']} problem with the classes {was['classes']}; the table is a "
                      f"{problem.kind} problem with {list(problem.classes)}.")
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


def _write(tables: dict[str, pd.DataFrame], schema: Schema, problem: Problem, raw: pd.DataFrame,
           report: dict[str, Any], root: Path) -> tuple[Path, str]:
    digest = hashlib.sha256(schema.to_json().encode())
    digest.update(json.dumps([problem.kind, problem.target, [str(label) for label in problem.classes]]).encode())
    for name, table in tables.items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(row_hashes(table, 0)).tobytes())

    def fill(folder: Path) -> None:
        for name, table in tables.items():
            table.to_parquet(folder / f"{name}.parquet", index=False)
        raw[[column.name for column in schema.columns]].head(N_EXAMPLE_ROWS).to_json(folder / "example.json", orient="split", date_format="iso")
        (folder / "schema.json").write_text(schema.to_json())
        (folder / "problem.json").write_text(json.dumps(asdict(problem)))
        (folder / "quality.json").write_text(json.dumps(report, indent=1))

    name = digest.hexdigest()[:16]
    return write_folder(root / "prepared" / name, fill), name
