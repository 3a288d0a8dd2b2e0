"""Targets and predictions that go together somewhat, for tests of metrics and of their intervals."""

from __future__ import annotations

import numpy as np

from tasks.metric import Floats


def sample(problem: str, n: int = 400, *, has_ties: bool = False, seed: int = 0) -> tuple[Floats, Floats]:
    """y and prediction that go together somewhat; with ties, few distinct predictions."""
    generator = np.random.default_rng(seed)
    if problem == "regression":
        y = 1e3 + generator.normal(size=n)
        prediction = y + generator.normal(size=n)
        return y, np.round(prediction) if has_ties else prediction
    k = 2 if problem == "binary" else 4
    y = generator.choice(k, size=n, p=np.arange(1, k + 1) / (k * (k + 1) / 2))
    odds = generator.random((n, k)) + np.eye(k)[y] * 0.4
    odds = np.ceil(odds * 4) if has_ties else odds
    return y.astype(np.float64), odds / odds.sum(axis=1, keepdims=True)
