"""Remedy: what is to be done about a model, by what is seen of its rows, predictions and labels; a decision with its
reason, and nothing that knows of servers or files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from tasks.decay import Decay
from tasks.drift import Drift

Action = Literal["nothing", "finetune", "search"]
MOST_NAMED = 3


@dataclass(frozen=True)
class Psi:
    """drifted: the effect from which a column counts as drifted. alarm: from which it alone calls for a remedy."""

    drifted: Annotated[float, Field(ge=0)]
    alarm: Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class Lost:
    """From which share of the champion's gain over a constant prediction on, where it is lost, which remedy is due."""

    finetune: Annotated[float, Field(gt=0)]
    search: Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class Deployments:
    """What is started for each remedy: the names of Prefect's deployments, FLOW/DEPLOYMENT."""

    finetune: str
    search: str


@dataclass(frozen=True)
class Rules:
    """The section `monitor` of conf/config.yaml, which says what each does and costs."""

    false_alarms: Annotated[float, Field(gt=0, lt=1)]
    psi: Psi
    columns: Annotated[float, Field(gt=0, le=1)]
    lost: Lost
    rows: Annotated[int, Field(ge=1)]
    labels: Annotated[int, Field(ge=20)]
    window_hours: Annotated[float, Field(gt=0)]
    cool_down_hours: Annotated[float, Field(ge=0)]
    deployments: Deployments


@dataclass(frozen=True)
class Evidence:
    """What is seen of a model. n_rows: that are compared with the reference. inputs, predictions: as `drift.drifts`
    gives them, of the features and of what the model predicts. gone: columns of the model that the rows lack. decay: of
    its score, None without labels. has_reference: whether the model says what its training rows were like."""

    n_rows: int
    inputs: tuple[Drift, ...] = ()
    predictions: tuple[Drift, ...] = ()
    gone: tuple[str, ...] = ()
    decay: Decay | None = None
    has_reference: bool = True


@dataclass(frozen=True)
class Last:
    """The remedy that was started last for a model: which, for which version of it, and when (UTC)."""

    action: Action
    version: str
    time: datetime


@dataclass(frozen=True)
class Decision:
    """action: what is to be done now. wanted: what would be without a cool-down. reason: in words."""

    action: Action
    wanted: Action
    reason: str


def decide(evidence: Evidence, rules: Rules, *, version: str, now: datetime, last: Last | None = None) -> Decision:
    """What is to be done about the model of this version.

    Labels outweigh all else: a score that fell calls for a remedy, and one that surely held for none, however far the
    inputs drifted. Without enough labels drifted predictions, one column that drifted far, or many that did, do. A
    fine-tuning that brought no new champion is followed by a full search. Within the cool-down after a remedy none is
    begun.

    now: with a time zone.
    """
    wanted, reason = _wanted(evidence, rules)
    if wanted == "finetune" and last is not None and (last.action, last.version) == ("finetune", version):
        wanted, reason = "search", f"{reason}; fine-tuning on {last.time:%Y-%m-%d} gave no new champion"
    if wanted == "nothing" or last is None:
        return Decision(wanted, wanted, reason)
    until = last.time + timedelta(hours=rules.cool_down_hours)
    if now < until:
        cooling = f"{last.action} was begun at {last.time:%Y-%m-%d %H:%M} and cools down until {until:%Y-%m-%d %H:%M}"
        return Decision("nothing", wanted, f"{reason}; but {cooling} (UTC, monitor.cool_down_hours)")
    return Decision(wanted, wanted, reason)


def _wanted(evidence: Evidence, rules: Rules) -> tuple[Action, str]:
    by_score = None if evidence.decay is None else _by_score(evidence.decay, evidence, rules)
    if by_score is not None:
        return by_score
    if evidence.gone:
        names = _listed(evidence.gone)
        return "search", f"columns that the model was trained on are gone: {names}; no base can do without them"
    if not evidence.has_reference:
        return "nothing", (
            "the champion doesn't say what its training rows were like, for it was registered by an earlier version: "
            "train it anew, and its successors will"
        )
    if not evidence.n_rows:
        return "nothing", "no rows were scored yet, and none given: nothing can be said"
    if evidence.n_rows < rules.rows:
        return "nothing", (
            f"{evidence.n_rows:,} rows are too few to say anything: monitor.rows asks for {rules.rows:,}"
        )
    action, reason = _by_drift(evidence, rules)
    return action, f"{reason}{_left_open(evidence.decay, rules)}"


def _left_open(decay: Decay | None, rules: Rules) -> str:
    if decay is None:
        return ""
    if decay.n_rows < rules.labels:
        few = f"{decay.n_rows:,} labelled rows are too few to judge the score"
        return f"; {few}: monitor.labels asks for {rules.labels:,}"
    return f"; the labels leave it open whether the score fell: {decay.in_words()}"


def _by_score(decay: Decay, evidence: Evidence, rules: Rules) -> tuple[Action, str] | None:
    """None where labels are too few, or leave it open."""
    if decay.n_rows < rules.labels:
        return None
    said = decay.in_words()
    if decay.is_sure and decay.lost >= rules.lost.search:
        return "search", f"{said}, at least monitor.lost.search={rules.lost.search:g}"
    if decay.is_sure and decay.lost >= rules.lost.finetune:
        return "finetune", f"{said}, at least monitor.lost.finetune={rules.lost.finetune:g}"
    if decay.lost_high < rules.lost.finetune:
        drifted = [one.name for one in (*evidence.predictions, *evidence.inputs) if one.is_drifted]
        although = f", although there is drift: {_listed(drifted)}" if drifted else ""
        return "nothing", f"the score holds: {said}{although}"
    return None


def _by_drift(evidence: Evidence, rules: Rules) -> tuple[Action, str]:
    drifted = [one for one in evidence.inputs if one.is_drifted]
    if len(drifted) >= max(2, rules.columns * len(evidence.inputs)):
        return "search", f"{len(drifted)} of {len(evidence.inputs)} columns drifted: {_told(drifted)}"
    predictions = [one for one in evidence.predictions if one.is_drifted]
    if predictions:
        return "finetune", f"the predictions drifted: {_told(predictions)}"
    far = [one for one in drifted if one.psi >= rules.psi.alarm]
    if far:
        return "finetune", f"{len(far)} of {len(evidence.inputs)} columns drifted far: {_told(far)}"
    if drifted:
        return "nothing", f"{len(drifted)} of {len(evidence.inputs)} columns drifted, none far: {_told(drifted)}"
    return "nothing", f"no drift in {len(evidence.inputs)} columns of {evidence.n_rows:,} rows"


def _told(drifts: Sequence[Drift]) -> str:
    return _listed([f"{one.name} (PSI {one.psi:.2f})" for one in drifts])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED:,} more" * (len(names) > MOST_NAMED)
    return ", ".join(names[:MOST_NAMED]) + more
