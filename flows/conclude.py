"""Conclude: what follows from a run's predictions out of fold, told on the screen and logged."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flows import screen
from flows.decide import Job
from tasks.conclude import conclude
from tasks.records import Concluded, Member, Trained
from tasks.tracking import Tracker
from tasks.workspace import Experiment


def concluded(job: Job, experiment: Experiment, trained: Trained, members: Sequence[Member]) -> Concluded:
    made = conclude(experiment, trained, members, job.plan.asked)
    if not math.isnan(made.before):
        across = f"log-loss out of fold {made.before:.5g} before, {made.after:.5g} after, each fold by the others"
        screen.say(f"calibration: {made.curve or 'none is kept'}; {across}")
    asked = job.decided.composed.config.threshold
    if isinstance(asked, str) and made.threshold is not None:
        screen.say(f"threshold={asked}: {made.threshold:.4g}, tuned on predictions out of fold")
    if made.note and _is_asked(job):
        screen.say(made.note, "yellow")
    return made


def _is_asked(job: Job) -> bool:
    asked = job.plan.asked
    return asked.calibration is not None or asked.threshold is not None or not job.prepared.problem.is_classification


def log_conclusion(tracker: Tracker, made: Concluded) -> None:
    numbers = {"cv_log_loss_uncalibrated": made.before, "cv_log_loss_calibrated": made.after}
    tracker.metrics({key: value for key, value in numbers.items() if not math.isnan(value)})
    if made.threshold is not None:
        tracker.metrics({"threshold": made.threshold})
    if not math.isnan(made.before):
        tracker.tags({"finefold.calibration": made.curve or "none"})
