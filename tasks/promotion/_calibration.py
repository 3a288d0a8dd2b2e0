"""Calibration: whether the challenger's probabilities are chances as the champion's are."""

from __future__ import annotations

import numpy as np

from tasks.bootstrap import middle
from tasks.metric import Floats, Statistic, prepared
from tasks.promotion import Duel
from tasks.reliability import bins_of, error_of, shown
from tasks.verdict import Finding, Number

N_BINS = 15  # as check=calibration has it


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
    """As `tasks/reliability.py` has it, as a function of the rows' weights."""
    score, is_hit = shown(y, prediction)
    bins = bins_of(score, N_BINS)
    return lambda weights: error_of(score, is_hit, bins, weights)
