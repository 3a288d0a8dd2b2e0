"""The target: which kind of problem it poses, and its classes or numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tasks.records import Problem, ProblemKind, Roles
from tasks.refusal import Refusal, did_you_mean
from tasks.schema import as_text

MAX_LEVELS_OF_A_WHOLE_NUMBER = 20


@dataclass(frozen=True)
class Target:
    """codes: (n_rows,) class codes 0..k-1 or numbers, NaN where the target is missing; notes: what to say aloud."""

    problem: Problem
    codes: pd.Series[float]
    notes: list[str]


def find_target(values: pd.Series[Any], roles: Roles, problem: str) -> Target:
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
        return Target(Problem("regression", str(values.name), ()), _regression_target(values, text, roles), notes)
    classes, more = _classes(values, text, roles, kind)
    codes = text.map({str(as_text(pd.Series([label])).iloc[0]): float(code) for code, label in enumerate(classes)})
    return Target(Problem(kind, str(values.name), tuple(classes)), codes.astype("float64"), [*notes, *more])


def _check_missing(text: pd.Series[Any], roles: Roles) -> list[str]:
    n_missing = int(text.isna().sum())
    if n_missing == len(text):
        raise Refusal(f"source.target={roles.target}: every value is missing.")
    if n_missing and not roles.drop_missing_target:
        raise Refusal(
            f"source.target={roles.target}: {n_missing:,} of {len(text):,} values are missing; "
            "source.drop_missing_target=true leaves those rows out."
        )
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
        raise Refusal(
            f"problem=binary: {name} has {n_levels} different values; choose problem=multiclass or problem=regression."
        )
    if problem == "regression" and is_text:
        raise Refusal(f"problem=regression: {name} holds text; choose problem=multiclass, or another source.target.")
    if problem == "multiclass" and n_levels == 2:
        return "binary", None
    return problem, None  # type: ignore[return-value]


def _regression_target(values: pd.Series[Any], text: pd.Series[Any], roles: Roles) -> pd.Series[float]:
    numbers = (
        values.astype("float64") if pd.api.types.is_numeric_dtype(values) else pd.to_numeric(text, errors="coerce")
    )
    n_infinite = int(np.isinf(numbers.to_numpy(dtype="float64", na_value=np.nan)).sum())
    if n_infinite:
        raise Refusal(
            f"source.target={roles.target}: {n_infinite:,} values are infinite; correct them or leave these rows out."
        )
    return numbers.astype("float64")


def _classes(
    values: pd.Series[Any], text: pd.Series[Any], roles: Roles, kind: ProblemKind
) -> tuple[list[Any], list[str]]:
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
            raise Refusal(
                f"source.positive={roles.positive}: no such class{did_you_mean(roles.positive, texts)} "
                f"Classes: {', '.join(texts)}."
            )
        return [label for label in labels if label != named[0]] + named, []
    return labels, [f"the positive class is {labels[1]}; source.positive={labels[0]} changes it"]
