"""Who wins: what holds the limits and was judged whole, on any number of workers and after an interruption."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from on_iris import FAST, SEARCHES, experiment
from searching import LADDER, SHORT, Searching, StopError, outcome, stop_at
from wrapped import Blind

from flows.tune import Tuned
from flows.winner import winner_by, with_judged
from tasks.comparison import difference_to
from tasks.evidence import Ladder, Rung
from tasks.footprint import Limits, promised
from tasks.refusal import Refusal
from tasks.trial import run_trial

pytestmark = pytest.mark.slow  # whole runs; the core suite has those of test_pipeline


def size_of(tuned: Tuned, share: float) -> Limits:
    """A limit that so large a share of the trials would hold."""
    sizes = sorted(footprint.megabytes for r in tuned.results if (footprint := promised(r.folds)) is not None)
    return Limits(megabytes=sizes[round(share * (len(sizes) - 1))] * 1.0001)


@pytest.fixture(scope="module")
def some(on_iris: Searching) -> Limits:
    """A limit that about half of a random search's trials hold."""
    return size_of(on_iris.run("random", "random-measured", n_trials=16, racing=None, limits=Limits(1e6, 1e6)), 0.5)


def test_a_winner_that_was_judged_on_more_folds_has_the_score_of_all(on_iris: Searching) -> None:
    result = on_iris.run("random", "random-judged", n_trials=2).results[0]
    few = winner_by(on_iris.experiment, replace(result, folds=result.folds[:2]))
    judged = with_judged(on_iris.experiment, few, [result])
    assert (judged.proposal, judged.folds, judged.mean) == (result.proposal, result.folds, result.score)


@pytest.mark.parametrize("choice", SEARCHES)
def test_with_limits_any_number_of_workers_gives_the_same_trials_and_a_winner_within_them(
    on_iris: Searching, choice: str, some: Limits
) -> None:
    one, four = (
        on_iris.run(choice, f"{choice}-limited-{n}", n_trials=16, workers=n, pause=0.005, limits=some) for n in (1, 4)
    )
    assert outcome(one) == outcome(four)
    assert [r.excess for r in one.results] == [r.excess for r in four.results]
    over = [r for r in one.results if not r.is_feasible]
    assert 0 < len(over) == one.counts.over_limits < len(one.results)
    within = [r for r in one.results if r.is_feasible and r.is_complete(3)]
    assert one.winner.mean == min(r.score for r in within)
    assert one.winner.proposal in [r.proposal for r in within]
    told = on_iris.trials(f"{choice}-limited-1")
    assert [trial.constraints for trial in told] == [r.excess for r in one.results]
    again = on_iris.run(choice, f"{choice}-limited-1", n_trials=16, limits=some, fails=lambda _: True)
    assert ([r.excess for r in again.results], again.winner) == ([r.excess for r in one.results], one.winner)


def test_a_limit_that_changes_the_winner_costs_no_more_than_it_must(on_iris: Searching) -> None:
    """Proposals of a random search don't depend on scores: both searches try the same settings."""
    free = on_iris.run("random", "random-free", n_trials=16, racing=None, limits=Limits(1e6, None))
    assert all(r.excess == {"megabytes": pytest.approx(-1, abs=1e-5)} for r in free.results)
    best = next(r for r in free.results if r.proposal == free.winner.proposal)
    footprint = promised(best.folds)
    assert footprint is not None
    limits = Limits(footprint.megabytes * 0.9999, None)
    tight = on_iris.run("random", "random-tight", n_trials=16, racing=None, limits=limits)
    smaller = [r for r in tight.results if (p := promised(r.folds)) and p.megabytes < footprint.megabytes]
    assert tight.winner.mean == min(r.score for r in smaller) >= free.winner.mean


def test_limits_that_no_trial_holds_are_refused_with_the_nearest_model_and_the_key(on_iris: Searching) -> None:
    with pytest.raises(Refusal, match=r"none of 8 trials has a model within the limits; that of trial \d, the nearest, "
                                      r"comes to 0\.0\d+ of search\.megabytes=1e-06: raise search\.megabytes, or"):
        on_iris.run("random", "limits-too-tight", limits=Limits(1e-6, 1e6))


