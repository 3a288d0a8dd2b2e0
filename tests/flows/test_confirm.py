"""What looked best on little evidence is judged on more of it after the search: members of an ensemble."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import pytest
from on_iris import FAST, experiment
from searching import Searching

from flows.budget import Budget
from flows.config import compose
from flows.confirm import _affordable
from flows.foresee import Foresight
from flows.plan import plan
from flows.tune import Tuned
from tasks.evidence import Ladder, Rung
from tasks.records import FoldScore, Proposal, TrialResult

COMBINED = (*FAST, "model.lightgbm.rounds=30", "ensemble=greedy")
ONE_FOLD = Ladder((Rung(None, 1), Rung()), n_rows=80)


def folds_of(tuned: Tuned) -> dict[int, list[int]]:
    return {one.proposal.number: [fold.fold for fold in one.folds] for one in tuned.completed}


@pytest.mark.slow
def test_members_that_one_fold_chose_are_judged_on_the_others_and_in_a_reproduction_on_the_same(
    on_iris: Searching,
) -> None:
    here = Searching(on_iris.studies, replace(experiment(*COMBINED), keep_models=True, seed=1), COMBINED)
    one, four = (here.run("random", f"completed-{n}", n_trials=12, workers=n, ladder=ONE_FOLD) for n in (1, 4))
    assert len(one.completed) > 0
    for result in one.completed:
        trial = one.results[result.proposal.number]
        assert (trial.proposal.n_folds, result.proposal.n_folds, len(result.folds)) == (1, None, 3)
        assert result.values.items() >= trial.values.items()
        assert result.proposal.hyperparameters == trial.proposal.hyperparameters
    assert [one.proposal for one in four.completed] == [one.proposal for one in one.completed]
    assert (four.winner.proposal, four.winner.mean) == (one.winner.proposal, one.winner.mean)
    first, second, _ = here.experiment.order
    some = {number: sorted([first, second]) for number in folds_of(one)}
    again = here.run("random", "completed-1", n_trials=12, ladder=ONE_FOLD, completing=some)
    assert folds_of(again) == some
    assert here.run("random", "completed-1", n_trials=12, ladder=ONE_FOLD, completing={}).completed == ()


@pytest.mark.slow
def test_a_member_that_all_folds_show_to_be_the_best_wins(on_iris: Searching) -> None:
    here = Searching(on_iris.studies, replace(experiment(*COMBINED), keep_models=True, seed=1), COMBINED)
    tuned = here.run("random", "completed-1", n_trials=12, ladder=ONE_FOLD)
    whole = [one for one in (*tuned.results, *tuned.judged, *tuned.completed) if one.is_complete(3)]
    assert tuned.winner.mean == min(one.score for one in whole)  # log-loss
    assert tuned.winner.proposal.number in folds_of(tuned)


@pytest.mark.parametrize(("seconds", "expected"), [
    (math.inf, [(1, 1), (1, 2), (0, 1), (0, 2)]),
    (13.0, [(1, 1), (1, 2), (0, 1)]),
    (1.5, [(1, 1)]),
    (0.5, []),
], ids=["all", "some", "one", "none"])  # fmt: skip
def test_first_come_the_folds_that_take_the_most_variance_out_of_the_mixture_in_a_second(
    on_iris: Searching, seconds: float, expected: list[tuple[int, int]]
) -> None:
    """Of two with equal weights on one worker, folds of ten seconds and of one. expected: trials, and folds by their
    place in the order."""
    order = on_iris.experiment.order
    ahead = Foresight(on_iris.experiment, ONE_FOLD, Budget(0.0, 60.0, 1), plan(compose([*COMBINED])).ensemble, 1)
    members = [
        (TrialResult(Proposal(n, "lightgbm", {}, None, 1), (FoldScore(order[0], 0.5, 0.5, 10, each),)), 0.5)
        for n, each in enumerate((10.0, 1.0))
    ]
    found = _affordable(ahead, members, None if seconds == math.inf else time.time() + seconds)
    assert found == [(number, order[place]) for number, place in expected]
