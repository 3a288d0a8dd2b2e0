"""Search: what was tried, what won, and which hyperparameters mattered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.evidence import evidence_of
from tasks.page._blocks import Block, Content, Facts, Folded, Points, Section, Table
from tasks.page._number import decimals_of_all, fixed, short
from tasks.page._values import Values
from tasks.records import TrialResult

N_BEST, MOST_ERRORS = 10, 5
PICTURES = ("search_history", "hyperparameter_importance", "parallel_coordinates")


def section(values: Values) -> Section:
    """The winner's hyperparameters, the best trials and the pictures of the search."""
    blocks: list[Block] = [Facts(_facts(values)), *_winner(values), *values.pictures(*PICTURES)]
    if len(values.results) > 1:
        blocks.append(_best(values))
    if errors := _errors(values.results):
        blocks.append(Points(errors))
    return Section("search", "Search", blocks)


def _facts(values: Values) -> list[tuple[str, str]]:
    counts, search = values.counts, values.setting.config.get("search", {})
    told = {"ended early": counts.stopped_early, "over the limits": counts.over_limits, "reused": counts.reused,
            "failed": counts.failed}  # fmt: skip
    also = "".join(f", {n:,} {name}" for name, n in told.items() if n)
    found = [
        ("search", str(values.setting.choices.get("search", ""))),
        ("trials", f"{counts.finished:,} of {counts.requested:,}{also}"),
        ("selected on", f"{values.metric}, the mean over the folds"),
    ]
    names = {"seconds": " s", "megabytes": " MB", "milliseconds": " ms per 1,000 rows"}
    limits = [f"{search[key]:g}{unit}" for key, unit in names.items() if search.get(key) is not None]
    return [*found, *([("limits", ", ".join(limits))] if limits else [])]


def _winner(values: Values) -> list[Block]:
    proposal = values.winner.proposal
    free, fixed = _parted(proposal.hyperparameters, values.searched.get(proposal.family, frozenset()))
    head = ("hyperparameter", "value")
    found: list[Block] = []
    if free:
        rows = [[name, short(value)] for name, value in free.items()]
        found.append(Table(f"The winner, trial {proposal.number}: {proposal.family}", head, rows, "lr"))
    if fixed:
        rows = [[name, short(value)] for name, value in fixed.items()]
        found.append(Folded("What was not searched", [Table("Fixed hyperparameters", head, rows, "lr")]))
    return found


def _parted(every: Mapping[str, Any], searched: frozenset[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    free = {name: value for name, value in every.items() if name in searched}
    return free, {name: value for name, value in every.items() if name not in searched}


def _best(values: Values) -> Table:
    """The best of those that are told with a score, stopped ones among them; judged on more before judged on less."""
    known = [one for one in values.results if one.error is None and one.score == one.score]
    best = sorted(known, key=lambda one: (evidence_of(one.proposal), values.sign * one.score), reverse=True)[:N_BEST]
    decimals = decimals_of_all(one.score for one in best)
    rows = [_row(values, one, decimals) for one in best]
    strong = frozenset(n for n, one in enumerate(best) if one.proposal.number == values.winner.proposal.number)
    head = ("trial", "family", values.metric, "folds", "seconds", "hyperparameters")
    note = "≈: an estimate of a trial that was ended early, which can't win."
    is_estimated = any(one.estimate is not None for one in best)
    return Table(f"The best {len(best)} of {len(known):,} trials", head, rows, "llrrrl", note * is_estimated, strong)


def _row(values: Values, one: TrialResult, decimals: int | None) -> Sequence[Content]:
    searched = values.searched.get(one.proposal.family, frozenset())
    free = _parted(one.proposal.hyperparameters, searched)[0]
    told = ", ".join(f"{name} {short(value)}" for name, value in free.items())
    mark = "≈ " if one.estimate is not None else ""
    folds = str(len(one.folds)) + ("" if one.proposal.n_rows is None else f" of {one.proposal.n_rows:,} rows")
    return [str(one.proposal.number), one.proposal.family, mark + fixed(one.score, decimals), folds,
            f"{one.seconds:.1f}", told]  # fmt: skip


def _errors(results: Sequence[TrialResult]) -> list[str]:
    """Why trials failed: the last lines of their tracebacks, the most frequent first."""
    lines = Counter(one.error.strip().splitlines()[-1] for one in results if one.error and one.error.strip())
    return [f"{n:,} failed: {line}" for line, n in lines.most_common(MOST_ERRORS)]
