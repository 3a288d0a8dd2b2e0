"""Crossings: groups on both sides of a division, and training rows that are later than what is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tasks.divided import Divided
from tasks.verdict import Finding, Number


@dataclass(frozen=True)
class Crossings:
    """Nothing of it is certain: for groups that will be known, or a split that others have published, a crossing may be
    meant. Expected, and so not suspected, are groups that a division by time crosses."""

    name: ClassVar[str] = "crossings"

    def inspect(self, divided: Divided) -> Finding | None:
        numbers: dict[str, Number] = {}
        expected: list[str] = []
        suspected: list[str] = []
        if divided.groups is not None:
            of_groups = _of_groups(divided, numbers)
            (expected if divided.is_by_time else suspected).extend(of_groups)
        if divided.times is not None:
            suspected += _of_times(divided, numbers)
        if not numbers:
            return None
        reason = "; ".join([*suspected, *expected])
        return Finding(self.name, "told" if reason else "passed", reason, numbers, is_suspected=bool(suspected))


def _of_groups(divided: Divided, numbers: dict[str, Number]) -> list[str]:
    assert divided.groups is not None
    groups, held = divided.groups
    both = np.intersect1d(groups, held)
    n_folds = sum(bool(len(np.intersect1d(groups[valid], groups[train]))) for train, valid in divided.folds)
    numbers |= {
        "groups_on_both_sides_of_the_holdout": Number(len(both)),
        "share_of_the_holdout_in_them": Number(float(np.isin(held, both).mean())),
        "folds_that_cross_groups": Number(n_folds),
    }
    said = []
    if len(both):
        said.append(
            f"{len(both):,} groups stand on both sides of the holdout; its scores are for groups that are known"
        )
    if n_folds:
        said.append("groups stand on both sides of the folds; folds=grouped keeps them whole")
    return said


def _of_times(divided: Divided, numbers: dict[str, Number]) -> list[str]:
    assert divided.times is not None
    times, held = divided.times
    said = []
    if held is not None:
        n_later = int((times > held.min()).sum())
        numbers["training_rows_later_than_the_holdout"] = Number(n_later)
        if n_later:
            said.append(
                f"{n_later:,} training rows are later than the first of holdout.path: its scores know the future; "
                "leave these rows, or holdout.path, out"
            )
    n_folds = sum(bool((times[train] > times[valid].min()).any()) for train, valid in divided.folds)
    numbers["folds_that_know_the_future"] = Number(n_folds)
    if n_folds:
        said.append(
            f"{n_folds} of {len(divided.folds)} folds train on rows later than those that they validate; "
            "folds=time_ordered trains on the past only"
        )
    return said
