"""The target: which kind of problem it poses, and its classes or numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.cells import as_text
from tasks.records import Problem, ProblemKind, Roles
from tasks.refusal import Refusal, did_you_mean

MAX_LEVELS_OF_A_WHOLE_NUMBER = 20
MOSTLY = 0.9  # of the values are numbers: then those that are none are slips, not names of classes


@dataclass(frozen=True)
class Target:
    """codes: (n_rows,) class codes 0..k-1 or numbers, NaN where the target is missing; notes: what to say aloud."""

    problem: Problem
    codes: pd.Series[float]
    notes: list[str]


@dataclass(frozen=True)
class _Values:
    """A target read: the values (n_rows,), and the user's type. Numbers are written out as text only as classes:
    five million different ones would take half a gigabyte."""

    name: str
    values: pd.Series[Any]
    type: type

    @cached_property
    def text(self) -> pd.Series[Any]:
        """(n_rows,) with NaN for missing."""
        return as_text(self.values)

    @cached_property
    def numbers(self) -> pd.Series[float]:
        """(n_rows,) with NaN for what is none."""
        is_number = self.type is float and pd.api.types.is_numeric_dtype(self.values)
        return (self.values if is_number else pd.to_numeric(self.text, errors="coerce")).astype("float64")

    @cached_property
    def is_missing(self) -> npt.NDArray[np.bool_]:
        return (self.numbers if self.type is float else self.text).isna().to_numpy()

    @cached_property
    def n_levels(self) -> int:
        return int((self.numbers if self.type is float else self.text).nunique())

    @cached_property
    def words(self) -> pd.Series[Any]:
        """Those of the values that are no numbers."""
        if self.type is float:
            return pd.Series([], dtype="str")
        return self.text[self.text.notna() & self.numbers.isna()]


def find_target(values: pd.Series[Any], roles: Roles, problem: str) -> Target:
    """Codes 0..k-1 or numbers (NaN where the target is missing and such rows are left out), and the problem.

    Raises:
        Refusal: for a missing, infinite or constant target, or one that the problem doesn't fit.
    """
    read = _read(values)
    notes = _check(read, roles)
    kind, note = _kind(read, problem)
    notes += [note] if note else []
    if kind != "binary" and roles.positive is not None:
        raise Refusal(
            f"source.positive={roles.positive}: only a binary problem has a positive class, and {read.name} poses a "
            f"{kind} one; leave source.positive out."
        )
    if kind == "regression":
        return Target(Problem(kind, read.name, ()), read.numbers, notes)
    classes, more = _classes(read, roles, kind)
    codes = read.text.map(codes_of(classes), na_action="ignore").astype("float64")
    return Target(Problem(kind, read.name, tuple(classes)), codes, [*notes, *more])


def codes_of(classes: list[Any] | tuple[Any, ...]) -> dict[str, float]:
    """The code of each class by its text, as `as_text` writes it."""
    return {text: float(code) for code, text in enumerate(as_text(pd.Series(list(classes), dtype=object)))}


def _read(values: pd.Series[Any]) -> _Values:
    known = values.dropna()
    if known.dtype == object:  # booleans beside missing values
        known = known.infer_objects()
    kind: type = str
    if pd.api.types.is_bool_dtype(known):
        kind = bool
    elif pd.api.types.is_numeric_dtype(known) and not pd.api.types.is_timedelta64_dtype(known):
        kind = float
    return _Values(str(values.name), values, kind)


def _check(read: _Values, roles: Roles) -> list[str]:
    key = f"source.target={read.name}"
    n, n_missing = len(read.values), int(read.is_missing.sum())
    if n_missing == n:
        raise Refusal(f"{key}: every value is missing; choose another source.target.")
    faults = []
    if n_missing and not roles.drop_missing_target:
        faults.append(
            f"{key}: {n_missing:,} of {n:,} values are missing; source.drop_missing_target=true leaves those rows out."
        )
    if read.n_levels == 1:
        only = read.text.dropna().iloc[0]
        faults.append(f"{key} is constant: every value is {only}; choose another source.target, or add other rows.")
    n_infinite = int(np.isinf(read.numbers).sum())
    if n_infinite and read.words.empty:
        are = "value is" if n_infinite == 1 else "values are"
        faults.append(f"{key}: {n_infinite:,} {are} infinite; correct them or leave these rows out.")
    if faults:
        raise Refusal(*faults)
    rows = "row" if n_missing == 1 else "rows"
    return [f"{n_missing:,} {rows} without a target left out"] if n_missing else []


def _kind(read: _Values, problem: str) -> tuple[ProblemKind, str | None]:
    name, n_levels, words = read.name, read.n_levels, read.words
    if problem != "auto":
        return _asked_kind(problem, read), None
    if n_levels == 2:
        return "binary", f"{name} has two values: a binary problem"
    if words.empty and (n_levels > MAX_LEVELS_OF_A_WHOLE_NUMBER or not (read.numbers.dropna() % 1 == 0).all()):
        changes = "; problem=multiclass changes it" if n_levels <= 100 else ""
        return "regression", f"{name} is a number: a regression{changes}"
    if words.empty:
        return "multiclass", f"{name} has {n_levels} whole values: a multiclass problem; problem=regression changes it"
    if n_levels > MAX_LEVELS_OF_A_WHOLE_NUMBER and len(words) <= (1 - MOSTLY) * (~read.is_missing).sum():
        raise Refusal(
            f"source.target={name}: all but {len(words):,} of {len(read.values):,} values are numbers; correct or "
            f"empty the others (such as {words.iloc[0]!r}), or set problem=multiclass."
        )
    return "multiclass", f"{name} is text with {n_levels:,} values: a multiclass problem"


def _asked_kind(problem: str, read: _Values) -> ProblemKind:
    if problem == "binary" and read.n_levels != 2:
        raise Refusal(
            f"problem=binary: {read.name} has {read.n_levels:,} different values; choose problem=multiclass, "
            "problem=regression or another source.target."
        )
    if problem == "regression" and len(read.words):
        raise Refusal(
            f"problem=regression: {len(read.words):,} of {len(read.values):,} values of {read.name} are no numbers "
            f"(such as {read.words.iloc[0]!r}); choose problem=multiclass, or another source.target."
        )
    return "binary" if problem == "multiclass" and read.n_levels == 2 else problem  # type: ignore[return-value]  # no longer auto


def _classes(read: _Values, roles: Roles, kind: ProblemKind) -> tuple[list[Any], list[str]]:
    """Class values in the user's own type, in order of their codes; numbers by size, also where they are text."""
    known = read.text.notna()
    labels: list[Any] = sorted(read.text[known].unique())
    if read.type is bool:
        labels = [False, True]
    elif read.words.empty:
        labels = sorted(labels, key=float)
        if read.type is float:
            labels = [int(label) if float(label).is_integer() else float(label) for label in labels]
    if kind != "binary":
        return labels, []
    if roles.positive is None:
        return labels, [f"the positive class is {labels[1]}; source.positive={labels[0]} changes it"]
    texts = [str(label) for label in labels]
    if roles.positive not in texts:
        raise Refusal(
            f"source.positive={roles.positive}: no such class{did_you_mean(roles.positive, texts)} "
            f"Classes: {', '.join(texts)}."
        )
    positive = labels[texts.index(roles.positive)]
    return [label for label in labels if label != positive] + [positive], []
