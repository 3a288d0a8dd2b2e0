"""Generating: what a run's model writes, told on the screen and logged as MLflow's table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from flows import screen
from flows.decide import Job
from tasks.generate import generate
from tasks.records import Generated, Trained, jsonable
from tasks.tracking import Tracker
from tasks.verdict import Number

TABLE, SLICES = "generations.json", "generations_by_slice.json"


def generated(job: Job, base: Path | None, trained: Trained, tracker: Tracker) -> Generated | None:
    """Of a model that writes; None of others."""
    if not job.prepared.problem.is_generation:
        return None
    made = generate(job.split, trained, base, job.prepared.slices, job.decided.composed.config.seed)
    for name, number in made.scores.items():
        before = f"; the base {screen.short(made.before[name].value)}" if made.before else ""
        screen.say(f"{name.replace('_', ' ')} of {made.n_rows:,} responses: {_in_words(number)}{before}")
    if made.slices:
        worst = min(made.slices, key=lambda one: made.slices[one]["token_f1"].value)
        screen.say(f"the worst slice is {worst}: token f1 {_in_words(made.slices[worst]['token_f1'])}")
        tracker.json(jsonable({name: _asdicts(numbers) for name, numbers in made.slices.items()}), SLICES)
    tracker.metrics({**_ends("holdout_", made.scores), **_ends("base_", made.before)})
    tracker.table(pd.read_parquet(made.table), TABLE)
    return made


def _asdicts(numbers: Mapping[str, Number]) -> dict[str, dict[str, float]]:
    return {name: asdict(one) for name, one in numbers.items()}


def _in_words(number: Number) -> str:
    ends = "" if math.isnan(number.low) else f" ({screen.short(number.low)} to {screen.short(number.high)})"
    return f"{screen.short(number.value)}{ends}"


def _ends(prefix: str, numbers: Mapping[str, Number]) -> dict[str, float]:
    found = dict[str, float]()
    for name, one in numbers.items():
        key = f"{prefix}{name}"
        ends = {} if math.isnan(one.low) else {f"{key}_low": one.low, f"{key}_high": one.high}
        found |= {key: one.value, **ends}
    return found
