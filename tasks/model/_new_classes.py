"""Outputs of a net for classes that its base doesn't know."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logsumexp

from tasks.model import Floats
from tasks.model._unit import LEAST_SHARE
from tasks.records import Problem

NEW = -1  # the place of a class that the base doesn't know


def places_of(base: Path, problem: Problem) -> tuple[int, ...]:
    """For each class of the problem the base's output of it, or NEW; of a number (0,)."""
    if not problem.is_classification:
        return (0,)
    known: Sequence[Any] = json.loads((base / "problem.json").read_text())["classes"]
    place = {str(label): code for code, label in enumerate(known)}
    return tuple(place.get(str(label), NEW) for label in problem.classes)


def bias_of_new(outputs: Floats, y: Floats, weight: Floats | None, n_classes: int) -> Floats:
    """(n_classes,) where the output of a class begins by which its mean share is about what it is in these rows:
    log(p / (1 - p)) of that share, above what the base's outputs (n_rows, n_known) sum up to."""
    count = np.bincount(y.astype(np.int64), weight, n_classes)
    share = np.clip(count / count.sum(), LEAST_SHARE, 1 - LEAST_SHARE)
    return np.asarray(np.mean(logsumexp(outputs, axis=1)) + np.log(share / (1 - share)))
