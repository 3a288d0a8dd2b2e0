"""The search loop on a real Prefect server: the same trials on any number of workers, after a kill, and extended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from on_iris import FAST, SEARCHES, N, experiment
from optuna.trial import FrozenTrial, TrialState
from searching import LADDER, SHORT, WHOLE, Searching, StopError, outcome, stop_at

from flows import tune as tuning
from flows.foresee import Foresight
from tasks.evidence import Ladder, Rung
from tasks.records import TrialResult
from tasks.refusal import Refusal
from tasks.search import Space
from tasks.search.random import Random


@pytest.mark.parametrize("choice", SEARCHES)
def test_any_number_of_workers_gives_the_same_trials_and_winner(on_iris: Searching, choice: str) -> None:
    one, two, four = (
        on_iris.run(choice, f"{choice}-on-{workers}", workers=workers, pause=0.01) for workers in (1, 2, 4)
    )
    assert len(one.results) == N
    assert outcome(one) == outcome(two) == outcome(four)
    assert one.winner.proposal == two.winner.proposal == four.winner.proposal
    assert len({str(proposal.hyperparameters) for proposal, _ in outcome(one)}) == N


def test_of_a_grid_that_is_used_up_the_last_points_go_on_too(on_iris: Searching) -> None:
    """Of its points the dearest come last, and no proposal sees what is told after it was asked."""
    more: dict[str, Any] = {"n_trials": 40, "ladder": SHORT, "racing": None}
    one, two, four = (on_iris.run("grid", f"used-up-on-{workers}", workers=workers, **more) for workers in (1, 2, 4))
    assert outcome(one) == outcome(two) == outcome(four)
    begun, further = ([r for r in one.results if r.proposal.n_rows == n] for n in (20, 40))
    best = sorted(begun, key=lambda result: result.score)[: len(begun) // 4]
    on = [result.proposal.hyperparameters for result in further]
    assert best
    assert all(result.proposal.hyperparameters in on for result in best)
    assert one.counts.requested == len(one.results)
    with pytest.raises(StopError):
        on_iris.run("grid", "used-up-interrupted", told=stop_at(len(begun) - 1), **more)
    assert outcome(on_iris.run("grid", "used-up-interrupted", **more)) == outcome(one)


@pytest.mark.slow
@pytest.mark.parametrize("ladder", [WHOLE, LADDER], ids=["whole", "ladder"])
def test_nets_win_alike_on_any_number_of_workers_and_after_an_interruption(
    nets_on_iris: Searching, ladder: Ladder
) -> None:
    name, more = f"nets-{len(ladder.rungs)}", {"n_trials": 10, "ladder": ladder, "racing": 0.5}
    one, two, four = (
        nets_on_iris.run("random", f"{name}-on-{workers}", workers=workers, **more) for workers in (1, 2, 4)
    )
    assert {r.proposal.hyperparameters["width"] for r in one.results} >= {64, 512}
    assert outcome(one) == outcome(two) == outcome(four)
    assert one.counts.failed == 0
    with pytest.raises(StopError):
        nets_on_iris.run("random", f"{name}-interrupted", told=stop_at(4), **more)
    assert outcome(nets_on_iris.run("random", f"{name}-interrupted", **more)) == outcome(one)


@pytest.mark.slow
def test_nets_that_are_trained_together_win_alike_on_any_number_of_workers_interrupted_and_extended(
    nets_on_iris: Searching,
) -> None:
    """The interruption comes within a team, and so does the end before the extension."""
    more: dict[str, Any] = {"n_trials": 11, "racing": 0.5, "together": 4}
    one, two = (nets_on_iris.run("random", f"together-on-{workers}", workers=workers, **more) for workers in (1, 2))
    assert outcome(one) == outcome(two)
    assert one.counts.failed == 0 < one.counts.stopped_early
    alone = nets_on_iris.run("random", "together-no", **{**more, "together": 1})
    assert [result.proposal for result in alone.results] == [result.proposal for result in one.results]
    assert outcome(alone) != outcome(one)  # but for rounding
    with pytest.raises(StopError):
        nets_on_iris.run("random", "together-interrupted", told=stop_at(6), **more)
    assert outcome(nets_on_iris.run("random", "together-interrupted", **more)) == outcome(one)
    shorter = nets_on_iris.run("random", "together-extended", **{**more, "n_trials": 4})
    assert outcome(shorter) == outcome(one)[:4]
    assert outcome(nets_on_iris.run("random", "together-extended", **more)) == outcome(one)


@pytest.mark.parametrize(("choice", "number"), [*((choice, 4) for choice in SEARCHES), ("bayesian", 0)])
def test_an_interrupted_search_goes_on_with_the_same_trials(on_iris: Searching, choice: str, number: int) -> None:
    name = f"{choice}-interrupted-{number}"
    with pytest.raises(StopError):
        on_iris.run(choice, name, told=stop_at(number))
    stored = on_iris.folds(name)
    again = on_iris.run(choice, name)
    assert outcome(again) == outcome(on_iris.run(choice, f"{choice}-whole"))
    assert again.counts.reused == number + 1
    assert [trial.state for trial in on_iris.trials(name)] == [TrialState.COMPLETE] * N
    assert stored.items() <= on_iris.folds(name).items()
    assert len(on_iris.folds(name)) == sum(len(result.folds) for result in again.results)


@pytest.mark.parametrize("choice", ["bayesian", "genetic", "random"])
def test_a_larger_budget_extends_a_search_as_if_it_had_been_asked_for_at_once(on_iris: Searching, choice: str) -> None:
    first = on_iris.run(choice, f"{choice}-extended", n_trials=5)
    extended = on_iris.run(choice, f"{choice}-extended", n_trials=N)
    assert outcome(first) == outcome(extended)[:5]
    assert outcome(extended) == outcome(on_iris.run(choice, f"{choice}-whole"))
    assert (extended.counts.reused, extended.counts.finished) == (5, N)


def test_a_smaller_budget_of_a_finished_search_takes_its_first_trials_alone(on_iris: Searching) -> None:
    whole = on_iris.run("random", "random-whole")
    smaller = on_iris.run("random", "random-whole", n_trials=3)
    assert outcome(smaller) == outcome(whole)[:3]
    assert smaller.counts.requested == smaller.counts.reused == 3


def test_a_finished_search_is_reused_without_computing_a_fold(on_iris: Searching) -> None:
    whole = on_iris.run("bayesian", "bayesian-whole")
    stored = on_iris.folds("bayesian-whole")
    told: list[tuple[int, bool]] = []

    def note(result: TrialResult, trial: FrozenTrial, *, is_reused: bool) -> None:
        told.append((trial.number, is_reused))

    again = on_iris.run("bayesian", "bayesian-whole", told=note, fails=lambda _: True)
    assert outcome(again) == outcome(whole)
    assert (again.counts.reused, again.counts.failed) == (N, 0)
    assert told == [(number, True) for number in range(N)]
    assert on_iris.folds("bayesian-whole") == stored


def test_trials_are_told_in_order_whichever_ends_first(on_iris: Searching) -> None:
    told: list[tuple[int, int, bool]] = []

    def note(result: TrialResult, trial: FrozenTrial, *, is_reused: bool) -> None:
        told.append((result.proposal.number, trial.number, is_reused))

    on_iris.run("random", "random-in-order", workers=4, told=note, pause=0.02)
    assert told == [(number, number, False) for number in range(N)]


@pytest.mark.parametrize("choice", SEARCHES)
def test_failed_trials_are_counted_and_never_win(on_iris: Searching, choice: str) -> None:
    def fails(hyperparameters: Mapping[str, Any]) -> bool:
        return bool(hyperparameters["num_leaves"] >= 6)

    tuned = on_iris.run(choice, f"{choice}-failing", fails=fails)
    failed = [result for result in tuned.results if result.error]
    assert 0 < len(failed) == tuned.counts.failed == N - tuned.counts.finished
    assert all("ValueError" in str(result.error) and fails(result.proposal.hyperparameters) for result in failed)
    assert tuned.winner.proposal.hyperparameters["num_leaves"] < 6
    states = [trial.state for trial in on_iris.trials(f"{choice}-failing")]
    assert [state is TrialState.FAIL for state in states] == [result.error is not None for result in tuned.results]
    again = on_iris.run(choice, f"{choice}-failing", fails=lambda _: True)
    assert (outcome(again), again.counts.failed) == (outcome(tuned), len(failed))


def test_a_search_in_which_every_trial_failed_is_refused_with_the_reason(on_iris: Searching) -> None:
    with pytest.raises(Refusal, match=r"every one of 8 trials failed; the first one: ValueError: \d+ leaves fall"):
        on_iris.run("random", "hopeless", fails=lambda _: True)


def test_the_winner_is_the_first_of_the_best_means(on_iris: Searching) -> None:
    tuned = on_iris.run("random", "random-without-racing", racing=None)
    means = [sum(fold.value for fold in result.folds) / 3 for result in tuned.results]
    assert {len(result.folds) for result in tuned.results} == {3}
    assert tuned.winner.mean == pytest.approx(min(means))
    assert tuned.winner.proposal.number == means.index(min(means))


def test_seconds_end_the_asking_and_what_was_begun_is_told_whole_or_not_at_all(on_iris: Searching) -> None:
    cut = on_iris.run("random", "random-cut", seconds=0.3, pause=0.05)
    whole = on_iris.run("random", "random-whole")
    assert 1 <= len(cut.results) < N
    assert outcome(cut) == outcome(whole)[: len(cut.results)]
    assert cut.counts.finished == len(cut.results)
    assert outcome(on_iris.run("random", "random-cut")) == outcome(whole)


def test_a_search_without_time_still_finishes_its_first_trial(on_iris: Searching) -> None:
    assert len(on_iris.run("random", "random-hasty", seconds=1e-9).results) == 1


def test_a_grid_ends_when_it_is_used_up(on_iris: Searching) -> None:
    tuned = on_iris.run("grid", "grid-to-its-end", n_trials=100)
    assert len(tuned.results) == 4 * 3 * 2  # the lists that FAST gives, and two values of the family's own grid
    assert on_iris.run("grid", "grid-to-its-end", n_trials=100).counts.reused == 24


@pytest.mark.parametrize("choice", SEARCHES)
def test_racing_ends_trials_early_and_its_winner_is_complete(on_iris: Searching, choice: str) -> None:
    raced = on_iris.run(choice, f"{choice}-raced", n_trials=16, racing=0.5)
    stopped = [result for result in raced.results if result.estimate is not None]
    assert len(stopped) == raced.counts.stopped_early > 0
    assert all(len(result.folds) < 3 for result in stopped)
    assert len(raced.winner.folds) == 3
    assert raced.winner.mean == min(r.score for r in raced.results if r.is_complete(3))
    told = on_iris.trials(f"{choice}-raced")
    assert all(trial.state is TrialState.COMPLETE for trial in told)
    assert [trial.value for trial in told] == pytest.approx([result.score for result in raced.results])


def test_racing_keeps_the_winner_of_a_random_search(on_iris: Searching) -> None:
    """Proposals of a random search don't depend on scores: both searches try the same settings."""
    whole = on_iris.run("random", "random-unraced", n_trials=16, racing=None)
    raced = on_iris.run("random", "random-raced-softly", n_trials=16)
    assert [r.proposal for r in raced.results] == [r.proposal for r in whole.results]
    assert raced.winner.proposal == whole.winner.proposal


