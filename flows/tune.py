"""Tune: ask for hyperparameters, run trials in parallel, tell their results; resumable at any moment."""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from optuna.trial import FrozenTrial

from flows.budget import Budget
from flows.confirm import complete, confirm
from flows.foresee import Foresight, Members
from flows.runner import Runner, Submitted
from flows.winner import winner_of, with_judged
from tasks.ensemble import Ensemble
from tasks.evidence import Ladder, Rung, on_rung, proposal_of, rung_of
from tasks.metric import METRICS
from tasks.mixture import likely
from tasks.racing import best_of, race
from tasks.records import Proposal, TrialCounts, TrialResult, Winner
from tasks.search import Search, Space
from tasks.search.sampled import as_running
from tasks.study import Study
from tasks.trial import Entry, by_shape, run_together, run_trial, run_trials
from tasks.workspace import Experiment


@dataclass(frozen=True)
class Tuned:
    """What a search gave: its winner, how its trials went, every result in the order of its trial, the seconds that the
    final fit will take on one thread; and what was judged whole after the search, as far as there was time: the trial
    that had looked best and, see `Foresight.finalists`, the best of each other family; and the members of an
    ensemble."""

    winner: Winner
    counts: TrialCounts
    results: tuple[TrialResult, ...]
    final_seconds: float
    judged: tuple[TrialResult, ...] = ()
    completed: tuple[TrialResult, ...] = ()


class Told(Protocol):
    def __call__(self, result: TrialResult, trial: FrozenTrial, *, is_reused: bool) -> None: ...


@dataclass(frozen=True)
class Rules:
    """How the search goes: at most so many trials, of which `window` are out at a time; the `budget` of time; the
    `ladder` of evidence; how clearly worse a trial must be to lose its race, see `Race.z` (None: none does); the
    `ensemble` for which time is kept; and how many trials go together, of which those of one shape are trained
    as one."""

    n_trials: int
    window: int
    budget: Budget
    ladder: Ladder
    racing: float | None
    ensemble: Ensemble | None = None
    together: int = 1