def test_an_interrupted_search_with_limits_goes_on_with_the_same_trials(on_iris: Searching, some: Limits) -> None:
    with pytest.raises(StopError):
        on_iris.run("bayesian", "limited-interrupted", n_trials=16, limits=some, told=stop_at(12))
    again = on_iris.run("bayesian", "limited-interrupted", n_trials=16, limits=some)
    assert outcome(again) == outcome(on_iris.run("bayesian", "bayesian-limited-1", n_trials=16, limits=some))


def test_a_genetic_search_turns_to_what_holds_the_limits(on_iris: Searching, some: Limits) -> None:
    shares = []
    for name, limits in (("free", Limits(1e6)), ("limited", some)):
        tuned = on_iris.run("genetic", f"genetic-{name}", n_trials=32, racing=None, limits=limits)
        last = [promised(r.folds) for r in tuned.results[16:]]
        shares.append(sum(p is not None and not some.described(some.excess(p)) for p in last))
    assert shares[1] > shares[0]


def test_a_ladder_takes_no_trial_up_that_exceeds_a_limit(on_iris: Searching, some: Limits) -> None:
    tuned = on_iris.run("random", "limited-ladder", n_trials=32, ladder=LADDER, limits=some)
    came_up = {str(r.proposal.hyperparameters) for r in tuned.results if r.proposal.n_rows != 20}
    below = [r for r in tuned.results if r.proposal.n_rows == 20]
    assert came_up <= {str(r.proposal.hyperparameters) for r in below if r.is_feasible}
    assert not all(r.is_feasible for r in below)


def test_a_winner_that_was_judged_on_less_is_judged_on_all_rows_and_folds_before_it_wins(on_iris: Searching) -> None:
    one, four = (on_iris.run("random", f"confirmed-{n}", n_trials=8, workers=n, ladder=SHORT) for n in (1, 4))
    assert one.winner.proposal == four.winner.proposal
    assert (one.winner.proposal.n_rows, one.winner.proposal.n_folds) == (None, None)
    trial = one.results[one.winner.proposal.number].proposal
    assert (trial.n_rows, trial.hyperparameters) == (40, one.winner.proposal.hyperparameters)
    whole = run_trial(replace(on_iris.experiment, digest="whole", folder=str(on_iris.studies / "whole")),
                      one.winner.proposal)  # fmt: skip
    assert one.winner.mean == whole.score
    assert [fold.value for fold in one.winner.folds] == [fold.value for fold in whole.folds]
    assert len(one.results) == len(on_iris.trials("confirmed-1")) == 8
    stored = on_iris.folds("confirmed-1")
    assert on_iris.run("random", "confirmed-1", n_trials=8, ladder=SHORT).winner == one.winner
    assert on_iris.folds("confirmed-1") == stored


def test_a_winner_is_judged_again_on_the_folds_that_there_was_time_for_alone(on_iris: Searching) -> None:
    every = on_iris.run("random", "reproduced", n_trials=4, ladder=SHORT).winner
    some = on_iris.run("random", "reproduced", n_trials=4, ladder=SHORT, confirming={"lightgbm": (0, 2)}).winner
    none = on_iris.run("random", "reproduced", n_trials=4, ladder=SHORT, confirming={}).winner
    assert some.folds == (every.folds[0], every.folds[2])
    assert some.proposal == every.proposal != none.proposal
    assert none.proposal.n_rows is not None


MIXED = (*FAST, "model=[lightgbm,linear]")


def test_for_an_ensemble_the_best_of_each_family_is_judged_whole(on_iris: Searching) -> None:
    here = Searching(on_iris.studies, experiment(*MIXED), (*MIXED, "ensemble=greedy"))
    one, four = (here.run("random", f"judged-{n}", n_trials=12, workers=n, ladder=SHORT) for n in (1, 4))
    assert sorted(result.proposal.family for result in one.judged) == ["lightgbm", "linear"]
    for result in one.judged:
        assert (result.proposal.n_rows, result.proposal.n_folds, len(result.folds)) == (None, None, 3)
    assert [result.proposal for result in four.judged] == [result.proposal for result in one.judged]
    assert (four.winner.proposal, four.winner.mean) == (one.winner.proposal, one.winner.mean)


