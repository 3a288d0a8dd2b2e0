"""Which rows train and which validate: scikit-learn's splitters, and the faults of a table that they can't split."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.utils.metadata_routing import get_routing_for_object

from tasks.folds._stored import Folds, Rows, read_folds, write_folds
from tasks.folds.repeated import Repeated
from tasks.folds.time_ordered import TimeOrdered
from tasks.refusal import Refusal

Column = NDArray[np.generic]
__all__ = ["Folds", "Rows", "Splitter", "choose", "draw", "read_folds", "write_folds"]


class Splitter(Protocol):
    """scikit-learn's protocol of a splitter."""

    def split(self, X: Column, y: Column, groups: Column | None) -> Iterator[tuple[Rows, Rows]]:
        """Row positions (train, valid) of each fold; X: (n, 1) that stands for the rows, y and groups: (n,)."""
        ...


def choose(problem: str, has_group: bool, has_time: bool) -> str:
    """The folds that `folds=auto` takes: time goes before groups, groups before classes."""
    is_regression = problem in ("regression", "generation")
    if has_time:
        return "time_ordered"
    if has_group:
        return "grouped" if is_regression else "stratified_grouped"
    return "kfold" if is_regression else "stratified"


def draw(
    splitter: Splitter,
    y: Column,
    groups: Column | None,
    times: Column | None,
    *,
    classes: Sequence[str] | None = None,
    name: str | None = None,
) -> list[tuple[Rows, Rows]]:
    """The folds as row positions (train, valid), each (n_rows_of_it,) int64 and ascending.

    Args:
        splitter: of scikit-learn, of this folder or the user's own.
        y: (n,); the target, or class codes 0..k-1.
        groups: (n,) of anything that sorts, nothing missing; None without a group column.
        times: (n,) of numbers, datetimes or text that sorts; None without a time column.
        classes: (k,) the names of the classes; None where y is a number.
        name: the choice as the user typed it (`grouped`), for messages; None: the splitter's class.

    Raises:
        Refusal: a group or time column is needed and not there; a time is missing; there are more folds than rows,
            groups, times or members of a class; a number is to be stratified; a fold would have no rows, or one class
            alone to train on.
    """
    label = f"folds={name or type(splitter).__name__}"
    codes = y if classes is None else y.astype(np.int64)
    faults = _missing_columns(splitter, label, groups, times)
    if not faults:
        faults = _too_many_folds(splitter, len(y), groups, times)
    if not faults and _is_stratified(splitter, codes):
        faults = _rare_classes(splitter, label, codes, classes)
    if faults:
        raise Refusal(*faults)
    folds = _split(splitter, label, codes, _together(splitter, groups, times))
    _refuse_hollow(folds, label, codes, classes)
    return folds