@pytest.mark.parametrize("choice", ["bayesian", "genetic", "random"])
def test_a_ladder_of_evidence_gives_the_same_trials_on_any_number_of_workers(on_iris: Searching, choice: str) -> None:
    one, four = (
        on_iris.run(choice, f"{choice}-ladder-{n}", n_trials=24, workers=n, pause=0.005, ladder=LADDER) for n in (1, 4)
    )
    assert outcome(one) == outcome(four)
    assert {(r.proposal.n_rows, r.proposal.n_folds) for r in one.results} >= {(20, 1), (40, 3)}


def test_what_wins_was_judged_on_all_rows_and_folds_and_came_up_every_rung(on_iris: Searching) -> None:
    tuned = on_iris.run("random", "random-climbing", n_trials=40, ladder=LADDER)
    winner = tuned.winner.proposal
    assert (winner.n_rows, winner.n_folds, len(tuned.winner.folds)) == (None, None, 3)
    came_up = [r.proposal for r in tuned.results if r.proposal.hyperparameters == winner.hyperparameters]
    assert [(one.n_rows, one.n_folds) for one in came_up] == [(20, 1), (40, 3), (None, None)]


def test_a_grid_is_visited_whole_beside_what_goes_on_to_better_evidence(on_iris: Searching) -> None:
    tuned = on_iris.run("grid", "grid-climbing", n_trials=3 * 24, ladder=LADDER)
    rungs = [(r.proposal.n_rows, r.proposal.n_folds) for r in tuned.results]
    points = {str(r.proposal.hyperparameters) for r in tuned.results}
    assert (rungs.count((20, 1)), len(points)) == (24, 24)
    assert rungs.count((40, 3)) >= 24 // 4
    assert len(rungs) < 3 * 24