def tune(
    experiment: Experiment,
    study: Study,
    search: Search,
    space: Space,
    runner: Runner,
    rules: Rules,
    *,
    n_workers: int,
    told: Told,
) -> Tuned:
    """Runs the search until its trials are told or its time is over.

    Trial n is asked when trials up to n - window have been told, in order, and sees no later one, nor does its race:
    the same seed gives the same trials on any number of workers, after a kill, and in a search that was extended (but
    where one of these comes to the very folds that an earlier end of the search has confirmed, without a race).
    `told` is called for every trial in order, the reused ones first.

    Raises:
        Refusal: when no trial can win, see `winner_of`.
    """
    loop = _Loop(experiment, study, search, space, rules, told, n_workers)
    loop.reuse()
    n_reused = len(loop.results)
    with runner:
        _run(loop, runner, max(1, rules.window // n_workers))
        won = winner_of(experiment, rules.ladder, loop.results)
        winner, judged = confirm(loop.ahead, runner, loop.results, won, loop.members)
        completed = complete(loop.ahead, runner, [*loop.results, *judged], winner)
        winner = with_judged(experiment, winner, completed)
    n_asked = min(rules.n_trials, len(study.trials())) if loop.is_exhausted else rules.n_trials
    counts = _count(loop.results, n_asked, n_reused)
    final_seconds = loop.ahead.final_seconds(TrialResult(winner.proposal, winner.folds))
    return Tuned(winner, counts, tuple(loop.results), final_seconds, judged, completed)


def _moved(trial: FrozenTrial, by: float) -> FrozenTrial:
    if not by or trial.value is None:
        return trial
    moved = copy.copy(trial)
    moved.value = trial.value + by
    return moved


@dataclass
class _Loop:
    experiment: Experiment
    study: Study
    search: Search
    space: Space
    rules: Rules
    told: Told
    n_workers: int

    def __post_init__(self) -> None:
        self.results: list[TrialResult] = []
        self.is_exhausted = False
        self.is_higher_better = METRICS[self.experiment.metric].is_higher_better
        rules = self.rules
        self.ahead = Foresight(self.experiment, rules.ladder, rules.budget, rules.ensemble, self.n_workers)
        self.members: Members | None = None
        self.quarter = 0

    def deadline(self) -> float | None:
        """When asking ends. After each of the first three quarters of the time until then an ensemble is chosen from
        the results so far, so that no more time is kept for its members than they need."""
        ahead, results, begun = self.ahead, self.results, self.rules.budget.begun
        deadline = ahead.deadline(results, self.members)
        is_known = self.rules.ladder.top(results, self.experiment.n_folds)
        if deadline is None or not is_known or self.rules.ensemble is None:
            return deadline
        quarter = min(3, int(4 * (time.time() - begun) / max(deadline - begun, 1e-3)))
        if quarter <= self.quarter:
            return deadline
        self.quarter = quarter
        winner = winner_of(self.experiment, self.rules.ladder, results)
        self.members = likely(self.experiment, self.rules.ensemble, results, winner)
        return ahead.deadline(results, self.members)

    def reuse(self) -> None:
        """Takes over the trials that an earlier run told; a fold whose file is lost is computed again."""
        for trial in self.study.trials()[: self.rules.n_trials]:
            if not trial.state.is_finished():
                break
            result = self.study.told(trial, proposal_of(self.space, trial))
            if result.error is None and result.estimate is None:
                result = replace(run_trial(self.experiment, result.proposal), seconds=result.seconds)
            self._note(result, trial, is_reused=True)

    def team(self, number: int) -> range:
        """The trials that go together with that one: by their numbers alone, so that a search which was interrupted has
        the same, and so has one that is extended: those of them beyond its end are trained, but not told. The first
        one, which is waited for, goes by itself."""
        n = self.rules.together
        first = 1 + (number - 1) // n * n if number else 0
        return range(first, first + n if number else 1)

    def propose(self, number: int) -> Entry | None:
        """Trial `number`: the one that an earlier run had already asked for, or a new one; where the search has nothing
        left, and all is told, one of the last that may go on to better evidence."""
        n_seen = max(0, number - self.rules.window + 1)
        trials = self.study.trials()
        if number < len(trials):
            return self._entry(proposal_of(self.space, trials[number]), n_seen)
        asked = [proposal_of(self.space, trial) for trial in trials]
        promoted = self._promoted(asked, n_seen)
        trial = self._ask(trials, n_seen) if promoted is None else on_rung(trials[promoted[0]], promoted[1])
        if trial is None and number == len(self.results):
            promoted = self._promoted(asked, number)
            trial = None if promoted is None else on_rung(trials[promoted[0]], promoted[1])
        return None if trial is None else self._entry(proposal_of(self.space, self.study.add(trial)), n_seen)

    def _promoted(self, asked: Sequence[Proposal], n_seen: int) -> tuple[int, Rung] | None:
        has_start = not getattr(self.search, "visits_all", False)
        ladder, higher = self.rules.ladder, self.is_higher_better
        return ladder.promoted(asked, self.results[:n_seen], is_higher_better=higher, has_start=has_start)

    def _ask(self, trials: Sequence[FrozenTrial], n_seen: int) -> FrozenTrial | None:
        """What the search proposes from the trials that began on its first evidence, all on the scale of the folds that
        the best one was judged on; scores of samples are on another."""
        own = [(trial, one) for trial in trials if self._has_begun(one := proposal_of(self.space, trial))]
        more = self._elsewhere(self.results[:n_seen])
        view = [_moved(trial, more if one.n_folds else 0.0) if trial.number < n_seen else as_running(trial)
                for trial, one in own]  # fmt: skip
        asked = self.search.ask(self.space, view, self.experiment.seed, is_higher_better=self.is_higher_better)
        return None if asked is None else on_rung(asked, self.rules.ladder.first(self.space.proposal(asked).family))

    def _has_begun(self, one: Proposal) -> bool:
        return rung_of(one) == self.rules.ladder.first(one.family)

    def _elsewhere(self, seen: Sequence[TrialResult]) -> float:
        """By how much the mean of all folds is above the first one, as the best trial has it; 0 where all families
        begin alike."""
        whole = [one for one in seen if one.is_complete(self.experiment.n_folds)] if self.rules.ladder.whole else []
        best = best_of(whole, self.experiment.metric)
        return 0.0 if best is None else best.score - best.values[self.experiment.order[0]]

    def _entry(self, proposal: Proposal, n_seen: int) -> Entry:
        rung = rung_of(proposal)
        rivals = [one for one in self.results[:n_seen] if rung_of(one.proposal) == rung]
        n_folds = min(self.experiment.n_folds, rung.n_folds or self.experiment.n_folds)
        return Entry(proposal, race(rivals, n_folds, is_higher_better=self.is_higher_better, z=self.rules.racing))

    def tell(self, result: TrialResult) -> None:
        self.is_exhausted = False  # it may go on to better evidence
        self._note(result, self.study.tell(result), is_reused=False)

    def _note(self, result: TrialResult, trial: FrozenTrial, *, is_reused: bool) -> None:
        self.results.append(result)
        self.told(result, trial, is_reused=is_reused)


def _run(loop: _Loop, runner: Runner, n_shared: int) -> None:
    out: deque[list[Submitted[list[TrialResult]]]] = deque()
    asked, n_trials = len(loop.results), loop.rules.n_trials
    is_short = False
    while True:
        deadline = loop.deadline()
        while asked < min(n_trials, len(loop.results) + loop.rules.window) and not _is_over(loop, deadline):
            room = len(loop.results) + loop.rules.window - asked
            team = loop.team(asked)
            n = team.stop - asked if loop.rules.together > 1 else min(n_shared, n_trials - asked) if is_short else 1
            if out and room < n:  # a whole batch is waited for, or else trials would be asked one by one for ever
                break
            batch = _ask(loop, asked, min(room, n))
            if not batch:
                break
            told = [entry for number in range(team.start, asked) if (entry := loop.propose(number))]
            groups = by_shape(loop.experiment, [*told, *batch]) if loop.rules.together > 1 else [batch]
            # Without its first trial a search has no result, so that one may take its time.
            until = deadline if asked else None
            out.append([_submit(loop, runner, one, until) for one in groups if one[-1].proposal.number >= asked])
            asked += len(batch)
        if not out:
            return
        results = [result for submitted in out.popleft() for result in submitted.result()]
        for result in sorted(results, key=lambda one: one.proposal.number):
            if not result.was_cut and result.proposal.number == len(loop.results) < n_trials:
                loop.tell(result)
                is_short = result.seconds < runner.short_seconds


def _is_over(loop: _Loop, deadline: float | None) -> bool:
    return loop.is_exhausted or (deadline is not None and time.time() > deadline and bool(loop.results))


def _ask(loop: _Loop, number: int, n: int) -> list[Entry]:
    batch = []
    for offset in range(n):
        entry = loop.propose(number + offset)
        if entry is None:
            loop.is_exhausted = True
            break
        batch.append(entry)
    return batch


def _submit(
    loop: _Loop, runner: Runner, batch: Sequence[Entry], deadline: float | None
) -> Submitted[list[TrialResult]]:
    numbers = [entry.proposal.number for entry in batch]
    is_together = loop.rules.together > 1
    said = map(str, numbers if is_together else dict.fromkeys([numbers[0], numbers[-1]]))
    name = f"trial{'s' * (len(numbers) > 1)}-{'-'.join(said)}"
    task = (run_together if is_together else run_trials).with_options(task_run_name=name)
    return runner.submit(task, {"experiment": loop.experiment, "entries": batch, "deadline": deadline})


def _count(results: Sequence[TrialResult], requested: int, n_reused: int) -> TrialCounts:
    n_failed = sum(result.error is not None for result in results)
    return TrialCounts(
        requested=requested,
        finished=len(results) - n_failed,
        failed=n_failed,
        stopped_early=sum(result.estimate is not None for result in results),
        reused=n_reused,
        over_limits=sum(not result.is_feasible for result in results),
    )
