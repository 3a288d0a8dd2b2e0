"""Reproduction: what of a run came out again and what didn't, and what was not the same to begin with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

# What must come out again, of an outcome; the rest of it tells under which circumstances it came out.
RESULTS = ("trials", "winner", "hyperparameters", "folds", "ensemble", "final", "corrected", "holdout",
           "predictions")  # fmt: skip
CAUSES = ("identity", "versions", "threads", "machine")
DATA, SPLIT = "data", "split"
ABSENT = "nothing"
LABEL = "prediction"  # of classes: beside their probabilities


@dataclass(frozen=True)
class Difference:
    """A value as it was recorded and as it is now, under the name of its place: `folds.fold 3`, `versions.numpy`."""

    what: str
    recorded: Any
    now: Any


@dataclass(frozen=True)
class Reproduction:
    """What came of it. differences: of results; causes: of what decides them, and what else may explain a difference.
    checked: how many numbers were compared. reproduced: the MLflow run of the second time, or None where it was not
    worth the search."""

    run_id: str
    is_equal: bool
    checked: int
    differences: tuple[Difference, ...]
    causes: tuple[Difference, ...]
    notes: tuple[str, ...]
    reproduced: str | None
    seconds: float


def differences(recorded: Any, now: Any, what: str = "") -> Iterator[Difference]:
    """Of two values as JSON has them, leaf by leaf."""
    if isinstance(recorded, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys([*recorded, *now]):
            inner = f"{what}.{key}" if what else str(key)
            yield from differences(recorded.get(key, ABSENT), now.get(key, ABSENT), inner)
    elif recorded != now:
        yield Difference(what, recorded, now)


def of_results(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Difference, ...]:
    return _of(RESULTS, recorded, now)


def causes(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Difference, ...]:
    """What was not the same to begin with; versions once, though a study's identity holds them too."""
    return tuple(one for one in _of(CAUSES, recorded, now) if not one.what.startswith("identity.versions."))


def n_results(recorded: Mapping[str, Any]) -> int:
    """How many single values of an outcome are compared."""
    return sum(_n_leaves(recorded.get(name)) for name in RESULTS)


def how_far_apart(recorded: str | None, now: pd.DataFrame) -> str:
    """By how much two tables of predictions differ. recorded: a Parquet file, or None where it is gone."""
    if recorded is None or not Path(recorded).exists():
        return "the recorded predictions are gone: by how much they differ can't be told"
    before = pd.read_parquet(recorded)
    if list(before.columns) != list(now.columns) or len(before) != len(now):
        return f"predictions are another table: {before.shape} recorded, {now.shape} now"
    numbers = [name for name in now.columns if name != LABEL] or [LABEL]
    gap = np.abs(before[numbers].to_numpy(dtype=np.float64) - now[numbers].to_numpy(dtype=np.float64))
    n_rows, flips = int((gap > 0).any(axis=1).sum()), ""
    if numbers != [LABEL]:
        flips = f", and {int((before[LABEL] != now[LABEL]).sum()):,} labels"
    return f"predictions of {n_rows:,} of {len(now):,} rows differ by at most {gap.max():.3g}{flips}"


def why(found: Sequence[Difference], because: Sequence[Difference]) -> list[str]:
    """In words: what explains the differences, or that nothing recorded does."""
    names = [one.what for one in because]
    said = []
    if any(name == f"identity.{DATA}" for name in names):
        said.append("the table is another: its digest is not the recorded one")
    elif any(name == f"identity.{SPLIT}" for name in names):
        said.append("holdout or folds are drawn otherwise than they were")
    if versions := [one for one in because if one.what.startswith("versions.")]:
        said.append("other versions: " + ", ".join(
            f"{one.what.partition('.')[2]} {one.recorded} then, {one.now} now" for one in versions
        ))  # fmt: skip
    known = (f"identity.{DATA}", f"identity.{SPLIT}")
    if other := [name for name in names if name.startswith("identity.") and name not in known]:
        said.append(f"configured otherwise: {', '.join(name.partition('.')[2] for name in other)}")
    if machine := [one for one in because if one.what.startswith("machine.")]:
        said.append("another machine: " + ", ".join(
            f"{one.what.partition('.')[2]} {one.recorded} then, {one.now} now" for one in machine
        ))  # fmt: skip
    if threads := [one for one in because if one.what == "threads"]:
        said.append(f"{threads[0].recorded} threads then, {threads[0].now} now")
    if found and not said:
        said.append("nothing that was recorded differs: the code changed under the same version, or an operation of "
                    "this machine isn't deterministic")  # fmt: skip
    return said


def _of(names: Sequence[str], recorded: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Difference, ...]:
    return tuple(one for name in names for one in differences(recorded.get(name), now.get(name), name))


def _n_leaves(value: Any) -> int:
    return sum(map(_n_leaves, value.values())) if isinstance(value, Mapping) else 1