def test_an_interrupted_ladder_goes_on_with_the_same_trials(on_iris: Searching) -> None:
    with pytest.raises(StopError):
        on_iris.run("random", "ladder-interrupted", n_trials=40, ladder=LADDER, told=stop_at(13))
    again = on_iris.run("random", "ladder-interrupted", n_trials=40, ladder=LADDER)
    assert outcome(again) == outcome(on_iris.run("random", "random-climbing", n_trials=40, ladder=LADDER))


MIXED = ("model=[linear,lightgbm]", *FAST)
FOLD_FIRST = Ladder((Rung(None, 1), Rung()), n_rows=80, whole=frozenset({"linear"}))


def test_a_cheap_family_begins_on_all_folds_and_the_search_is_the_same_on_any_number_of_workers(
    on_iris: Searching,
) -> None:
    here = Searching(on_iris.studies, experiment(*MIXED), MIXED)
    one, four = (
        here.run("bayesian", f"mixed-{n}", n_trials=24, workers=n, pause=0.005, ladder=FOLD_FIRST) for n in (1, 4)
    )
    assert outcome(one) == outcome(four)
    begun = {(r.proposal.family, r.proposal.n_folds) for r in one.results}
    assert begun >= {("linear", None), ("lightgbm", 1), ("lightgbm", None)}
    assert ("linear", 1) not in begun


