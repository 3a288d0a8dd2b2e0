"""Folds on disk and in memory: a bit for each row on each side, until a fold's rows are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Fold = tuple[Rows, Rows]
SIDES = ("train", "valid")


@dataclass(frozen=True)
class _Side:
    """bits: (ceil(n_rows / 8),) uint8, whether a row is in; again: (n,) the rows that a splitter drew more than once,
    as often as they come again."""

    bits: NDArray[np.uint8]
    again: Rows

    def rows(self) -> Rows:
        rows = np.flatnonzero(np.unpackbits(self.bits))
        return np.sort(np.concatenate([rows, self.again])) if len(self.again) else rows


@dataclass(frozen=True)
class Folds(Sequence[Fold]):
    """Row positions (train, valid) of each fold, ascending int64, made anew whenever they are asked for: five folds of
    four million rows are 5 MB so, and 160 MB as positions."""

    sides: tuple[tuple[_Side, _Side], ...]

    def __len__(self) -> int:
        return len(self.sides)

    @overload
    def __getitem__(self, fold: int) -> Fold: ...
    @overload
    def __getitem__(self, fold: slice) -> list[Fold]: ...
    def __getitem__(self, fold: int | slice) -> Fold | list[Fold]:
        if isinstance(fold, slice):
            return [self[one] for one in range(*fold.indices(len(self)))]
        train, valid = self.sides[fold]
        return train.rows(), valid.rows()


def write_folds(folder: Path, folds: Sequence[Fold]) -> None:
    """Writes `folds.npz`; the rows of each side ascend."""
    n_rows = 1 + max(int(rows[-1]) for fold in folds for rows in fold)
    arrays: dict[str, NDArray[np.generic]] = {}
    for k, fold in enumerate(folds):
        for side, rows in zip(SIDES, fold, strict=True):
            is_in = np.zeros(n_rows, dtype=bool)
            is_in[rows] = True
            arrays[f"{side}_{k}"] = np.packbits(is_in)
            arrays[f"{side}_{k}_again"] = rows[1:][rows[1:] == rows[:-1]]
    np.savez(folder / "folds.npz", **arrays)  # type: ignore[arg-type]  # numpy's stub takes them for its flag


def read_folds(folder: Path) -> Folds:
    """What `write_folds` wrote."""
    with np.load(folder / "folds.npz") as file:
        sides = [
            tuple(_Side(file[f"{side}_{k}"], file[f"{side}_{k}_again"]) for side in SIDES)
            for k in range(len(file.files) // 4)
        ]
    return Folds(tuple((train, valid) for train, valid in sides))
