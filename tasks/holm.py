"""P-values, corrected for their number (Holm 1979, A simple sequentially rejective multiple test procedure)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p: Sequence[float]) -> list[float]:
    """The p-values corrected for their number, the smallest times m, the next times m - 1, and never less than one
    before: without any effect, one of at most `a` is found in a share of at most `a` of all cases, however they hang
    together."""
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(np.asarray(p, dtype=np.float64)[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(raised, 1.0)
    return [float(value) for value in adjusted]
