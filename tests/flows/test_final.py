"""The final model: what a fit really comes to is held to the limits, and no clock decides who wins."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from on_iris import FAST
from prefect import flow
from wrapped import InEpochs, Wrapped

from flows.budget import Budget
from flows.config import compose
from flows.decide import Job, decide, job_of
from flows.final import Final, _course, final
from flows.plan import plan
from flows.server import Server
from flows.tune import Tuned
from flows.winner import winner_of
from tasks.footprint import Limits, limited, promised
from tasks.model import Fitted, Validated
from tasks.prepare import prepare
from tasks.records import Affordable, Footprint, Proposal, TrialCounts
from tasks.refusal import Refusal
from tasks.split import split
from tasks.trial import run_trial
from tasks.workspace import Experiment

WITHOUT_END = Budget(0.0, None, 1)


@dataclass(frozen=True)
class Swelling(Wrapped):
    """A family whose final fits of many leaves are much larger than their folds were."""

    def validate(self, *arguments: Any, **more: Any) -> Validated:
        return self.inner.validate(*arguments, **more)

    def fit(
        self, workspace: Any, hyperparameters: Mapping[str, Any], rounds: int | None, *more: Any
    ) -> Fitted:
        times = 20 if swells(hyperparameters) else 1
        return self.inner.fit(workspace, hyperparameters, times * (rounds or 1), *more)


def swells(hyperparameters: Mapping[str, Any]) -> bool:
    return bool(hyperparameters["num_leaves"] > 4)


@dataclass(frozen=True)
class Searched:
    job: Job
    experiment: Experiment
    tuned: Tuned

    def final(self, limits: Limits, budget: Budget = WITHOUT_END) -> Final:
        experiment = replace(self.experiment, limits=limits)
        results = tuple(limited(result, limits) for result in self.tuned.results)
        tuned = replace(self.tuned, results=results, winner=winner_of(experiment, self.job.ladder, results))

        @flow(name="ending")
        def ending() -> Final:
            return final(self.job, experiment, tuned, budget)

        return ending()


@pytest.fixture
def searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_server: Server) -> Searched:
    monkeypatch.chdir(tmp_path)
    return search(tmp_path)


def search(folder: Path) -> Searched:
    """Three trials on iris, the best of which swell, in the current folder."""
    composed = compose([*FAST])
    planned = plan(composed)
    prepared = prepare.fn(planned.source, planned.roles, "auto", None, 0, None)
    decided = decide(composed, prepared)
    divided = split.fn(prepared, decided.splitter, "stratified", 0.2)
    job = job_of(planned, decided, prepared, divided, 0.0)
    families: dict[str, Any] = {name: Swelling(family) for name, family in planned.families.items()}
    experiment = Experiment(
        digest=str(folder), folder=str(folder / "study"), split=divided.folder, problem=prepared.problem,
        families=families, loss=decided.loss, metric=decided.metric, base=None, seed=0, n_folds=divided.n_folds,
        growth=divided.growth, n_threads=1, keep_models=False, limits=Limits(1e6, 1e6),
    )  # fmt: skip
    space = planned.space.families["lightgbm"]
    settings = ({"num_leaves": 8}, {"num_leaves": 12}, {"num_leaves": 4, "learning_rate": 0.02})
    results = tuple(
        run_trial(experiment, Proposal(n, "lightgbm", {**space.fixed, **space.start, **one}))
        for n, one in enumerate(settings)
    )
    tuned = Tuned(winner_of(experiment, job.ladder, results), TrialCounts(3, 3, 0, 0, 0), results, 0.0)
    return Searched(job, experiment, tuned)


def promise(of: Searched, number: int) -> Footprint:
    footprint = promised(of.tuned.results[number].folds)
    assert footprint is not None
    return footprint


def test_a_final_fit_that_came_out_too_large_gives_way_to_the_next_best(
    searched: Searched, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = Limits(1.2 * max(promise(searched, n).megabytes for n in range(3)))
    assert swells(searched.tuned.winner.proposal.hyperparameters)
    ended = searched.final(limits)
    assert ended.tuned.winner.proposal == searched.tuned.results[2].proposal
    assert ended.trained.footprint is not None
    assert ended.trained.footprint.megabytes <= limits.known["megabytes"]
    assert [result.is_feasible for result in ended.tuned.results] == [False, False, True]
    said = capsys.readouterr().out
    assert said.count("of search.megabytes=") == 2
    assert "the next best trial takes its place" in said


def test_where_every_final_fit_is_too_large_the_nearest_is_named(searched: Searched) -> None:
    limits = Limits(1.01 * promise(searched, 0).megabytes)
    only = replace(searched, tuned=replace(searched.tuned, results=searched.tuned.results[:1]))
    with pytest.raises(Refusal, match=r"none of 1 trials has a model within the limits; that of trial 0, the nearest"):
        only.final(limits)


def test_a_model_that_is_slower_than_counted_is_told_and_kept(
    searched: Searched, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its final fit has 20 times the rounds that were counted."""
    limits = Limits(None, 1.01 * promise(searched, 1).milliseconds)
    ended = searched.final(limits)
    assert ended.tuned.winner == searched.tuned.winner
    assert "the final model is slower here than its trial was counted to be" in capsys.readouterr().out


