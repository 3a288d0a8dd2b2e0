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

from tasks import base_fit, pairs, parquet
from tasks.base_fit import NOTHING_NEW, Takes
from tasks.cells import as_times
from tasks.columns import Columns, Table
from tasks.find_out import Found, find_out
from tasks.published import published
from tasks.quality import quality
from tasks.raw import keys, read, typed
from tasks.records import Prepared, Problem, Roles
from tasks.refusal import Refusal
from tasks.role_columns import role_columns
from tasks.row_hash import row_hashes
from tasks.schema import Schema
from tasks.seen import Identity
from tasks.slices import write_slices
from tasks.source import Source
from tasks.spool import Spool
from tasks.store import write_folder
from tasks.target import find_target

MAX_NOTES = 25


@task(name="prepare", task_run_name="prepare", cache_policy=NO_CACHE, persist_result=False)
def prepare(
    source: Source,
    roles: Roles,
    problem: str,
    test: Source | None,
    holdout_seed: int,
    base: Path | None,
    root: str = "data",
    takes: Takes = NOTHING_NEW,
    slices: Sequence[str] = (),
    *,
    reads_text: bool = False,
) -> Prepared:
    """The typed table on disk, under `<root>/prepared/<digest>/`.

    test: a published test split, or None; its rows are read with the schema of the training table.
    holdout_seed: salt of the hash by which rows are told apart later.
    base: the folder of a model to go on from, or None; the reading of the columns and the classes of one of tables are
        kept. takes: what the run can take beyond those.
    slices: columns by which slices are told; they lie beside the table and are no part of its digest.
    reads_text: whether a family of the run reads prose; where none does, columns of it are left out, aloud.

    Raises:
        Refusal: for a table that can't be learned from; all faults at once.
    """
    folder = Path(root) / "prepared"
    with Spool(folder) as spool:
        given = source, roles, problem, test, holdout_seed, base, takes, folder, spool, slices
        made = _prepare(*given, reads_text=reads_text)
    parquet.give_back_memory()
    return made


def _prepare(
    source: Source,
    roles: Roles,
    problem: str,
    test: Source | None,
    holdout_seed: int,
    base: Path | None,
    takes: Takes,
    folder: Path,
    spool: Spool,
    slices: Sequence[str],
    *,
    reads_text: bool,
) -> Prepared:
    raw = read(source, roles, spool, slices)
    base = base if base_fit.has_schema(base, roles) else None
    if roles.response is not None:
        target = pairs.target(raw, roles)
    elif base is None:
        target = find_target(raw[str(roles.target)], roles, problem)
    else:
        schema, target = base_fit.fit_to(base, raw, roles, problem, takes)
    is_known = target.codes.notna().to_numpy()
    codes = target.codes[is_known]
    raw = raw if is_known.all() else raw.where(is_known)
    found = pairs.columns(raw, roles) if roles.response else find_out(raw, roles, reads_text=reads_text)
    if base is None:
        _check_features(found)
        schema = found.schema
    features, example = typed(raw, schema, spool)
    said = found.notes if base is None else base_fit.news(base, schema, raw, roles, features, takes)
    compared = _content(raw.names, roles)
    content = row_hashes(raw.only(compared), holdout_seed)
    roles_table, role_notes = role_columns(raw, roles, codes, content, holdout_seed)
    tables: dict[str, Table] = {"features": features, "roles": roles_table}
    if raw.rows is not None:
        tables["places"] = pd.DataFrame({"row": np.flatnonzero(raw.rows)})
    if roles.key:
        tables["keys"] = keys(raw, roles, spool)
    identifiers = {name for name in found.identifiers if name in compared}
    together = not (roles.key or roles.group or roles.time or identifiers or test is not None)
    distinct = [name for name in compared if name not in identifiers]
    told_apart = content if not identifiers else row_hashes(raw.only(distinct), 0)
    y = np.asarray(codes, dtype=np.float64)
    report = quality(features, y, target.problem, told_apart, together=together, text=schema.text)
    test_notes: list[str] = []
    judged = None
    if test is not None:
        known = (compared, content)
        held, judged, test_notes = published(test, schema, roles, target.problem, known, holdout_seed, spool, slices)
        tables |= held
    notes = [*target.notes, *said, *role_notes, *test_notes, *report["notes"]]
    report["notes"] = [*source.notes(), *notes]
    identity = Identity.of(roles, compared)
    path, digest = _write(tables, schema, target.problem, example, report, identity, folder)
    return Prepared(
        folder=str(path),
        digest=digest,
        name=source.name,
        problem=target.problem,
        n_rows=len(raw),
        n_features=len(features.names),
        n_dense=report["n_dense"],
        has_group=roles.group is not None,
        has_time=roles.time is not None,
        notes=_at_most(report["notes"]),
        slices=write_slices(raw, judged, slices, digest, folder.parent / "slices"),
        text=schema.text,
    )


