"""Calibration: whether the challenger's probabilities are chances as the champion's are."""

from __future__ import annotations

import numpy as np

from tasks.bootstrap import middle
from tasks.metric import Floats, Statistic, label_predictions, prepared
from tasks.promotion import Duel
from tasks.verdict import Finding, Number

N_BINS = 15  # Guo et al. 2017, On Calibration of Modern Neural Networks, section 2


def calibrated(duel: Duel, tolerance: float, n_resamples: int) -> Finding:
    """The expected calibration error of both, and the log-loss, on the same resamples.

    It fails where the error grew by more than the tolerance and the whole interval of the growth is above 0: of a few
    hundred rows the error of equal models differs by some hundredths.
    """
    both = [expected_calibration_error(duel.y, one) for one in (duel.champion, duel.challenger)]
    losses = [prepared("log_loss", duel.y, one) for one in (duel.champion, duel.challenger)]
    value, found = duel.resampled(lambda w: np.stack([one(w) for one in (*both, *losses)], axis=1), n_resamples)
    worse = Number(float(value[1] - value[0]), *middle(found[:, 1] - found[:, 0]))
    numbers = {
        "champion": Number(float(value[0]), *middle(found[:, 0])),
        "challenger": Number(float(value[1]), *middle(found[:, 1])),
        "worse_by": worse,
        "log_loss_worse_by": Number(float(value[3] - value[2]), *middle(found[:, 3] - found[:, 2])),
    }
    if worse.value <= tolerance or not worse.low > 0:
        return Finding("calibration", "passed", "", numbers)
    reason = f"calibration error larger by {worse.value:.3g}, more than promotion.calibration={tolerance:g}"
    return Finding("calibration", "failed", reason, numbers)


def expected_calibration_error(y: Floats, prediction: Floats) -> Statistic:
    """How far the probability of the class that is named is from the share of hits, averaged over the rows by bins of
    that probability of one width; as a function of the rows' weights."""
    sure = prediction.max(axis=1)
    gap = sure - (label_predictions(prediction) == y)
    bins = np.minimum((sure * N_BINS).astype(np.int64), N_BINS - 1)
    cells = np.zeros((len(y), N_BINS))
    cells[np.arange(len(y)), bins] = gap
    return lambda weights: np.abs(weights @ cells).sum(axis=1) / weights.sum(axis=1)
