"""Tune: ask for hyperparameters, run trials in parallel, tell their results; resumable at any moment."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Protocol

from optuna.trial import FrozenTrial

from flows.budget import Budget
from flows.runner import Runner, Submitted
from flows.winner import winner_of, with_judged
from tasks import fold_model
from tasks.combine import seconds as combining_seconds
from tasks.ensemble import Ensemble
from tasks.evidence import SHARE_OF_CONFIRMING, SHARE_OF_THE_FIT, Ladder, Rung, on_rung, proposal_of, rung_of
from tasks.footprint import limited
from tasks.metric import METRICS
from tasks.model import Shortens, growth_of_rounds, rounds_are_epochs
from tasks.racing import best_of, race
from tasks.records import FoldScore, Proposal, TrialCounts, TrialResult, Winner
from tasks.search import Search, Space
from tasks.search.sampled import as_running
from tasks.study import Study, fold_file
from tasks.trial import Entry, by_shape, confirm, run_together, run_trial, run_trials
from tasks.workspace import Experiment, training_of

LOOK = 1 / 3    # of the time that a net takes to train on a row: what it takes to score one, after each epoch


@dataclass(frozen=True)
class Tuned:
    """What a search gave: its winner, how its trials went, every result in the order of its trial, the seconds that the
    final fit will take on one thread; and what was judged whole after the search, as far as there was time: the trial
    that had looked best and, for an ensemble, the best of each other family, of these what had been judged on less."""

    winner: Winner
    counts: TrialCounts
    results: tuple[TrialResult, ...]
    final_seconds: float
    judged: tuple[TrialResult, ...] = ()


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
        winner, judged = _confirm(loop, runner, winner_of(experiment, rules.ladder, loop.results))
    counts = _count(loop.results, rules.n_trials, n_reused)
    final_seconds = loop.final_seconds(TrialResult(winner.proposal, winner.folds))
    return Tuned(winner, counts, tuple(loop.results), final_seconds, judged)


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
        """Trial `number`: the one that an earlier run had already asked for, or a new one."""
        n_seen = max(0, number - self.rules.window + 1)
        trials = self.study.trials()
        if number < len(trials):
            return self._entry(proposal_of(self.space, trials[number]), n_seen)
        asked = [proposal_of(self.space, trial) for trial in trials]
        promoted = self.rules.ladder.promoted(asked, self.results[:n_seen], is_higher_better=self.is_higher_better)
        trial = self._ask(trials, n_seen) if promoted is None else on_rung(trials[promoted[0]], promoted[1])
        return None if trial is None else self._entry(proposal_of(self.space, self.study.add(trial)), n_seen)

    def _ask(self, trials: Sequence[FrozenTrial], n_seen: int) -> FrozenTrial | None:
        """What the search proposes from the trials of the first rung; scores of other rungs are on another scale."""
        first = self.rules.ladder.rungs[0]
        own = [trial for trial in trials if rung_of(proposal_of(self.space, trial)) == first]
        view = [trial if trial.number < n_seen else as_running(trial) for trial in own]
        asked = self.search.ask(self.space, view, self.experiment.seed, is_higher_better=self.is_higher_better)
        return None if asked is None else on_rung(asked, first)

    def _entry(self, proposal: Proposal, n_seen: int) -> Entry:
        rung = rung_of(proposal)
        rivals = [one for one in self.results[:n_seen] if rung_of(one.proposal) == rung]
        n_folds = min(self.experiment.n_folds, rung.n_folds or self.experiment.n_folds)
        return Entry(proposal, race(rivals, n_folds, is_higher_better=self.is_higher_better, z=self.rules.racing))

    def tell(self, result: TrialResult) -> None:
        self._note(result, self.study.tell(result), is_reused=False)

    def _note(self, result: TrialResult, trial: FrozenTrial, *, is_reused: bool) -> None:
        self.results.append(result)
        self.told(result, trial, is_reused=is_reused)

    @property
    def best(self) -> TrialResult | None:
        return best_of(self.rules.ladder.top(self.results, self.experiment.n_folds), self.experiment.metric)

    def deadline(self) -> float | None:
        """When asking ends, so that there is time for what comes after."""
        budget, best = self.rules.budget, self.best
        if budget.seconds is None or best is None:
            return budget.end
        ahead = self.finalists(best)
        confirming = min(self._confirming_seconds(ahead), SHARE_OF_CONFIRMING * budget.seconds)
        final_seconds = max(map(self.least_seconds, [best, *ahead]))
        return budget.deadline(final_seconds, confirming + self.combining_seconds(ahead, final_seconds))

    def _confirming_seconds(self, finalists: Sequence[TrialResult]) -> float:
        seconds = [[fold.seconds for fold in one.folds] for one in finalists]
        if len(seconds) > 1 and not self.judges_all:
            seconds = [[folds[0] for folds in seconds], max(seconds)[1:]]
        each = [second for folds in seconds for second in folds]
        return math.ceil(len(each) / self.n_workers) * fmean(each) if each else 0.0

    def combining_seconds(self, finalists: Sequence[TrialResult], final_seconds: float) -> float:
        """What an ensemble of the trials so far, and of these, will take beside a final fit of so many seconds on one
        thread: its models are fitted in the place of that one."""
        ensemble = self.rules.ensemble
        if ensemble is None:
            return 0.0
        if fold_model.are_bagged(training_of(self.experiment)):  # what is judged keeps the models of its folds
            finalists = [self._free_but(one) for one in finalists]
        results = [*self.results, *finalists]
        choosing, fitting = combining_seconds(self.experiment, ensemble, results, self.n_workers)
        return choosing + max(0.0, fitting - final_seconds / self.rules.budget.speed)

    def _free_but(self, whole: TrialResult) -> TrialResult:
        """Without the seconds of folds that are still to run."""
        folder = Path(self.experiment.folder)
        folds = [fold if fold_file(folder, whole.proposal, fold.fold).exists() else replace(fold, seconds=0.0)
                 for fold in whole.folds]  # fmt: skip
        return replace(whole, folds=tuple(folds))

    def finalists(self, best: TrialResult) -> list[TrialResult]:
        """What is to be judged on all rows and folds after the search, as it is foreseen, of what was judged on less:
        that trial and, for an ensemble or where families were compared on samples of the rows, of which some learn
        faster than others, each other family's best."""
        is_of_many = self.rules.ensemble is not None or best.proposal.n_rows is not None
        others = [name for name in self.experiment.families if is_of_many and name != best.proposal.family]
        found = [best, *(one for name in others if (one := self._best_of(name)))]
        return [self._as_whole(one) for one in found if rung_of(one.proposal) != Rung()]

    @property
    def judges_all(self) -> bool:
        """Whether all finalists are judged on more than the first fold, or the best one there alone."""
        return self.rules.ensemble is not None or self.rules.budget.confirming is not None

    def folds_of(self, family: str) -> list[int]:
        """On which its finalist is to be judged, in their order."""
        confirming, order = self.rules.budget.confirming, self.experiment.order
        return [fold for fold in order if confirming is None or fold in confirming.get(family, ())]

    def _best_of(self, family: str) -> TrialResult | None:
        own = [result for result in self.results if result.proposal.family == family]
        return best_of(self.rules.ladder.top(own, self.experiment.n_folds), self.experiment.metric)

    def _as_whole(self, result: TrialResult) -> TrialResult:
        """On all folds and rows, in the seconds that its folds let foresee; the scores are not its own."""
        seconds, like = self._fold_seconds(result) * self.rules.ladder.scale(result.proposal), result.folds[0]
        folds = [replace(like, fold=fold, seconds=seconds, alone=None) for fold in range(self.experiment.n_folds)]
        return replace(result, proposal=replace(result.proposal, n_rows=None, n_folds=None), folds=tuple(folds))

    def _fold_seconds(self, result: TrialResult) -> float:
        """What a fold of mean size takes; folds in time grow, and a trial may have been judged on the largest alone."""
        training, n_rows, n_folds = training_of(self.experiment), result.proposal.n_rows, self.experiment.n_folds
        sizes = [training.sizes(fold, n_rows)[0] for fold in range(n_folds)]
        share = fmean(sizes) / fmean(sizes[fold.fold] for fold in result.folds)
        return share * fmean(fold.seconds_alone for fold in result.folds)

    def least_seconds(self, best: TrialResult) -> float:
        """What is kept for its final fit, on one thread: what that takes, or, where larger steps make it shorter, a
        share of the budget at least."""
        whole, budget = self.final_seconds(best), self.rules.budget
        family = self.experiment.families[best.proposal.family]
        if budget.seconds is None or not isinstance(family, Shortens):
            return whole
        return min(whole, max(family.least_share * whole, SHARE_OF_THE_FIT * budget.seconds * budget.speed))

    def final_seconds(self, best: TrialResult) -> float:
        """What the final fit will take on one thread, as the folds of that trial have it; of a family that has no use
        for more threads, as many times that as it would else be faster."""
        fold = self._fold_seconds(best)
        family = self.experiment.families[best.proposal.family]
        _, rounds = family.final(best.proposal.hyperparameters, 100)
        steps = (rounds or 100) / 100
        if rounds_are_epochs(family):  # each fold was scored after every one
            training = training_of(self.experiment)
            sizes = [training.sizes(one.fold, best.proposal.n_rows) for one in best.folds]
            fold /= 1 + LOOK * sum(valid for _, valid in sizes) / sum(train for train, _ in sizes)
        # More rows than a fold's by `growth`, or by what the sample left out, and as many more rounds as `growth`.
        more_rows = self.experiment.growth * self.rules.ladder.scale(best.proposal)
        slower = self.rules.budget.speed if getattr(family, "fits_on_one_thread", False) else 1.0
        return fold * more_rows * growth_of_rounds(family, self.experiment.growth) * steps * slower


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


