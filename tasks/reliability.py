"""Reliability: probabilities against the shares that came true, in bins of equally many rows.

    n   rows        score   (n,) float64, the probability that something is so       bins  (n,) int64, 0..b-1
    b   bins        is_hit  (n,) float64, 1 where it is so                           weights  (m, n)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def shown(y: Floats, prediction: Floats) -> tuple[Floats, Floats]:
    """score and is_hit of probabilities (n, k) and class codes y: of two classes of the second, of more of the most
    probable one (Guo et al. 2017)."""
    if prediction.shape[1] == 2:
        return prediction[:, 1], (y == 1).astype(np.float64)
    label = prediction.argmax(axis=1)
    return prediction[np.arange(len(y)), label], (label == y).astype(np.float64)


def bins_of(score: Floats, n_bins: int) -> Integers:
    """Of equally many rows each, as far as equal scores, which stay together, allow."""
    edges = np.unique(np.quantile(score, np.linspace(0, 1, n_bins + 1)[1:-1], method="higher"))
    return np.unique(np.searchsorted(edges, score, side="right"), return_inverse=True)[1].astype(np.int64)


def sums(values: Floats, bins: Integers, weights: Floats) -> Floats:
    """(m, b) of the weighted values of each bin."""
    n_bins = int(bins.max(initial=-1)) + 1
    cells = bins + n_bins * np.arange(len(weights))[:, None]
    found = np.bincount(cells.ravel(), (weights * values).ravel(), minlength=len(weights) * n_bins)
    return np.asarray(found, dtype=np.float64).reshape(-1, n_bins)


def error_of(score: Floats, is_hit: Floats, bins: Integers, weights: Floats) -> Floats:
    """(m,) the expected calibration error (Naeini et al. 2015): the mean over the bins, by their weight, of how far the
    share that came true is from the mean probability."""
    return np.asarray(np.abs(sums(is_hit - score, bins, weights)).sum(axis=1) / weights.sum(axis=1))


def chances(score: Floats, bins: Integers, weight: Floats | None, n_draws: int, seed: int) -> Floats:
    """(n_draws,) the same error where outcomes are drawn by the probabilities themselves."""
    generator = np.random.default_rng([seed, len(score)])
    weights = (np.ones(len(score)) if weight is None else weight)[None, :]
    drawn = (generator.random(len(score)) < score for _ in range(n_draws))
    return np.array([error_of(score, hits.astype(np.float64), bins, weights)[0] for hits in drawn])
