"""Tune: ask for hyperparameters, run trials in parallel, tell their results; resumable at any moment."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import Protocol

from optuna.trial import FrozenTrial

from flows.runner import Runner, Submitted
from tasks.metric import METRICS, better
from tasks.records import Proposal, TrialCounts, TrialResult, Winner
from tasks.refusal import Refusal
from tasks.search import Search, Space
from tasks.search.sampled import as_running
from tasks.study import Study
from tasks.trial import run_trial, run_trials
from tasks.workspace import Experiment


@dataclass(frozen=True)
class Tuned:
    """What a search gave: its winner, how its trials went, and every result in the order of its trial."""

    winner: Winner
    counts: TrialCounts
    results: tuple[TrialResult, ...]


class Told(Protocol):
    def __call__(self, result: TrialResult, trial: FrozenTrial, *, is_reused: bool) -> None: ...


def tune(
    experiment: Experiment,
    study: Study,
    search: Search,
    space: Space,
    runner: Runner,
    *,
    n_trials: int,
    seconds: float | None,
    window: int,
    n_workers: int,
    told: Told,
) -> Tuned:
    """Runs the search until `n_trials` are told or `seconds` have passed.

    Trial n is asked when trials up to n - window have been told, in order, and sees no later one: the same seed gives
    the same trials on any number of workers, after a kill, and in a search that was extended. `told` is called for
    every trial in order, the reused ones first.

    Raises:
        Refusal: when every trial failed, with the reason of the first.
    """
    loop = _Loop(experiment, study, search, space, window, told)
    deadline = None if seconds is None else time.time() + seconds
    loop.reuse(n_trials)
    n_reused = len(loop.results)
    with runner:
        _run(loop, runner, n_trials, deadline, max(1, window // n_workers))
    counts = _count(loop.results, n_trials, n_reused)
    return Tuned(_winner(experiment, loop.results), counts, tuple(loop.results))


@dataclass
class _Loop:
    experiment: Experiment
    study: Study
    search: Search
    space: Space
    window: int
    told: Told

    def __post_init__(self) -> None:
        self.results: list[TrialResult] = []
        self.is_exhausted = False

    def reuse(self, n_trials: int) -> None:
        """Takes over the trials that an earlier run told; their folds are read from disk."""
        for trial in self.study.trials()[:n_trials]:
            if not trial.state.is_finished():
                break
            proposal = self.space.proposal(trial)
            error = trial.user_attrs.get("error")
            result = TrialResult(proposal, (), error, False) if error else run_trial(self.experiment, proposal)
            self.results.append(result)
            self.told(result, trial, is_reused=True)

    def propose(self, number: int) -> Proposal | None:
        """Trial `number`: the one that an earlier run had already asked for, or a new one."""
        trials = self.study.trials()
        if number < len(trials):
            return self.space.proposal(trials[number])
        n_seen = max(0, number - self.window + 1)
        view = [trial if trial.number < n_seen else as_running(trial) for trial in trials[:number]]
        higher = METRICS[self.experiment.metric].is_higher_better
        asked = self.search.ask(self.space, view, self.experiment.seed, is_higher_better=higher)
        return None if asked is None else self.space.proposal(self.study.add(asked))

    def tell(self, result: TrialResult) -> None:
        mean = None if result.error else fmean(fold.value for fold in result.folds)
        trial = self.study.tell(result, mean)
        self.results.append(result)
        self.told(result, trial, is_reused=False)


def _run(loop: _Loop, runner: Runner, n_trials: int, deadline: float | None, n_shared: int) -> None:
    out: deque[Submitted[list[TrialResult]]] = deque()
    asked = len(loop.results)
    is_short = False
    while True:
        while asked < min(n_trials, len(loop.results) + loop.window) and not _is_over(loop, deadline):
            room = min(n_trials, len(loop.results) + loop.window) - asked
            n = min(n_shared, n_trials - asked) if is_short else 1
            if out and room < n:  # a whole batch is waited for, or else trials would be asked one by one for ever
                break
            batch = _ask(loop, asked, min(room, n))
            if not batch:
                break
            asked += len(batch)
            out.append(_submit(loop.experiment, runner, batch, deadline if loop.results or asked > 1 else None))
        if not out:
            return
        for result in out.popleft().result():
            if not result.was_cut and len(loop.results) == result.proposal.number:
                loop.tell(result)
                is_short = sum(fold.seconds for fold in result.folds) < runner.short_seconds


def _is_over(loop: _Loop, deadline: float | None) -> bool:
    return loop.is_exhausted or (deadline is not None and time.time() > deadline and bool(loop.results))


def _ask(loop: _Loop, number: int, n: int) -> list[Proposal]:
    batch = []
    for offset in range(n):
        proposal = loop.propose(number + offset)
        if proposal is None:
            loop.is_exhausted = True
            break
        batch.append(proposal)
    return batch


def _submit(
    experiment: Experiment, runner: Runner, batch: Sequence[Proposal], deadline: float | None
) -> Submitted[list[TrialResult]]:
    first, last = batch[0].number, batch[-1].number
    name = f"trial-{first}" if first == last else f"trials-{first}-{last}"
    task = run_trials.with_options(task_run_name=name)
    return runner.submit(task, {"experiment": experiment, "proposals": batch, "deadline": deadline})


def _count(results: Sequence[TrialResult], requested: int, n_reused: int) -> TrialCounts:
    n_failed = sum(result.error is not None for result in results)
    return TrialCounts(
        requested=requested, finished=len(results) - n_failed, failed=n_failed, stopped_early=0, reused=n_reused
    )


def _winner(experiment: Experiment, results: Sequence[TrialResult]) -> Winner:
    """The best mean among trials that are complete on all folds; of equals the first."""
    best: Winner | None = None
    for result in results:
        if result.error is not None:
            continue
        values = [fold.value for fold in result.folds]
        mean = fmean(values)
        if best is None or better(experiment.metric, mean, best.mean):
            standard_error = stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
            best = Winner(result.proposal, mean, standard_error, result.folds, _rounds(result, experiment.growth))
    if best is None:
        reason = next((result.error for result in results if result.error), "no trial was finished in time")
        raise Refusal(f"every one of {len(results)} trials failed; the first one: {reason.strip().splitlines()[-1]}")
    return best


def _rounds(result: TrialResult, growth: float) -> int | None:
    """Rounds of a fit on all training rows: the folds' median best round, times as many rows as it sees more."""
    rounds = [fold.rounds for fold in result.folds if fold.rounds is not None]
    return max(1, round(median(rounds) * growth)) if rounds else None
