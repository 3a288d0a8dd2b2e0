"""Rows of a base's source that the user gives, for a base that keeps none."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasks import base_fit, pairs, parquet, provenance, seen, source_rows
from tasks.published import Asked, Labelled, labelled
from tasks.raw import read, typed
from tasks.records import Roles
from tasks.refusal import Refusal, did_you_mean
from tasks.role_columns import role_columns
from tasks.row_hash import row_hashes
from tasks.schema import Schema
from tasks.source import Source
from tasks.spool import Spool
from tasks.store import write_folder

KEY = "source_data"
# Of the rows, how many are trained on, and up to where they are what is chosen by; the rest is looked at in the end.
TRAIN, VALID = 0.8, 0.9


def with_rows(base: Path, source: Source, roles: Roles, seed: int, root: Path) -> Path:
    """A folder `<root>/<digest>/` with the base's files and the rows, divided by a hash of each that neither target nor
    weight decides; `base.json` says where they came from.

    Raises:
        Refusal: for rows that don't fit the base; for so few that a part would be empty.
    """
    with tempfile.TemporaryDirectory(prefix=".rows-", dir=root) as beside, Spool(Path(beside)) as spool:
        found = _texts(source, roles, spool) if roles.response is not None else _of_table(base, source, roles, spool)
        table = _divided(found, seed)
        folder = Path(beside) / "base"
        shutil.copytree(base, folder)
        source_rows.write(folder, pd.DataFrame(dict(found.features.items())), table)
        return _stored(folder, {"given": source.name}, root)


def to_train_on(base: Path, split: Path, root: Path) -> Path:
    """A folder as `with_rows` gives it, whose rows a model of the split is to train on: less one for each of the sealed
    rows that equals it in every feature, with the label that nobody may see; and with the others as seen, so that the
    model isn't compared with another one on them.

    split: folder.

    Raises:
        Refusal: where none is left.
    """
    kept = base / source_rows.FOLDER
    features, roles = pd.read_parquet(kept / source_rows.FEATURES), pd.read_parquet(kept / source_rows.ROLES)
    trained = roles.index[roles["part"].eq("train")]
    hashes = pd.Series(row_hashes(features.loc[trained], 0), trained)
    sealed = [row_hashes(X[list(features)], 0) for X in parquet.frames(split / "holdout_features.parquet")]
    copies = pd.Series(np.concatenate(sealed)).value_counts()
    is_sealed = hashes.groupby(hashes).cumcount() < hashes.map(copies).fillna(0)
    if is_sealed.all():
        raise Refusal(f"{KEY}: all of its rows are sealed rows of the table; give others, or none.")
    gone = trained[is_sealed]
    with tempfile.TemporaryDirectory(prefix=".rows-", dir=root) as beside:
        folder = Path(beside) / "base"
        shutil.copytree(base, folder, ignore=lambda at, _: {source_rows.FOLDER} if Path(at) == base else set())
        source_rows.write(folder, features.drop(gone), roles.drop(gone))
        seen.note(folder / source_rows.FOLDER, features.loc[trained.difference(gone)])
        return _stored(folder, {"sealed": len(gone)}, root)


def _stored(folder: Path, more: dict[str, Any], root: Path) -> Path:
    """A copy below `root` named by what is in it; more: what its `base.json` tells of its rows in addition."""
    known = provenance.read(folder)
    assert known is not None  # every base in `root` has one
    kept = source_rows.counts(pd.read_parquet(folder / source_rows.FOLDER / source_rows.ROLES)["part"])
    told = {**known.source, "kept": kept, **more}
    made = replace(known, source=told, files=provenance.digests(folder)).as_json()
    (folder / provenance.FILE).write_text(made, encoding="utf-8")
    digest = hashlib.sha256(made.encode()).hexdigest()[:16]
    return write_folder(root / digest, lambda place: _copy(folder, place))


def _of_table(base: Path, source: Source, roles: Roles, spool: Spool) -> Labelled:
    """The rows as the base reads a table."""
    schema = Schema.from_json((base / "schema.json").read_text(encoding="utf-8"))
    problem = base_fit.problem_of(base)
    asked = replace(roles, target=problem.target)
    return labelled(source, schema, asked, problem, Asked(KEY, "known to the base"), spool)


def _texts(source: Source, roles: Roles, spool: Spool) -> Labelled:
    """Pairs, or where the file has no prompts plain texts, in columns of the same names as the table's; those without a
    response are left out.

    Raises:
        Refusal: under the key, for a file that has no such column.
    """
    try:
        names = next(iter(source.batches())).schema.names
        if roles.response not in names:
            near = did_you_mean(str(roles.response), names)
            raise Refusal(f"its texts must be in a column {roles.response}, as in the table that is trained on{near}")
        prompt = roles.prompt if roles.prompt in names else None
        kept = Roles(roles.response, (), (), (), (), (), None, None, None, None, True, prompt, roles.response)
        raw = read(source, kept, spool)
        target = pairs.target(raw, kept)
        is_known = target.codes.notna()
        raw = raw.where(is_known.to_numpy())
        features, _ = typed(raw, pairs.columns(raw, kept).schema, spool)
    except Refusal as refusal:
        raise Refusal(*(f"{KEY}: {fault}" for fault in refusal.faults)) from None
    return Labelled(raw, features, target.codes[is_known], kept, [*source.notes(), *target.notes])


def _divided(found: Labelled, seed: int) -> pd.DataFrame:
    """(n_rows,) target, part, and where there is one weight."""
    out = (found.roles.target, found.roles.weight)
    content = [name for name in found.raw.names if name not in out] or [str(found.roles.target)]
    columns, _ = role_columns(found.raw, found.roles, found.codes, row_hashes(found.raw.only(content), seed), seed)
    place = (columns["hash"].to_numpy() >> np.uint64(11)).astype(np.float64) / 2.0**53  # uniform on [0, 1)
    parts = np.select([place < TRAIN, place < VALID], ["train", "valid"], "holdout")
    kept = [name for name in source_rows.ROLE_COLUMNS if name in columns]
    table = columns[kept].assign(part=pd.array(parts, dtype="str"))
    if empty := [part for part, n in source_rows.counts(table["part"]).items() if not n]:
        raise Refusal(
            f"{KEY}: of its {len(table)} rows none is left for {' and '.join(empty)}; give some hundred rows, or none."
        )
    return table


def _copy(folder: Path, place: Path) -> None:
    shutil.copytree(folder, place, dirs_exist_ok=True)