def test_a_search_sees_what_was_judged_on_one_fold_on_the_scale_of_all(
    on_iris: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    views, ask = list[list[FrozenTrial]](), Random.ask
    known, asked = list[int](), tuning._Loop._ask

    def noted(self: Random, space: Space, view: list[FrozenTrial], seed: int, **given: bool) -> FrozenTrial | None:
        views.append(view)
        return ask(self, space, view, seed, **given)

    def counted(self: tuning._Loop, trials: list[FrozenTrial], n_seen: int) -> FrozenTrial | None:
        known.append(n_seen)
        return asked(self, trials, n_seen)

    monkeypatch.setattr(Random, "ask", noted)
    monkeypatch.setattr(tuning._Loop, "_ask", counted)
    here = Searching(on_iris.studies, experiment(*MIXED), MIXED)
    tuned = here.run("random", "mixed-scale", n_trials=16, ladder=FOLD_FIRST, racing=None)
    shown = [trial for trial in views[-1] if trial.value is not None]
    best = min((one for one in tuned.results[: known[-1]] if one.is_complete(3)), key=lambda one: one.score)  # log-loss
    more = best.score - best.values[here.experiment.order[0]]
    moved = [trial.value - tuned.results[trial.number].score for trial in shown]
    of_one_fold = [tuned.results[trial.number].proposal.n_folds == 1 for trial in shown]
    assert abs(more) > 1e-6
    assert moved == pytest.approx([more * is_of_one for is_of_one in of_one_fold])
    assert set(of_one_fold) == {True, False}


def test_of_two_families_that_may_be_better_than_a_complete_winner_the_better_one_is_judged_whole(
    on_iris: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = ("model=[linear,lightgbm,forest]", *FAST)
    here = Searching(on_iris.studies, experiment(*overrides), overrides)
    monkeypatch.setattr(Foresight, "_may_be_better", lambda *_: True)
    tuned = here.run("random", "rivals", n_trials=3, ladder=FOLD_FIRST, racing=None)
    assert {(r.proposal.family, len(r.folds)) for r in tuned.results} == {("linear", 3), ("lightgbm", 1), ("forest", 1)}
    better, worse = sorted(tuned.results[1:], key=lambda one: one.score)  # log-loss
    judged = {one.proposal.family: len(one.folds) for one in tuned.judged}
    assert judged == {better.proposal.family: 3, worse.proposal.family: 1}
