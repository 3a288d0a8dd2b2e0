"""Generating: what a run's model writes, told on the screen and logged as MLflow's table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from flows import screen
from flows.decide import Job
from tasks.generate import generate
from tasks.records import Generated, Trained
from tasks.tracking import Tracker
from tasks.verdict import Number

TABLE = "generations.json"


def generated(job: Job, base: Path | None, trained: Trained, tracker: Tracker) -> Generated | None:
    """Of a model that writes; None of others."""
    if not job.prepared.problem.is_generation:
        return None
    made = generate(job.split, trained, base, job.decided.composed.config.seed)
    for name, number in made.scores.items():
        before = f"; the base {screen.short(made.before[name].value)}" if made.before else ""
        screen.say(f"{name.replace('_', ' ')} of {made.n_rows:,} responses: {_in_words(number)}{before}")
    tracker.metrics({**_ends("holdout_", made.scores), **_ends("base_", made.before)})
    tracker.table(pd.read_parquet(made.table), TABLE)
    return made


def _in_words(number: Number) -> str:
    return f"{screen.short(number.value)} ({screen.short(number.low)} to {screen.short(number.high)})"


def _ends(prefix: str, numbers: Mapping[str, Number]) -> dict[str, float]:
    found = dict[str, float]()
    for name, one in numbers.items():
        key = f"{prefix}{name}"
        found |= {key: one.value, f"{key}_low": one.low, f"{key}_high": one.high}
    return found