def _at_most(notes: Sequence[str]) -> tuple[str, ...]:
    """All of them stand in quality.json; a table of 10,000 columns would fill the screen."""
    if len(notes) <= MAX_NOTES:
        return tuple(notes)
    return (*notes[:MAX_NOTES], f"and {len(notes) - MAX_NOTES:,} more such findings; all are in quality.json")


def _check_features(found: Found) -> None:
    if found.schema.columns:
        return
    if found.empty and len(found.notes) == 1:
        raise Refusal(
            f"all features are missing in every row ({', '.join(found.empty[:5])}{', ...' * (len(found.empty) > 5)}); "
            "there is nothing to learn from. Is it the right table? See source.path, and of text source.text."
        )
    reasons = "".join(f"\n  {note}" for note in found.notes)
    raise Refusal(f"no column is left to learn from besides the target; name one that is to be kept.{reasons}")


def _content(names: list[str], roles: Roles) -> list[str]:
    """The columns that tell by their content which rows are the same: all but those that may change for the same row.

    Identifiers, constant and empty columns are in, since what a column looks like changes as the table grows. So a row
    that was copied under a new number is another row, unless `source.drop` names the number. Of pairs the prompt alone
    tells, so that no prompt is trained on and asked for too.
    """
    if roles.response is not None:
        return [roles.prompt or roles.response]
    out = {roles.target, roles.weight, *roles.drop, *roles.key}
    return [name for name in names if name not in out] or names


def _update(digest: Any, values: pd.Series[Any]) -> None:
    """With the values as they are; the rows' hashes take 7, "7" and "007" for one."""
    if pd.api.types.is_numeric_dtype(values):
        digest.update(np.ascontiguousarray(values.to_numpy()))
        return
    codes, levels = pd.factorize(values)
    digest.update(codes.astype(np.int32))
    digest.update(json.dumps([str(level) for level in levels]).encode())


def _write(
    tables: dict[str, Table],
    schema: Schema,
    problem: Problem,
    example: pd.DataFrame,
    report: dict[str, Any],
    identity: Identity | None,
    root: Path,
) -> tuple[Path, str]:
    digest = hashlib.sha256(schema.to_json().encode())
    digest.update(json.dumps([problem.kind, problem.target, [str(label) for label in problem.classes]]).encode())
    for name, table in tables.items():
        for column, values in table.items():
            digest.update(json.dumps([name, column], ensure_ascii=False).encode())
            _update(digest, values)

    def fill(folder: Path) -> None:
        for name, table in tables.items():
            if isinstance(table, Columns):
                table.write(folder / f"{name}.parquet")
            elif isinstance(table, pd.DataFrame):
                parquet.write_frame(folder / f"{name}.parquet", table)
        zoned = example.select_dtypes("datetimetz").columns  # a signature's datetime has no zone
        plain = example.assign(**{name: as_times(example[name], None) for name in zoned})
        plain.to_json(folder / "example.json", orient="split", date_format="iso")
        (folder / "schema.json").write_text(schema.to_json())
        (folder / "problem.json").write_text(json.dumps(asdict(problem)))
        (folder / "quality.json").write_text(json.dumps(report, indent=1))
        if identity is not None:
            identity.write(folder)

    name = digest.hexdigest()[:16]
    return write_folder(root / name, fill), name
