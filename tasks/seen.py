"""Seen: which rows a model was trained on, by their hashes alone, so that another model can be compared with it on rows
that neither has seen, whatever its holdout was.

`seen.json` says of each table by which columns its rows are told apart and how many hashes there are, `seen.npy` has
these in the same order: (n,) uint32, at most eight bytes a row, and no label. By chance a row that was not seen looks
as if it were, one in 4,300 for a million rows; none that was seen looks as if it weren't.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from tasks import parquet
from tasks.records import Prepared, Roles, Split
from tasks.row_hash import Hashes, row_hashes, unsalted
from tasks.source_rows import FOLDER

ABOUT, HASHES = "seen.json", "seen.npy"
IDENTITY = "identity.json"
Mask = npt.NDArray[np.bool_]
Short = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Identity:
    """What tells the rows of a table apart where its holdout is drawn: the `columns` of a group, of a key, or all of a
    row's content."""

    by: str
    columns: tuple[str, ...]

    @classmethod
    def of(cls, roles: Roles, content: Iterable[str]) -> Identity | None:
        """None where rows of one group or key stand on both sides, earlier and later: then features alone tell."""
        if roles.time and (roles.group or roles.key):
            return None
        if roles.group:
            return cls("group", (roles.group,))
        return cls("key", tuple(sorted(roles.key))) if roles.key else cls("content", tuple(sorted(content)))

    def write(self, prepared: Path) -> None:
        (prepared / IDENTITY).write_text(json.dumps([self.by, self.columns], ensure_ascii=False), encoding="utf-8")

    @classmethod
    def read(cls, prepared: Path) -> Identity | None:
        """Of a prepared table; None where it has none."""
        if not (prepared / IDENTITY).exists():
            return None
        by, columns = json.loads((prepared / IDENTITY).read_text(encoding="utf-8"))
        return cls(by, tuple(columns))


@dataclass(frozen=True)
class Table:
    """Rows of one table that a model was trained on: the hashes, each once and ascending, by which the table's holdout
    was drawn (none where that isn't known), and those of the features."""

    identity: Identity | None
    features: tuple[str, ...]
    known: Short
    typed: Short

    @property
    def form(self) -> tuple[Identity | None, tuple[str, ...]]:
        return self.identity, self.features

    @property
    def parts(self) -> tuple[Short, Short]:
        return self.known, self.typed

    def union(self, other: Table) -> Table:
        return replace(self, known=np.union1d(self.known, other.known), typed=np.union1d(self.typed, other.typed))


def write(folder: Path, prepared: Prepared, split: Split, seed: int, base: Path | None) -> None:
    """Into the folder of a model that was trained on the split: the hashes of its training rows, and what its base is
    known to have seen, and those of its source that it is trained on beside them. seed: of the holdout.

    Rows are told apart as they were for the holdout, which knows a row again whose values changed, where it has a key;
    and by their features, for tables where that can't be done.
    """
    at, identity = Path(split.folder), Identity.read(Path(prepared.folder))
    known = np.zeros(0, dtype=np.uint32)
    if identity is not None:
        hashes = pd.read_parquet(at / "train_roles.parquet", columns=["hash"])["hash"].to_numpy()
        known = _short(unsalted(hashes, seed))
    features = _features(at)
    own = Table(identity, features, known, _short(_by_features(at / "train_features.parquet", features)))
    _write(folder, [own, *(() if base is None else (*read(base), *read(base / FOLDER)))])


def note(folder: Path, X: pd.DataFrame) -> None:
    """Into the folder of rows that whatever goes on from a base is trained on: that they were, by their features."""
    known, typed = np.zeros(0, dtype=np.uint32), _short(row_hashes(X, 0))
    _write(folder, [Table(None, tuple(X.columns), known, typed)])


