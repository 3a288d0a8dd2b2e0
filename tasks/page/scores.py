"""Scores: what the model is worth on rows that it never saw, beside what a constant and a linear model are."""

from __future__ import annotations

import math

from tasks.metric import METRICS
from tasks.page._blocks import Block, Content, Facts, Remark, Section, Span, Table, Text
from tasks.page._number import decimals_of, fixed, interval, number, plural
from tasks.page._values import Values
from tasks.records import HoldoutScore
from tasks.selected import Corrected, Nested

FEW_ROWS = 100


def section(values: Values) -> Section:
    """The table of all metrics, the selected one first; then what the search itself reported, and its worth."""
    return Section("scores", "Scores", [_table(values), *_search_scores(values)], _remarks(values), in_card=2)


def _table(values: Values) -> Table:
    scores = {values.metric: values.score, **values.evaluation.scores}
    has_linear = any(math.isfinite(score.linear) for score in scores.values())
    head = ["metric", "better", "holdout", "95 % interval", "", *(["linear model"] if has_linear else []), "constant"]
    rows = [_row(name, score, has_linear) for name, score in scores.items()]
    return Table(
        f"On the {plural(values.split.n_holdout, 'row')} of the sealed holdout", head, rows,
        "llrrl" + "r" * (1 + has_linear), "The interval is of the bootstrap of the holdout's rows. ● the model, "
        "│ the constant prediction" + ", ◇ the linear model" * has_linear + ". Selected on the first metric.",
        frozenset({0}),
    )  # fmt: skip


def _row(name: str, score: HoldoutScore, has_linear: bool) -> list[Content]:
    decimals, linear = decimals_of(score.low, score.high), score.linear
    others = [fixed(linear, decimals)] if has_linear else []
    return [
        name, "higher" if METRICS[name].is_higher_better else "lower", fixed(score.value, decimals),
        interval(score.low, score.high, decimals) or "can't be had", _span(score, linear) or "",
        *others, fixed(score.baseline, decimals),
    ]  # fmt: skip


def _span(score: HoldoutScore, linear: float) -> Span | None:
    """On a scale that just holds all of the numbers."""
    marks = {"constant": score.baseline, "linear": linear}
    known = [one for one in (score.value, score.low, score.high, *marks.values()) if math.isfinite(one)]
    least, width = min(known, default=0.0), max(known, default=0.0) - min(known, default=0.0)
    if not math.isfinite(score.value) or not width:
        return None

    def at(value: float) -> float:
        return 0.04 + 0.92 * (value - least) / width

    ends = (score.low, score.high) if math.isfinite(score.low + score.high) else (score.value, score.value)
    shown = tuple((name, at(value)) for name, value in marks.items() if math.isfinite(value))
    return Span(at(ends[0]), at(score.value), at(ends[1]), shown)


def _search_scores(values: Values) -> list[Block]:
    """Of the folds, of which the winner is the best of many trials; and what takes that luck out."""
    winner, found = values.winner, []
    decimals = decimals_of(winner.mean - winner.standard_error, winner.mean + winner.standard_error)
    mean, error = fixed(winner.mean, decimals), fixed(winner.standard_error, decimals)
    over = plural(len(winner.folds), "fold")
    has_error = len(winner.folds) > 1
    found.append((f"{values.metric} over {over}{', mean ± standard error' * has_error}",
                  mean + f" ± {error}" * has_error))  # fmt: skip
    if (combined := values.combined) is not None and combined.trained is not None:
        n = len(combined.folds)
        of = "of the ensemble" + ("" if n == len(winner.folds) > 1 else f", estimated from {plural(n, 'fold')}")
        found.append((of, f"{number(combined.mean)} ± {number(combined.standard_error, 2)}"))
    corrected, nested = values.evaluation.corrected, values.evaluation.nested
    if corrected is not None:
        found.append(("corrected for having been selected", _with_ends(corrected)))
    if nested is not None:
        found.append(("by nested cross-validation", _with_ends(nested)))
    notes = [] if corrected is None else list(corrected.notes)
    if winner.rounds is not None and corrected is None and nested is None:
        notes.append(
            "The folds' scores stopped early on their own validation rows, which flatters them a little; the holdout's "
            "score is free of it."
        )
    return [Facts(found), *(Text(note) for note in notes)]


def _with_ends(given: Corrected | Nested) -> str:
    decimals = decimals_of(given.low, given.high)
    ends = interval(given.low, given.high, decimals)
    return fixed(given.value, decimals) + (f" (95 % interval {ends})" if ends else "")


def _remarks(values: Values) -> list[Remark]:
    looks, n_rows = values.evaluation.looks, values.split.n_holdout
    lucky = (
        f"This holdout has judged {looks} models by now, this one among them. The best score of several is a little "
        "lucky; a final claim needs rows that none of them was judged by."
    )
    few = (
        f"The holdout has {plural(n_rows, 'row')}: its intervals are wide, and below some 30 rows too narrow for what "
        "they claim."
    )
    said = {lucky: looks > 1, few: n_rows < FEW_ROWS}
    return [Remark(text, "warn") for text, is_so in said.items() if is_so]
