"""Confirm: what looked best on little evidence, judged on all of it after the search, as far as there is time."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from flows.foresee import Foresight, Members
from flows.runner import Runner, Submitted
from flows.winner import with_judged
from tasks import mixture
from tasks.footprint import limited
from tasks.racing import best_of
from tasks.records import FoldScore, Proposal, TrialResult, Winner
from tasks.trial import confirm as confirm_fold


def confirm(
    ahead: Foresight, runner: Runner, results: Sequence[TrialResult], winner: Winner, members: Members | None = None
) -> tuple[Winner, tuple[TrialResult, ...]]:
    """The winner judged on all rows and folds, or as many folds as there is time for; before it the best of each other
    family, see `finalists`, on one fold of all rows, where the best of them takes its place. They are no trials of the
    study, so that the clock decides nothing of these; the folds are kept for one that comes to them. members: see
    `Foresight.combining_seconds`."""
    experiment, best = ahead.experiment, TrialResult(winner.proposal, winner.folds)
    finalists = ahead.finalists(results, best)
    if not finalists:
        return winner, ()
    final_seconds = max(map(ahead.least_seconds, [best, *finalists]))
    combining = ahead.combining_seconds(results, finalists, final_seconds, members)
    deadline = ahead.budget.deadline(final_seconds, combining)

    def judged(asked: Mapping[str, Sequence[int]]) -> list[TrialResult]:
        """Of each family's, in addition to the folds before, as many of these as there was time for."""
        out = {name: [_submit(ahead, runner, proposals[name], fold, deadline) for fold in folds]
               for name, folds in asked.items()}  # fmt: skip
        for name, submitted in out.items():
            scores[name] += [score for one in submitted if (score := one.result()) is not None]
        return [_result(ahead, proposal, scores[name]) for name, proposal in proposals.items()]

    proposals = {one.proposal.family: one.proposal for one in finalists}
    scores: dict[str, list[FoldScore]] = {name: [] for name in proposals}
    order = {name: ahead.folds_of(name) for name in proposals}
    if len(finalists) > 1:
        found = judged({name: folds[:1] for name, folds in order.items()})
        leading = with_judged(experiment, winner, found).proposal.family
        if leading not in order:  # of which the winner is no rival yet: it was judged on all folds
            rival = best_of([one for one in found if one.folds], experiment.metric)
            leading = leading if rival is None else rival.proposal.family
        further = [leading, *(name for name in order if ahead.judges_all and name != leading)]
        order = {name: order[name][1:] for name in further if name in order}
    found = judged(order)
    return with_judged(experiment, winner, found), tuple(found)


def complete(
    ahead: Foresight, runner: Runner, results: Sequence[TrialResult], winner: Winner
) -> tuple[TrialResult, ...]:
    """The members of an ensemble of trials that were judged on one fold, on as many of the others as there is time for:
    an average of the models of five folds is steadier than one of them, and more rows tell how to weigh them."""
    if ahead.ensemble is None:
        return ()
    members, is_better = mixture.of_first_fold(ahead.experiment, ahead.ensemble, results, winner)
    best = None if is_better else TrialResult(winner.proposal, winner.folds)
    deadline = ahead.completing_deadline(results, best)
    whole = {one.proposal.number: replace(one.proposal, n_folds=None) for one, _ in members}
    out = [
        (number, _submit(ahead, runner, whole[number], fold, deadline))
        for number, fold in _affordable(ahead, members, deadline)
    ]
    found = []
    for result, _ in members:
        number = result.proposal.number
        more = [score for of, one in out if of == number and (score := one.result()) is not None]
        if more:
            found.append(_result(ahead, whole[number], [*result.folds, *more]))
    return tuple(found)


def _affordable(
    ahead: Foresight, members: Sequence[tuple[TrialResult, float]], deadline: float | None
) -> list[tuple[int, int]]:
    """Trials and folds, as many as there is time for: first what takes the most variance out of the mixture in a
    second, of which a member with weight w and m models has as much as w^2 / m."""
    asked = []
    for result, weight in members:
        seconds = ahead.fold_seconds(result)
        for m, fold in enumerate(ahead.missing(result), start=len(result.folds)):
            asked.append((weight**2 / (m * (m + 1)) / max(seconds, 1e-3), seconds, result.proposal.number, fold))
    left = math.inf if deadline is None else ahead.n_workers * (deadline - time.time())
    found = []
    for _, seconds, number, fold in sorted(asked, key=lambda one: -one[0]):
        if seconds <= left:
            left -= seconds
            found.append((number, fold))
    return found


def _submit(
    ahead: Foresight, runner: Runner, whole: Proposal, fold: int, deadline: float | None
) -> Submitted[FoldScore | None]:
    task = confirm_fold.with_options(task_run_name=f"confirm-{whole.number}-fold-{fold}")
    given = {"experiment": ahead.experiment, "proposal": whole, "fold": fold, "deadline": deadline}
    return runner.submit(task, given)


def _result(ahead: Foresight, proposal: Proposal, scores: Sequence[FoldScore]) -> TrialResult:
    folds = tuple(sorted(scores, key=lambda score: score.fold))
    return limited(TrialResult(proposal, folds), ahead.experiment.limits)