def _write(folder: Path, every: Iterable[Table]) -> None:
    """Those of one form as one."""
    tables: dict[Any, Table] = {}
    for one in every:
        tables[one.form] = one.union(tables[one.form]) if one.form in tables else one
    about = [
        {"identity": one.identity and asdict(one.identity), "features": one.features, "rows": list(map(len, one.parts))}
        for one in tables.values()
    ]
    (folder / ABOUT).write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
    np.save(folder / HASHES, np.concatenate([part for one in tables.values() for part in one.parts]))


def read(folder: Path) -> list[Table]:
    """The model's own table, and those of its bases; nothing of a model that keeps none.

    Raises:
        ValueError, KeyError, TypeError, OSError: for files that are none of ours.
    """
    if not (folder / ABOUT).exists():
        return []
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    ends = np.cumsum([n for one in about for n in one["rows"]])
    parts = np.split(np.load(folder / HASHES, allow_pickle=False), ends[:-1])
    found = []
    for one, known, typed in zip(about, parts[::2], parts[1::2], strict=True):
        identity = one["identity"] and Identity(one["identity"]["by"], tuple(one["identity"]["columns"]))
        found.append(Table(identity, tuple(one["features"]), known, typed))
    return found


def known_rows(tables: Sequence[Table], raw: pd.DataFrame, typed: pd.DataFrame) -> Mask:
    """(n_rows,) which rows of a user's table a model was trained on, where its tables tell rows apart by a key or by
    their content: those that are known by that and have the same features still. Of a known group a row may be new.

    raw: as it was read. typed: its features, as `Schema.apply` gives them.
    """
    is_known = np.zeros(len(raw), dtype=np.bool_)
    for table in tables:
        names, features = columns([table]), list(table.features)
        if names and set(names) <= set(raw):
            is_same = _among(raw[list(names)], table.known)
            is_known |= is_same & (not set(features) <= set(typed) or _among(typed[features], table.typed))
    return is_known


def columns(tables: Sequence[Table]) -> tuple[str, ...]:
    """Those of the raw table that `known_rows` looks at."""
    tells = [one.identity for one in tables if one.identity is not None and len(one.known)]
    return tuple(dict.fromkeys(name for one in tells if one.by != "group" for name in one.columns))


def _among(rows: pd.DataFrame, known: Short) -> Mask:
    """(n_rows,) whose hash is known. known: ascending, one at least."""
    hashes = _cut(row_hashes(rows, 0))
    return np.equal(known.take(np.searchsorted(known, hashes), mode="clip"), hashes, dtype=np.bool_)


@dataclass(frozen=True)
class Today:
    """The holdout that models are compared on: folders of the prepared table and of the split, and its salt."""

    prepared: Path
    split: Path
    seed: int

    def seen_by(self, tables: Sequence[Table]) -> Mask | None:
        """(n_holdout,) which rows a model may have seen that was trained on these; None where that can't be told."""
        masks = [mask for table in tables if (mask := self._seen(table)) is not None]
        return np.logical_or.reduce(masks) if masks else None

    def _seen(self, table: Table) -> Mask | None:
        """By what tells rows apart in both tables, else by the features of that one where this one has them all."""
        is_drawn = (self.split / "is_held.npy").exists()  # a published split's hashes are of other columns
        if is_drawn and table.identity is not None and table.identity == Identity.read(self.prepared):
            hashes = pd.read_parquet(self.split / "holdout_labels.parquet", columns=["hash"])["hash"].to_numpy()
            return np.isin(_cut(unsalted(hashes, self.seed)), table.known)
        if not set(table.features) <= set(_features(self.split)):
            return None
        return np.isin(_cut(_by_features(self.split / "holdout_features.parquet", table.features)), table.typed)


def _features(split: Path) -> tuple[str, ...]:
    return tuple(pq.read_schema(split / "train_features.parquet").names)


def _by_features(path: Path, columns: Sequence[str]) -> Hashes:
    return np.concatenate([row_hashes(X[list(columns)], 0) for X in parquet.frames(path)])


def _cut(hashes: Hashes) -> Short:
    return (hashes >> np.uint64(32)).astype(np.uint32)


def _short(hashes: Hashes) -> Short:
    return np.unique(_cut(hashes))
