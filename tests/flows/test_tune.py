"""The search loop on a real Prefect server: the same trials on any number of workers, after a kill, and extended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from on_iris import FAST, SEARCHES, N, experiment, ignore
from optuna.trial import FrozenTrial, TrialState
from prefect import flow
from wrapped import Uneven

from flows.config import compose
from flows.plan import plan, settle
from flows.server import Server
from flows.tune import Budget, Rules, Told, Tuned, _Loop, tune
from tasks.evidence import Ladder, Rung
from tasks.footprint import Limits, promised
from tasks.records import FoldScore, Proposal, TrialResult
from tasks.refusal import Refusal
from tasks.study import opened
from tasks.trial import run_trial
from tasks.workspace import Experiment

POPULATION = 4
WHOLE, NONE = Ladder(), Limits()


@dataclass(frozen=True)
class Searching:
    """Searches on iris, all in one folder of studies: the same `name` goes on with the same study."""

    studies: Path
    experiment: Experiment

    def run(
        self,
        choice: str,
        name: str,
        *,
        n_trials: int = N,
        workers: int = 2,
        seconds: float | None = None,
        told: Told | None = None,
        fails: Callable[[Mapping[str, Any]], bool] = lambda _: False,
        pause: float = 0.0,
        racing: float | None = 2.5,
        ladder: Ladder = WHOLE,
        limits: Limits = NONE,
    ) -> Tuned:
        planned = plan(compose([f"search={choice}", f"runner.workers={workers}", *FAST]))
        families: dict[str, Any] = {
            key: Uneven(family, fails, pause) for key, family in self.experiment.families.items()
        }

        @flow(name="searching")
        def searching() -> Tuned:
            with opened(self.studies, name, is_higher_better=False) as study:
                here = replace(self.experiment, digest=name, folder=str(study.folder), families=families)
                here = replace(here, limits=limits)
                return tune(
                    here, study, settle(planned.search, POPULATION), planned.space, planned.runner,
                    Rules(n_trials, 4, Budget(time.time(), seconds, workers), ladder, racing),
                    n_workers=workers, told=told or ignore,
                )  # fmt: skip

        return searching()

    def folds(self, name: str) -> dict[str, tuple[int, int]]:
        """The stored folds of a study, with what would change if one were written again."""
        files = (self.studies / name).glob("*/folds/*/*.npz")
        return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}

    def trials(self, name: str) -> list[FrozenTrial]:
        with opened(self.studies, name, is_higher_better=False) as study:
            return study.trials()


def outcome(tuned: Tuned) -> list[tuple[Any, ...]]:
    """Every trial with its folds and its estimate, but for the seconds that they took."""
    return [(r.proposal, [r.estimate, *((f.fold, f.value, f.cost, f.rounds) for f in r.folds)]) for r in tuned.results]


class StopError(Exception):
    """What interrupts a search in these tests."""


def stop_at(number: int) -> Told:
    def told(result: TrialResult, trial: FrozenTrial, *, is_reused: bool) -> None:
        if result.proposal.number == number:
            raise StopError

    return told


@pytest.fixture(scope="module")
def on_iris(tmp_path_factory: pytest.TempPathFactory, prefect_server: Server) -> Iterator[Searching]:
    folder = tmp_path_factory.mktemp("iris")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield Searching(folder / "studies", experiment())


@pytest.mark.parametrize("choice", SEARCHES)
def test_any_number_of_workers_gives_the_same_trials_and_winner(on_iris: Searching, choice: str) -> None:
    one, two, four = (
        on_iris.run(choice, f"{choice}-on-{workers}", workers=workers, pause=0.01) for workers in (1, 2, 4)
    )
    assert len(one.results) == N
    assert outcome(one) == outcome(two) == outcome(four)
    assert one.winner.proposal == two.winner.proposal == four.winner.proposal
    assert len({str(proposal.hyperparameters) for proposal, _ in outcome(one)}) == N


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


LADDER = Ladder((Rung(20, 1), Rung(40, 3), Rung()), n_rows=80)


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


def test_an_interrupted_ladder_goes_on_with_the_same_trials(on_iris: Searching) -> None:
    with pytest.raises(StopError):
        on_iris.run("random", "ladder-interrupted", n_trials=40, ladder=LADDER, told=stop_at(13))
    again = on_iris.run("random", "ladder-interrupted", n_trials=40, ladder=LADDER)
    assert outcome(again) == outcome(on_iris.run("random", "random-climbing", n_trials=40, ladder=LADDER))


def size_of(tuned: Tuned, share: float) -> Limits:
    """A limit that so large a share of the trials would hold."""
    sizes = sorted(footprint.megabytes for r in tuned.results if (footprint := promised(r.folds)) is not None)
    return Limits(megabytes=sizes[round(share * (len(sizes) - 1))] * 1.0001)


@pytest.fixture(scope="module")
def some(on_iris: Searching) -> Limits:
    """A limit that about half of a random search's trials hold."""
    return size_of(on_iris.run("random", "random-measured", n_trials=16, racing=None, limits=Limits(1e6, 1e6)), 0.5)


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


SHORT = Ladder((Rung(20, 1), Rung(40, 3)), n_rows=80)


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


def test_without_time_to_confirm_the_winner_stays_on_the_evidence_that_it_has(on_iris: Searching) -> None:
    tuned = on_iris.run("random", "unconfirmed", seconds=1e-9, ladder=SHORT)
    assert tuned.winner.proposal == tuned.results[0].proposal
    assert tuned.winner.proposal.n_rows == 20


def test_a_budget_keeps_time_for_the_final_fit_for_confirming_and_for_an_ensemble(on_iris: Searching) -> None:
    planned = plan(compose([*FAST, "ensemble=greedy"]))
    with opened(on_iris.studies, "budgeted", is_higher_better=False) as study:
        here = replace(on_iris.experiment, digest="budgeted", folder=str(study.folder))
        deadlines = {}
        for name, ladder, ensemble, n_workers in (
            ("alone", WHOLE, None, 2), ("combined", WHOLE, planned.ensemble, 2), ("confirmed", SHORT, None, 2),
            ("slower", SHORT, None, 1),
        ):  # fmt: skip
            rules = Rules(N, 4, Budget(0.0, 60.0, 1), ladder, 2.5, ensemble)
            loop = _Loop(here, study, planned.search, planned.space, rules, ignore, n_workers)
            rows, n_folds = (None, 3) if ladder is WHOLE else (20, 1)
            folds = tuple(FoldScore(fold, 0.5, 0.5, 10, 1.0) for fold in range(n_folds))
            proposal = Proposal(0, "lightgbm", here_start(planned), rows, None if rows is None else 1)
            loop.results.append(TrialResult(proposal, folds))
            deadlines[name] = loop.deadline()
        final = 60 - deadlines["alone"]
        assert final > 1
        # Nothing of the made-up trial's models is kept, so that its three folds of a second each must be fitted again.
        assert deadlines["alone"] - deadlines["combined"] == pytest.approx(3 / 2, abs=0.1)
        # Three folds of four times the rows, two at a time; and on one worker one after the other.
        assert 60 - deadlines["confirmed"] == pytest.approx(4 * final + 2 * 4.0)
        assert 60 - deadlines["slower"] == pytest.approx(4 * final + 3 * 4.0)


def here_start(planned: Any) -> dict[str, Any]:
    space = planned.space.families["lightgbm"]
    return {**space.fixed, **space.start}
