"""Rows of a base's source that the user gives, for a base that keeps none."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from tasks import base_fit, provenance, source_rows
from tasks.published import Asked, Labelled, labelled
from tasks.records import Roles
from tasks.refusal import Refusal
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
        schema = Schema.from_json((base / "schema.json").read_text(encoding="utf-8"))
        problem = base_fit.problem_of(base)
        asked = replace(roles, target=problem.target)
        found = labelled(source, schema, asked, problem, Asked(KEY, "known to the base"), spool)
        table = _divided(found, seed)
        folder = Path(beside) / "base"
        shutil.copytree(base, folder)
        source_rows.write(folder, pd.DataFrame(dict(found.features.items())), table)
        known = provenance.read(base)
        assert known is not None  # every base in `root` has one
        told = {**known.source, "kept": source_rows.counts(table["part"]), "given": source.name}
        made = replace(known, source=told, files=provenance.digests(folder)).as_json()
        (folder / provenance.FILE).write_text(made, encoding="utf-8")
        digest = hashlib.sha256(made.encode()).hexdigest()[:16]
        return write_folder(root / digest, lambda place: _copy(folder, place))


def _divided(found: Labelled, seed: int) -> pd.DataFrame:
    """(n_rows,) target, part, and where there is one weight."""
    content = [name for name in found.raw.names if name not in (found.roles.target, found.roles.weight)]
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
