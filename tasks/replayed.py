"""Replayed: what each policy scored and spent, period by period, and how the policies compare.

Policies are paired period by period, and the mean difference has Student's interval. It takes periods for independent,
which neighbours are not quite: a policy that is ahead in one month mostly is in the next, so it is somewhat too narrow.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Literal

from pydantic import TypeAdapter

from tasks.comparison import Interval, interval
from tasks.remedy import Action, Last
from tasks.store import write_file

Outcome = Literal["", "first", "promoted", "kept", "not_comparable", "failed"]


@dataclass(frozen=True)
class Step:
    """A policy in one period: the metric on its rows, predicted before their labels were used; then what was done, why,
    and what the gate said of it (`''` where nothing was trained, `failed` where nothing came of it). seconds: of
    predicting, deciding and training. version: of the policy's registered name, which predicted; then: the one for the
    next period. last: the policy's last remedy. run_id: of the training's MLflow run."""

    policy: str
    period: str
    n_rows: int
    score: float
    action: Action
    reason: str
    outcome: Outcome
    why: str
    seconds: float
    version: int
    then: int
    last: Last | None = None
    run_id: str = ""


@dataclass(frozen=True)
class Begun:
    """The model that all policies begin with. model_names: what each policy registers its models under; versions: the
    first one of each. seconds: that it took, once."""

    metric: str
    seconds: float
    model_names: Mapping[str, str]
    versions: Mapping[str, int]


@dataclass(frozen=True)
class Standing:
    """What a policy came to. score: the mean over the periods; difference: to the first policy, period by period, None
    for that one. seconds: of everything after the first model."""

    policy: str
    score: float
    difference: Interval | None
    n_searches: int
    n_finetunes: int
    n_promoted: int
    seconds: float


@dataclass(frozen=True)
class Replayed:
    """What a replay gives, the same in Python and, as one JSON object, with `output=json`. The keys are public.

    periods: those that were predicted. first_seconds: of the first model, which all policies share. notes: what is to
    be said of it. plot: a PNG file.
    """

    metric: str
    period: str
    periods: tuple[str, ...]
    policies: tuple[Standing, ...]
    steps: tuple[Step, ...]
    first_seconds: float
    notes: tuple[str, ...]
    plot: str
    run_id: str
    flow_run_id: str
    mlflow_url: str
    prefect_url: str = ""


def standings(policies: Sequence[str], steps: Sequence[Step]) -> tuple[Standing, ...]:
    """One of each policy, in their order."""
    by_policy = {name: [step for step in steps if step.policy == name] for name in policies}
    return tuple(_standing(name, own, by_policy[policies[0]]) for name, own in by_policy.items())


def _standing(policy: str, own: Sequence[Step], first: Sequence[Step]) -> Standing:
    less = [one.score - other.score for one, other in zip(own, first, strict=True)]
    defined = [value for value in less if math.isfinite(value)]
    return Standing(
        policy,
        fmean([step.score for step in own if math.isfinite(step.score)] or [math.nan]),
        None if own is first or not defined else interval(defined, 0.0),
        sum(step.action == "search" and step.outcome != "" for step in own),
        sum(step.action == "finetune" and step.outcome != "" for step in own),
        sum(step.outcome in ("first", "promoted") for step in own),
        sum(step.seconds for step in own),
    )


def write(path: Path, value: Step | Begun) -> None:
    """As JSON, whole or not at all."""
    text = json.dumps(asdict(value), default=str, indent=1)

    def fill(beside: Path) -> None:
        beside.write_text(text, encoding="utf-8")

    write_file(path, fill)


def read_step(path: Path) -> Step | None:
    """What `write` wrote, or None where there is nothing."""
    if not path.exists():
        return None
    return TypeAdapter(Step).validate_python(json.loads(path.read_text(encoding="utf-8")))


def read_begun(path: Path) -> Begun | None:
    """What `write` wrote, or None where there is nothing."""
    if not path.exists():
        return None
    return TypeAdapter(Begun).validate_python(json.loads(path.read_text(encoding="utf-8")))