def test_families_that_samples_compared_are_judged_on_a_fold_of_all_rows_and_the_best_on_all(
    on_iris: Searching,
) -> None:
    here = Searching(on_iris.studies, experiment(*MIXED), MIXED)
    one, four = (here.run("random", f"compared-{n}", n_trials=12, workers=n, ladder=SHORT) for n in (1, 4))
    assert sorted(result.proposal.family for result in one.judged) == ["lightgbm", "linear"]
    best, other = sorted(one.judged, key=lambda result: -len(result.folds))
    assert [fold.fold for fold in other.folds] == [here.experiment.order[0]]
    assert (best.is_complete(3), one.winner.proposal, one.winner.mean) == (True, best.proposal, best.score)
    (there,) = (fold.value for fold in best.folds if fold.fold == here.experiment.order[0])
    assert there <= other.score  # log-loss
    assert [result.proposal for result in four.judged] == [result.proposal for result in one.judged]
    confirming = {result.proposal.family: [fold.fold for fold in result.folds] for result in one.judged}
    again = here.run("random", "compared-1", n_trials=12, ladder=SHORT, confirming=confirming)
    assert (again.winner, again.judged) == (one.winner, one.judged)


def test_families_that_all_rows_compared_are_not_compared_again(on_iris: Searching) -> None:
    here = Searching(on_iris.studies, experiment(*MIXED), MIXED)
    tuned = here.run("random", "one-fold", n_trials=8, ladder=Ladder((Rung(None, 1),), n_rows=80))
    (judged,) = tuned.judged
    assert (judged.is_complete(3), judged.proposal) == (True, tuned.winner.proposal)


def test_what_looked_best_on_less_gives_way_to_another_family_that_is_better_on_all(on_iris: Searching) -> None:
    """LightGBM predicts nothing on samples, and so came no rung up; the linear model nothing on all rows."""
    whole = experiment(*MIXED)
    families: Any = {name: Blind(family, name == "linear") for name, family in whole.families.items()}
    here = Searching(on_iris.studies, replace(whole, families=families), (*MIXED, "ensemble=greedy"))
    tuned = here.run("random", "gives-way", n_trials=12, ladder=SHORT)
    assert SHORT.top(tuned.results, 3)[0].proposal.family == "linear"
    assert [result.proposal.family for result in tuned.judged] == ["linear", "lightgbm"]
    assert tuned.winner.proposal == tuned.judged[1].proposal
    assert tuned.winner.mean == tuned.judged[1].score < 0.5 < tuned.judged[0].score
    alone = replace(here, overrides=MIXED).run("random", "gives-way", n_trials=12, ladder=SHORT)
    assert alone.winner.proposal == tuned.judged[1].proposal


def test_without_time_to_confirm_the_winner_stays_on_the_evidence_that_it_has(on_iris: Searching) -> None:
    tuned = on_iris.run("random", "unconfirmed", seconds=1e-9, ladder=SHORT)
    assert tuned.winner.proposal == tuned.results[0].proposal
    assert tuned.winner.proposal.n_rows == 20


def test_select_simplest_takes_the_cheapest_that_is_as_good_on_any_number_of_workers(on_iris: Searching) -> None:
    one, four = (
        on_iris.run("random", f"simplest-{n}", n_trials=16, workers=n, racing=None, takes_simplest=True) for n in (1, 4)
    )
    assert (one.winner.proposal, one.winner.mean) == (four.winner.proposal, four.winner.mean)
    by_number = {r.proposal.number: r for r in one.results if r.is_complete(3)}
    best, taken = min(by_number.values(), key=lambda r: r.score), by_number[one.winner.proposal.number]
    found = difference_to(best, taken, 0.5)
    assert found is not None
    assert found.holds_zero
    costs = {r.proposal.number: p.milliseconds for r in by_number.values() if (p := promised(r.folds)) is not None}
    assert costs[taken.proposal.number] < costs[best.proposal.number]


def test_a_search_that_had_not_counted_what_its_models_cost_has_the_same_simplest(on_iris: Searching) -> None:
    counted = on_iris.run("random", "simplest-1", n_trials=16, racing=None, takes_simplest=True)
    on_iris.run("random", "simplest-late", n_trials=16, racing=None)
    late = on_iris.run("random", "simplest-late", n_trials=16, racing=None, takes_simplest=True)
    assert late.counts.reused == 16
    assert late.winner.proposal == counted.winner.proposal
    assert [fold.value for fold in late.winner.folds] == [fold.value for fold in counted.winner.folds]
