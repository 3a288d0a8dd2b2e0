"""Remedy: what is due, why, and when not yet."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flows.config import compose
from tasks.decay import Decay
from tasks.drift import Drift
from tasks.remedy import Evidence, Last, decide

RULES = compose([]).config.monitor
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def drift(name: str, psi: float) -> Drift:
    return Drift(name, psi, 0.0, 0.0, 1_000, 0.0, (0.0, 0.0), psi >= RULES.psi.drifted)


def seen(*psi: float, rows: int = 1_000, predictions: float = 0.0, decay: Decay | None = None) -> Evidence:
    inputs = tuple(drift(f"column {n}", value) for n, value in enumerate(psi))
    return Evidence(rows, inputs, (drift("output: prediction", predictions),), (), decay)


def lost(value: float, spread: float = 0.05, labels: int = 500) -> Decay:
    return Decay("rmse", labels, 1.0, 0.9, 1.1, 0.8, value, value - spread, value + spread)


@pytest.mark.parametrize(("evidence", "action", "reason"), [
    (seen(0, 0, 0), "nothing", "no drift in 3 columns"),
    (seen(0.15, 0, 0), "nothing", "none far: column 0 (PSI 0.15)"),
    (seen(0.3, 0, 0), "finetune", "1 of 3 columns drifted far"),
    (seen(0.3, 0.2, 0), "search", "2 of 3 columns drifted"),
    (seen(0, 0, 0, predictions=0.2), "finetune", "the predictions drifted"),
    (seen(9, 9, 9, rows=199), "nothing", "199 rows are too few to say anything"),
    (seen(rows=0), "nothing", "no rows were scored yet"),
    (seen(9, 9, 9, decay=lost(0.0)), "nothing", "the score holds"),
    (seen(9, 9, 9, decay=lost(0.0)), "nothing", "although there is drift: column 0"),
    (seen(0, 0, 0, decay=lost(0.15)), "finetune", "15% of the gain over a constant lost"),
    (seen(0, 0, 0, decay=lost(0.4)), "search", "at least monitor.lost.search=0.3"),
    (seen(0, 0, 0, decay=lost(0.4, spread=0.5)), "nothing", "the labels leave it open whether the score fell"),
    (seen(0, 0, 0, decay=lost(0.4, labels=99)), "nothing", "99 labelled rows are too few to judge the score"),
    (seen(0.3, 0, 0, decay=lost(0.0, labels=99)), "finetune", "drifted far"),
    (seen(0.3, 0, 0, decay=lost(float("nan"))), "finetune", "drifted far"),
    (Evidence(1_000, gone=("age",)), "search", "are gone: age"),
    (Evidence(1_000, has_reference=False), "nothing", "doesn't say what its training rows were like"),
])  # fmt: skip
def test_what_is_due_follows_from_what_is_seen_and_is_said(evidence: Evidence, action: str, reason: str) -> None:
    decision = decide(evidence, RULES, version="3", now=NOW)
    assert (decision.action, decision.wanted) == (action, action)
    assert reason in decision.reason


def test_within_the_cool_down_nothing_is_begun_and_after_it_it_is() -> None:
    last = Last("search", "3", NOW - timedelta(hours=RULES.cool_down_hours - 1))
    cooling = decide(seen(0.3, 0, 0), RULES, version="3", now=NOW, last=last)
    assert (cooling.action, cooling.wanted) == ("nothing", "finetune")
    assert "cools down until 2026-05-04 13:00" in cooling.reason
    later = decide(seen(0.3, 0, 0), RULES, version="3", now=NOW + timedelta(hours=1), last=last)
    assert later.action == "finetune"


def test_fine_tuning_that_gave_no_new_champion_is_followed_by_a_search() -> None:
    last = Last("finetune", "3", NOW - timedelta(days=2))
    assert decide(seen(0.3, 0, 0), RULES, version="3", now=NOW, last=last).action == "search"
    assert decide(seen(0.3, 0, 0), RULES, version="4", now=NOW, last=last).action == "finetune"
    calm = replace(RULES, cool_down_hours=72)
    assert decide(seen(0.3, 0, 0), calm, version="3", now=NOW, last=last).wanted == "search"
