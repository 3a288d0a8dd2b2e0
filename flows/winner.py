"""Winner: the best trial that was judged whole and holds the limits; and the one that takes its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from tasks.comparison import error_of_mean
from tasks.evidence import Ladder, rung_of
from tasks.metric import better
from tasks.model import growth_of_rounds
from tasks.racing import best_of
from tasks.records import Footprint, TrialResult, Winner
from tasks.refusal import Refusal
from tasks.weigh import simplest_of
from tasks.workspace import Experiment


def winner_of(experiment: Experiment, ladder: Ladder, results: Sequence[TrialResult]) -> Winner:
    """The best trial, or for select=simplest the cheapest that can't be told from it.

    Raises:
        Refusal: where every trial failed, with the reason of the first; where none holds the limits, with what the
            smallest comes to.
    """
    complete = ladder.top(results, experiment.n_folds)
    best = best_of(complete, experiment.metric)
    if best is None:
        raise Refusal(_reason(experiment, results))
    return winner_by(experiment, simplest_of(experiment, complete) if experiment.takes_simplest else best)


def winner_by(experiment: Experiment, best: TrialResult) -> Winner:
    """That trial as the winner, by the scores of its folds."""
    error = error_of_mean([fold.value for fold in best.folds])
    growth = growth_of_rounds(experiment.families[best.proposal.family], experiment.growth)
    return Winner(best.proposal, best.score, error, best.folds, best.rounds(growth))


def with_judged(experiment: Experiment, winner: Winner, judged: Sequence[TrialResult]) -> Winner:
    """The winner as it was judged on all rows after the search, if it was; or one of the others in its place, that was
    judged on as many folds at least, and is better on those that both were judged on.

    judged: the winner's own trial first, where that had been judged on less.
    """
    own = next((one for one in judged if one.proposal.number == winner.proposal.number and one.folds), None)
    best = TrialResult(winner.proposal, winner.folds) if own is None or not own.is_feasible else own
    if rung_of(best.proposal).n_rows is None and not experiment.takes_simplest:
        for one in judged:
            if one.is_feasible and len(one.folds) >= len(best.folds) and _is_better(experiment, one, best):
                best = one
    is_known = (best.proposal, best.folds) == (winner.proposal, winner.folds)
    return winner if is_known else winner_by(experiment, best)


def _is_better(experiment: Experiment, one: TrialResult, best: TrialResult) -> bool:
    """On the folds that both were judged on."""
    values = {fold.fold: fold.value for fold in best.folds}
    pairs = [(fold.value, values[fold.fold]) for fold in one.folds if fold.fold in values]
    ours, theirs = ([pair[side] for pair in pairs] for side in (0, 1))
    return bool(pairs) and better(experiment.metric, fmean(ours), fmean(theirs))


def refused(
    experiment: Experiment, results: Sequence[TrialResult], winner: Winner, found: Footprint
) -> tuple[TrialResult, ...]:
    """The results with what the winner's final fit was found to come to in the place of what its folds promised."""
    excess, setting = experiment.limits.excess(found), (winner.proposal.family, winner.proposal.hyperparameters)
    return tuple(
        replace(result, excess=excess)
        if (result.proposal.family, result.proposal.hyperparameters) == setting
        else result
        for result in results
    )


def _reason(experiment: Experiment, results: Sequence[TrialResult]) -> str:
    """Why no trial can win."""
    over = [result for result in results if result.error is None and not result.is_feasible]
    if over:
        least = min(over, key=lambda result: max(result.excess.values()))
        keys = " and ".join(f"search.{key}" for key, share in least.excess.items() if share > 0)
        return (
            f"none of {len(results)} trials has a model within the limits; that of trial {least.proposal.number}, the "
            f"nearest, comes to {experiment.limits.described(least.excess)}: raise {keys}, or let smaller models be "
            "searched (model.NAME.space)."
        )
    reason = next((result.error for result in results if result.error), "no trial was finished in time")
    last = reason.strip().splitlines()[-1].removeprefix(f"{Refusal.__module__}.{Refusal.__name__}: ")
    return f"every one of {len(results)} trials failed; the first one: {last}"