def test_without_limits_nothing_is_held_against_the_winner(
    searched: Searched, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = searched.final(Limits())
    assert ended.tuned.winner == searched.tuned.winner
    assert "ms per 1,000 rows on one core" in capsys.readouterr().out


@pytest.mark.parametrize(("seconds", "share"), [(100.0, 1.0), (20.0, 0.5), (1.0, 0.25)])
def test_what_there_is_time_for_of_a_final_fit_is_at_least_a_quarter(seconds: float, share: float) -> None:
    """Of one that takes 40 seconds."""
    assert Budget(time.time(), seconds, 1).share(40.0) == pytest.approx(share, abs=0.01)
    assert Budget(time.time(), seconds, 1).share(0.0) == 1
    assert WITHOUT_END.share(40.0) == 1


def test_a_final_fit_that_there_is_no_time_for_has_larger_steps_or_a_shorter_schedule(searched: Searched) -> None:
    rounds = searched.tuned.winner.rounds
    assert rounds is not None
    short = Budget(time.time(), 20.0, 1)
    slow = replace(searched, tuned=replace(searched.tuned, final_seconds=40.0))
    assert slow.final(Limits(), short).trained.course is None  # of fixed steps
    proposal = slow.tuned.winner.proposal
    family: Any = slow.job.families[proposal.family]
    free = replace(family, hyperparameters={**family.hyperparameters, "learning_rate": None}, final_step=0.3)
    slow = replace(slow, experiment=replace(slow.experiment, digest="free", families={proposal.family: free}))
    given, whole = free.final(proposal.hyperparameters, rounds)
    trained = slow.final(Limits(), short).trained
    assert trained.course == Affordable(trained.rounds)
    assert trained.rounds == pytest.approx(whole / 2, abs=0.05 * whole)
    assert trained.changed["learning_rate"] * trained.rounds == pytest.approx(given["learning_rate"] * whole)
    no_time = _course(slow.experiment, replace(slow.tuned, final_seconds=1e6), short)
    assert no_time == (Affordable(rounds), pytest.approx(0.3))
    families: dict[str, Any] = {name: InEpochs(family) for name, family in slow.experiment.families.items()}
    _, planned = families["lightgbm"].final({"learning_rate": 0.1}, rounds)
    half, share = _course(replace(slow.experiment, families=families), slow.tuned, Budget(time.time(), 20.0, 1))
    assert share == pytest.approx(1 / 2, abs=0.05)
    assert half is not None
    assert (half.rounds, half.models) == (pytest.approx(planned / 2, abs=0.05 * planned), 1)


@pytest.mark.parametrize(
    ("seconds", "n_threads", "course", "share"),
    [
        (100.0, 1, None, 1.0), (35.0, 1, (3, 1.0), 0.75), (25.0, 1, (2, 1.0), 0.5), (1.0, 1, (1, 1.0), 0.25),
        (20.0, 2, (2, 1.0), 0.5), (1.0, 2, (2, 0.5), 0.25), (1.0, 8, (4, 0.25), 0.25),
    ],
)  # fmt: skip
def test_of_several_models_fewer_are_fitted_before_fewer_rounds(
    searched: Searched, seconds: float, n_threads: int, course: tuple[int, float] | None, share: float
) -> None:
    """Of four that take 40 seconds, on the threads that there are; what more threads bring to one is seen off."""
    family = InEpochs(searched.experiment.families["lightgbm"])
    several = replace(searched.experiment, families={"lightgbm": Several(family)})
    budget = Budget(time.time(), seconds, n_threads)
    slow = replace(searched.tuned, final_seconds=40.0 * budget.speed)
    hyperparameters = slow.winner.proposal.hyperparameters
    _, planned = family.final(hyperparameters, slow.winner.rounds)
    assert planned is not None
    expected = course and Affordable(max(1, round(course[1] * planned)), course[0])
    assert _course(several, slow, budget) == (expected, pytest.approx(share, abs=0.01))


@dataclass(frozen=True)
class Several(Wrapped):
    """A family of four models."""

    rounds_are_epochs = True

    def n_models(self, hyperparameters: Mapping[str, Any]) -> int:
        return 4

    def of_fewer(self, hyperparameters: Mapping[str, Any], n: int) -> dict[str, Any]:
        return dict(hyperparameters)
