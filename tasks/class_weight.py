"""Class weights: how much the rows of a class count in fitting, beside the rows' own weights; never in a score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.cells import as_text
from tasks.records import Problem
from tasks.refusal import Refusal, did_you_mean
from tasks.target import codes_of

Floats = npt.NDArray[np.float64]
Asked = Mapping[Any, Any] | str | None  # as the user gives it
WAYS = "class_weight=balanced, class_weight='{CLASS: WEIGHT}', or leave it out"


@dataclass(frozen=True)
class ClassWeight:
    """A weight for each class, in the order of the codes 0..k-1; None: all classes together count alike
    (scikit-learn's `balanced`), whichever rows are fitted."""

    weights: tuple[float, ...] | None

    def of_rows(self, y: Floats, weight: Floats | None) -> Floats:
        """(n,) what each row counts; y: (n,) class codes. weight: (n,) of the rows themselves, or None.

        Balanced: n / (k count) for a class, with the rows' weights in n and in count (King and Zeng 2001)."""
        codes, own = y.astype(np.int64), np.ones(len(y)) if weight is None else weight
        if self.weights is not None:
            return np.asarray(own * np.array(self.weights)[codes])
        of_class = np.bincount(codes, own)
        share = np.divide(of_class.sum() / np.count_nonzero(of_class), of_class, where=of_class > 0, out=of_class * 0)
        return np.asarray(own * share[codes])


def check(asked: Asked) -> None:
    """Nothing where the weights have a form that they can have, whatever the classes are.

    Raises:
        Refusal: all faults at once.
    """
    if asked is None or asked == "balanced":
        return
    if not isinstance(asked, Mapping) or not asked:
        raise Refusal(f"class_weight={asked}: no such way to weigh classes; write {WAYS}.")
    faults = [
        f"class_weight: the weight of {name} must be a number greater than 0, got {weight}."
        for name, weight in asked.items()
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf")
    ]
    if faults:
        raise Refusal(*faults)


def by_code(asked: Asked, problem: Problem) -> ClassWeight | None:
    """The weights by the classes' codes; a class that is not named counts once.

    Raises:
        Refusal: for a regression, or for names that are no classes; all faults at once.
    """
    if asked is None:
        return None
    if not problem.is_classification:
        raise Refusal(f"class_weight: {problem.target} poses a regression, which has no classes; leave it out.")
    if not isinstance(asked, Mapping):
        return ClassWeight(None)
    codes = codes_of(problem.classes)
    names = as_text(pd.Series(list(asked), dtype=object)).tolist()
    faults = [
        f"class_weight: {problem.target} has no class {name!r}{did_you_mean(name, codes)} Classes: {', '.join(codes)}."
        for name in names
        if name not in codes
    ]
    if faults:
        raise Refusal(*faults)
    weights = np.ones(len(codes))
    weights[[int(codes[name]) for name in names]] = list(asked.values())
    return ClassWeight(tuple(weights.tolist()))