def _confirm(loop: _Loop, runner: Runner, winner: Winner) -> tuple[Winner, tuple[TrialResult, ...]]:
    """The winner judged on all rows and folds, or as many folds as there is time for; before it the best of each other
    family, see `finalists`, on one fold of all rows, where the best of them takes its place. They are no trials of the
    study, so that the clock decides nothing of these; the folds are kept for one that comes to them."""
    experiment, budget, best = loop.experiment, loop.rules.budget, TrialResult(winner.proposal, winner.folds)
    finalists = loop.finalists(best)
    if not finalists:
        return winner, ()
    final_seconds = max(map(loop.least_seconds, [best, *finalists]))
    deadline = budget.deadline(final_seconds, loop.combining_seconds(finalists, final_seconds))

    def judged(asked: Mapping[str, Sequence[int]]) -> list[TrialResult]:
        """Of each family's, in addition to the folds before, as many of these as there was time for."""
        out = {name: [_submit_fold(loop, runner, proposals[name], fold, deadline) for fold in folds]
               for name, folds in asked.items()}  # fmt: skip
        for name, submitted in out.items():
            scores[name] += [score for one in submitted if (score := one.result()) is not None]
        results = [TrialResult(proposal, tuple(sorted(scores[name], key=lambda score: score.fold)))
                   for name, proposal in proposals.items()]  # fmt: skip
        return [limited(result, experiment.limits) for result in results]

    proposals = {one.proposal.family: one.proposal for one in finalists}
    scores: dict[str, list[FoldScore]] = {name: [] for name in proposals}
    order = {name: loop.folds_of(name) for name in proposals}
    if len(finalists) > 1:
        found = judged({name: folds[:1] for name, folds in order.items()})
        leading = with_judged(experiment, winner, found).proposal.family
        further = [leading, *(name for name in order if loop.judges_all and name != leading)]
        order = {name: order[name][1:] for name in further if name in order}
    found = judged(order)
    return with_judged(experiment, winner, found), tuple(found)


def _submit_fold(
    loop: _Loop, runner: Runner, whole: Proposal, fold: int, deadline: float | None
) -> Submitted[FoldScore | None]:
    task = confirm.with_options(task_run_name=f"confirm-{whole.number}-fold-{fold}")
    given = {"experiment": loop.experiment, "proposal": whole, "fold": fold, "deadline": deadline}
    return runner.submit(task, given)


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
