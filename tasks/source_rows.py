"""The rows that a base was trained on, kept beside it: what rehearsal trains on, and what forgetting is measured on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import parquet
from tasks.records import Problem, Split
from tasks.refusal import Refusal
from tasks.row_hash import row_hashes

FOLDER, FEATURES, ROLES = "source", "features.parquet", "roles.parquet"
ROLE_COLUMNS = ("target", "weight")
Part = Literal["train", "valid", "holdout"]
PARTS: tuple[Part, ...] = ("train", "valid", "holdout")


@dataclass(frozen=True)
class SourceRows:
    """X: (n_rows, n_columns) typed as the base's schema has it. y: (n_rows,) class codes of the problem that is
    fine-tuned for, or the target. weight: (n_rows,) or None."""

    X: pd.DataFrame
    y: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64] | None


def keep(split: Split, folder: Path, n_most: int) -> dict[str, int]:
    """Writes the rows of a split into the folder of the model that was trained on them: its training rows, and the
    sealed holdout, which the model has not seen, in two halves by a bit of each row's hash, so that equal rows and
    whole groups stay together. Of each part at most `n_most` rows, drawn evenly. Gives the number of each part's.
    """
    at = Path(split.folder)
    held = pd.read_parquet(at / "holdout_labels.parquet")
    odd = (held["hash"].to_numpy() & np.uint64(1)).astype(bool)  # the bits above decided who is held out
    sides = {
        "train": (at / "train_features.parquet", pd.read_parquet(at / "train_roles.parquet"), np.arange(split.n_train)),
        "valid": (at / "holdout_features.parquet", held, np.flatnonzero(~odd)),
        "holdout": (at / "holdout_features.parquet", held, np.flatnonzero(odd)),
    }
    features, roles = [], []
    for part, (path, known, rows) in sides.items():
        rows = evenly(rows, n_most)
        features.append(parquet.take(path, rows))
        roles.append(known.iloc[rows][[name for name in ROLE_COLUMNS if name in known]].assign(part=part))
    every = pd.concat(roles)
    write(folder, pd.concat(features), every)
    return counts(every["part"])


def counts(parts: pd.Series[str]) -> dict[str, int]:
    """The number of rows of each part; parts: (n_rows,)."""
    return {part: int((parts == part).sum()) for part in PARTS}


def evenly(rows: npt.NDArray[np.int64], n_most: int) -> npt.NDArray[np.int64]:
    """(n,) all of them, or so many from all over."""
    if len(rows) <= n_most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, n_most).astype(np.int64)]


def write(folder: Path, features: pd.DataFrame, roles: pd.DataFrame) -> None:
    """Both (n_rows, ...), in one order."""
    (folder / FOLDER).mkdir()
    parquet.write_frame(folder / FOLDER / FEATURES, features.reset_index(drop=True))
    parquet.write_frame(folder / FOLDER / ROLES, roles.reset_index(drop=True))


def has_source_rows(base: Path) -> bool:
    return (base / FOLDER / ROLES).exists()


def targets(base: Path, part: Part) -> npt.NDArray[np.float64]:
    """(n_rows,) of a part: codes of the base's own classes, or the target.

    Raises:
        Refusal: when the base keeps no rows.
    """
    roles = _roles(base)
    return roles.loc[roles["part"] == part, "target"].to_numpy(dtype=np.float64)


def source_rows(base: Path, part: Part, problem: Problem) -> SourceRows:
    """The rows of a part: those that the base was trained on, those that choices are made by, and those that are looked
    at once, at the end. `<base>/source/` holds `features.parquet`, as `Schema.apply` gives them, and `roles.parquet`
    with the columns target (codes of the base's own classes), part, and weight where there are weights.

    Raises:
        Refusal: when the base keeps no rows.
    """
    roles, y = _roles(base), targets(base, part)
    own = (roles["part"] == part).to_numpy()
    X = pd.read_parquet(base / FOLDER / FEATURES).loc[own].reset_index(drop=True)
    weight = roles.loc[own, "weight"].to_numpy(dtype=np.float64) if "weight" in roles else None
    return SourceRows(X, y if not problem.is_classification else _codes(base, y, problem), weight)


def _roles(base: Path) -> pd.DataFrame:
    if not has_source_rows(base):
        raise Refusal("the base keeps no rows of its source; give them by source_data=FILE.")
    return pd.read_parquet(base / FOLDER / ROLES)


def n_equal(base: Path, features: Path) -> int:
    """How many rows of a typed table, in a Parquet file, are equal in every column to one that the base was trained on
    and keeps."""
    own = pd.read_parquet(base / FOLDER / ROLES, columns=["part"])["part"].eq("train").to_numpy()
    known = row_hashes(pd.read_parquet(base / FOLDER / FEATURES)[own], 0)
    return sum(int(np.isin(row_hashes(X, 0), known).sum()) for X in parquet.frames(features))


def _codes(base: Path, y: npt.NDArray[np.float64], problem: Problem) -> npt.NDArray[np.float64]:
    """The base's class codes as those of the problem, which has all of the base's classes and maybe more."""
    known: list[Any] = json.loads((base / "problem.json").read_text())["classes"]
    place = {str(label): code for code, label in enumerate(problem.classes)}
    return np.array([place[str(label)] for label in known], dtype=np.float64)[y.astype(np.int64)]
