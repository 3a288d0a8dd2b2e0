"""Answers: what a reader wants to know first, in a few words each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tasks.page._blocks import Answer, Section, Tone
from tasks.page._number import decimals_of, fixed, interval, plural
from tasks.page._values import Values
from tasks.page.checks import said

MOST_NAMED = 3


def answers(values: Values, sections: Sequence[Section]) -> list[Answer]:
    """How good it is, whether that is better than what is simple, whether it may be used, and what to look at."""
    return [_how_good(values), _is_better(values), _may_be_used(values), _look_at(sections)]


def _how_good(values: Values) -> Answer:
    score = values.score
    if not math.isfinite(score.value):
        why = f"{values.metric} is not defined on the {plural(values.split.n_holdout, 'row')} of the holdout"
        return Answer("How good is it?", "Can't be told", "warn", why, "scores")
    decimals = decimals_of(score.low, score.high)
    ends = interval(score.low, score.high, decimals)
    n_seen = (values.base or {}).get("n_seen", 0)
    which = f", {n_seen:,} of which its base was trained on" if n_seen else " that it never saw"
    on = f"on {plural(values.split.n_holdout, 'row')}{which}"
    reason = f"95 % interval {ends}, {on}" if ends else f"{on}; too few for an interval"
    tone: Tone = "warn" if n_seen else ""
    return Answer("How good is it?", f"{values.metric} {fixed(score.value, decimals)}", tone, reason, "scores")


def _is_better(values: Values) -> Answer:
    """By the interval of the model's own score: the worse end beside what a constant and a linear model get."""
    score, sign = values.score, values.sign
    decimals = decimals_of(score.low, score.high)
    others = {"a constant prediction": score.baseline, "a linear model": score.linear}
    others = {name: value for name, value in others.items() if math.isfinite(value)}
    worst = min((sign * end for end in (score.low, score.high, score.value) if math.isfinite(end)), default=math.nan)
    behind = [name for name, value in others.items() if not sign * score.value > sign * value]
    unsure = [name for name, value in others.items() if name not in behind and not worst > sign * value]
    tone: Tone = "bad" if "a constant prediction" in behind else "warn" if behind or unsure else "good"
    doubt = f"Not surely than {' or '.join(unsure)}" if unsure else "Yes"
    answer = f"Not than {' or '.join(behind)}" if behind else doubt
    reason = "; ".join(f"{name} gets {fixed(value, decimals)}" for name, value in others.items())
    return Answer("Better than the baselines?", answer, tone, reason, "scores")


def _may_be_used(values: Values) -> Answer:
    ruling, named = values.promotion, f"version {values.registered.model_version} of {values.registered.model_name}"
    question, link = "May I use it?", "checks" if values.verdict.findings else "model"
    if failed := values.verdict.failed:
        names = ", ".join(said(one.check) for one in failed[:MOST_NAMED]) + ", …" * (len(failed) > MOST_NAMED)
        return Answer(question, "Not as it is", "bad", f"{named} failed: {names}", link)
    if ruling is not None:
        if ruling.promotes:
            return Answer(question, "Yes, the champion", "good", named, "promotion")
        return Answer(question, "The champion stays", "warn", f"{named} is registered; {ruling.reason}", "promotion")
    if values.verdict.gate == "passed":
        return Answer(question, "The checks passed", "good", f"{named} is registered", link)
    return Answer(question, "Nothing judged it", "warn", f"{named} is registered; no check had anything to judge", link)


def _look_at(sections: Sequence[Section]) -> Answer:
    remarks = [remark for section in sections for remark in section.remarks]
    bad = sum(remark.tone == "bad" for remark in remarks)
    question = "What should I look at?"
    if not remarks:
        return Answer(question, "Nothing stands out", "good", "no check failed, no doubt was found", "failures")
    tone: Tone = "bad" if bad else "warn"
    worst = f"{bad} of them serious" if bad else "none of them serious"
    return Answer(question, plural(len(remarks), "remark"), tone, f"{worst}, listed below", "remarks")