def _split(splitter: Splitter, label: str, codes: Column, groups: Column | None) -> list[tuple[Rows, Rows]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            folds = splitter.split(np.zeros((len(codes), 1)), codes, groups)
            return [(_ascending(train), _ascending(valid)) for train, valid in folds]
    except (ValueError, UserWarning) as error:  # what a splitter that is not in conf/folds has against the table
        raise Refusal(f"{label} can't split these rows: {error}") from error


def _ascending(rows: Rows) -> Rows:
    return np.sort(rows).astype(np.int64, copy=False)


def _needs_groups(splitter: Splitter) -> bool:
    return bool(get_routing_for_object(splitter).consumes("split", ["groups"]))


def _together(splitter: Splitter, groups: Column | None, times: Column | None) -> Column | None:
    """The column that `split` gets as groups; scikit-learn's splitters warn of one that they don't use."""
    if isinstance(splitter, TimeOrdered):
        return times
    is_foreign = not hasattr(splitter, "get_metadata_routing")
    return groups if is_foreign or _needs_groups(splitter) else None


def _missing_columns(splitter: Splitter, label: str, groups: Column | None, times: Column | None) -> list[str]:
    if _needs_groups(splitter) and groups is None:
        return [f"{label} needs a group column and there is none: set source.group=COLUMN, or folds=auto."]
    if not isinstance(splitter, TimeOrdered):
        return []
    if times is None:
        return [f"{label} needs a time column and there is none: set source.time=COLUMN, or folds=auto."]
    n_missing = int(np.sum(np.not_equal(times, times)))  # true of NaN and of NaT alone
    remedy = "fill them or leave those rows out, or set folds=stratified or folds=kfold"
    return [f"{label}: source.time has no value in {n_missing} of {len(times)} rows; {remedy}."] if n_missing else []


def _too_many_folds(splitter: Splitter, n_rows: int, groups: Column | None, times: Column | None) -> list[str]:
    n_splits = getattr(splitter, "n_splits", None)
    if n_splits is None:
        return []
    n_most, has = n_rows, f"there are {n_rows} rows"
    if isinstance(splitter, TimeOrdered):
        n_times = len(np.unique(np.asarray(times)))
        n_most, has = n_times - 1, f"source.time has {n_times} distinct times (one more than folds are needed)"
    elif _needs_groups(splitter):
        n_most = len(np.unique(np.asarray(groups)))
        has = f"source.group has {n_most} groups"
    if n_splits <= n_most:
        return []
    return [f"folds.n_splits={n_splits} is too many: {has}; {_fewer_folds(n_most)}."]


def _fewer_folds(n_most: int) -> str:
    return f"set folds.n_splits={n_most}" if n_most >= 2 else "two folds are the least: add rows, or choose other folds"


def _is_stratified(splitter: Splitter, codes: Column) -> bool:
    if isinstance(splitter, Repeated):
        return codes.dtype.kind != "f"
    return isinstance(splitter, StratifiedKFold | StratifiedGroupKFold)


def _rare_classes(splitter: Splitter, label: str, codes: Column, classes: Sequence[str] | None) -> list[str]:
    other = "folds=grouped" if _needs_groups(splitter) else "folds=kfold"
    if codes.dtype.kind == "f":
        return [f"{label} is for classes and the target is a number; set {other}."]
    n_splits = int(getattr(splitter, "n_splits", 2))
    present, counts = np.unique(codes, return_counts=True)
    rare = [(_name(code, classes), int(n)) for code, n in zip(present, counts, strict=True) if n < n_splits]
    if not rare:
        return []
    n_least = min(n for _, n in rare)
    fewer = f"set folds.n_splits={n_least}, " if n_least >= 2 else ""
    shown = ", ".join(f"{who!r} ({n})" for who, n in rare[:5]) + (f" and {len(rare) - 5} more" if len(rare) > 5 else "")
    what = "classes have" if len(rare) > 1 else "a class has"
    # Of two classes a fold without the rare one has no ROC AUC; of more it has one.
    instead = f"set {other} (not stratified)" if len(present) > 2 else "label more rows of it"
    remedy = f"{fewer}{instead}, or leave the rows of the class out"
    return [f"folds.n_splits={n_splits}, but {what} fewer rows than that: {shown}; {remedy}."]


def _name(code: object, classes: Sequence[str] | None) -> str:
    return str(code) if classes is None else classes[int(str(code))]


def _refuse_hollow(folds: list[tuple[Rows, Rows]], label: str, codes: Column, classes: Sequence[str] | None) -> None:
    """Raises Refusal for a fold without rows on one side, or with one class alone to train on."""
    for number, (train, valid) in enumerate(folds, start=1):
        if not len(train) or not len(valid):
            side = "validate" if len(train) else "train"
            raise Refusal(f"{label}: fold {number} has no rows to {side}; set a lower folds.n_splits.")
        if classes is not None and len(alone := np.unique(codes[train])) == 1:
            only = _name(alone[0], classes)
            remedy = (
                "label more rows of others; what there are, folds=stratified or stratified_grouped spreads, and with "
                "time_ordered a lower folds.n_splits"
            )
            raise Refusal(f"{label}: fold {number} has the class {only!r} alone to train on; {remedy}.")
