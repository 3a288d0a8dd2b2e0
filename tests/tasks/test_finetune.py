"""Finetune: a final fit that went wrong, or that time ended, is told; a bad one is not taken."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.config import compose
from flows.decide import decide
from flows.plan import plan
from tasks import model as models
from tasks.finetune import finetune
from tasks.model import Fitted, Model, Validated
from tasks.prepare import prepare
from tasks.records import Affordable, Prepared, Proposal, Winner
from tasks.split import split
from tasks.trial import run_trial
from tasks.workspace import Experiment, training_of

FAST = ["source.name=iris", "folds.n_splits=3", "model.lightgbm.rounds=60"]


@dataclass(frozen=True)
class Failing:
    """A family whose final fit learns nothing; its folds are sound."""

    inner: Model

    def workspace(self, *arguments: Any) -> Any:
        return self.inner.workspace(*arguments)

    def final(self, hyperparameters: Mapping[str, Any], rounds: int | None) -> tuple[dict[str, Any], int | None]:
        return self.inner.final(hyperparameters, rounds)

    def validate(self, *arguments: Any, **more: Any) -> Validated:
        return self.inner.validate(*arguments, **more)

    def fit(self, workspace: Any, hyperparameters: Mapping[str, Any], *more: Any) -> Fitted:
        return self.inner.fit(workspace, {**hyperparameters, "learning_rate": 1e-9}, *more)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[tuple[Experiment, Prepared, Winner]]:
    yield from searched(tmp_path, FAST)


def searched(tmp_path: Path, overrides: Sequence[str]) -> Iterator[tuple[Experiment, Prepared, Winner]]:
    """One trial of one family, in the current folder."""
    with chdir(tmp_path):
        composed = compose(overrides)
        planned = plan(composed)
        prepared = prepare.fn(planned.source, planned.roles, "auto", None, 0, None)
        decided = decide(composed, prepared)
        divided = split.fn(prepared, decided.splitter, "stratified", 0.2)
        experiment = Experiment(
            digest="finetune", folder=str(tmp_path / "study"), split=divided.folder, problem=prepared.problem,
            families=planned.families, loss=decided.loss, metric=decided.metric, base=None, seed=0,
            n_folds=divided.n_folds, growth=divided.growth, n_threads=1, keep_models=False,
        )  # fmt: skip
        ((name, space),) = planned.space.families.items()
        result = run_trial(experiment, Proposal(0, name, {**space.fixed, **space.start}))
        winner = Winner(result.proposal, result.score, 0.0, result.folds, result.rounds(divided.growth))
        yield experiment, prepared, winner


def test_a_sound_fit_is_taken_without_a_word(here: tuple[Experiment, Prepared, Winner]) -> None:
    experiment, prepared, winner = here
    begun = time.perf_counter()
    trained = finetune.fn(experiment, prepared, winner, 2, None)
    assert 0 < trained.seconds < time.perf_counter() - begun
    assert winner.rounds is not None
    assert (trained.note, trained.rounds) == ("", round(winner.rounds / 0.3))
    assert trained.changed == {"learning_rate": pytest.approx(0.03)}


def test_a_fit_that_went_wrong_gives_way_to_the_model_of_a_fold(here: tuple[Experiment, Prepared, Winner]) -> None:
    experiment, prepared, winner = here
    families: dict[str, Any] = {name: Failing(family) for name, family in experiment.families.items()}
    trained = finetune.fn(replace(experiment, digest="wild", families=families), prepared, winner, 1, None)
    median = sorted(winner.folds, key=lambda fold: fold.cost)[1]
    assert f"the model of fold {median.fold}" in trained.note
    assert trained.rounds == median.rounds
    training = training_of(experiment)
    assert np.mean(models.load(Path(trained.folder)).predict(training.X).argmax(axis=1) == training.y) > 0.9


def test_a_fit_on_few_rows_is_not_held_against_folds_without_any_cost(
    here: tuple[Experiment, Prepared, Winner],
) -> None:
    experiment, prepared, winner = here
    sure = replace(winner, folds=tuple(replace(fold, cost=1e-12) for fold in winner.folds))
    trained = finetune.fn(replace(experiment, digest="sure"), prepared, sure, 1, None)
    assert trained.note == ""
    training = training_of(experiment)
    cost = experiment.loss.cost(training.y, models.load(Path(trained.folder)).predict(training.X), None)
    assert 2e-12 < cost < 6 / len(training.y)


class Exploding(Failing):
    """A family whose final fit raises."""

    def fit(self, workspace: Any, hyperparameters: Mapping[str, Any], *more: Any) -> Fitted:
        raise ValueError("the cost was nan in epoch 3")


def test_a_fit_that_raises_gives_way_to_the_model_of_a_fold(here: tuple[Experiment, Prepared, Winner]) -> None:
    experiment, prepared, winner = here
    families: dict[str, Any] = {name: Exploding(family) for name, family in experiment.families.items()}
    trained = finetune.fn(replace(experiment, digest="raises", families=families), prepared, winner, 1, None)
    assert trained.note.startswith("the final fit failed (the cost was nan in epoch 3); the model of fold ")
    assert trained.cut_at is None


def test_a_fit_without_time_says_after_how_many_rounds_it_ended(here: tuple[Experiment, Prepared, Winner]) -> None:
    experiment, prepared, winner = here
    trained = finetune.fn(experiment, prepared, winner, 1, time.time() - 1)
    assert "the model of fold" in trained.note or "after 1 of" in trained.note


def test_a_fit_that_time_ended_and_that_went_wrong_says_both(here: tuple[Experiment, Prepared, Winner]) -> None:
    experiment, prepared, winner = here
    families: dict[str, Any] = {name: Failing(family) for name, family in experiment.families.items()}
    wild = replace(experiment, digest="wild and late", families=families)
    note = finetune.fn(wild, prepared, winner, 1, time.time() - 1).note
    assert note.startswith("search.seconds ended the final fit after 1 of ")
    assert "takes its place" in note


def test_a_hurried_fit_says_so_and_comes_out_again_by_what_is_recorded_of_it(
    here: tuple[Experiment, Prepared, Winner],
) -> None:
    experiment, prepared, winner = here
    whole = finetune.fn(experiment, prepared, winner, 1, None)
    assert whole.rounds is not None
    after = max(1, whole.rounds // 50)
    trained = finetune.fn(experiment, prepared, winner, 1, None, hurried={after: 7})
    assert (trained.rounds, trained.cut_at, trained.hurried) == (after + 7, None, ((after, 7),))
    said = f"search.seconds hurried the final fit after {after} of {whole.rounds} rounds, to {after + 7} in all"
    assert trained.note == said
    assert finetune.fn(experiment, prepared, winner, 1, None, hurried=dict(trained.hurried)).folder == trained.folder
    assert trained.folder != whole.folder


def test_a_net_with_time_for_half_its_epochs_goes_through_all_of_its_schedule_in_these(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason='needs torch: pip install "finefold[neural]"')
    epochs = ["model=mlp", "model.mlp.hyperparameters.epochs=24", "model.mlp.hyperparameters.patience=24"]
    for experiment, prepared, winner in searched(tmp_path, [*FAST[:2], *epochs]):
        asked = replace(winner, rounds=20)
        course = Affordable(10, 2)
        trained = finetune.fn(experiment, prepared, asked, 1, None, course)
        assert (trained.rounds, trained.course, trained.cut_at) == (10, course, None)
        assert trained.changed == {"epochs": 12, "nets": 2}
        paid = "2 models in the place of 4 and 10 rounds in the place of 20"
        assert trained.note == f"search.seconds paid for a final fit of {paid}"
        cut = finetune.fn(experiment, prepared, asked, 1, None, None, 10)
        assert (cut.rounds, cut.course, cut.cut_at, cut.changed) == (10, None, 10, {"nets": 4})
        training = training_of(experiment)
        costs = [
            experiment.loss.cost(training.y, models.load(Path(one.folder)).predict(training.X), None)
            for one in (trained, cut)
        ]
        assert costs[0] != costs[1]


def test_with_a_base_a_sound_fit_is_taken_and_one_that_went_wrong_leaves_the_base(
    here: tuple[Experiment, Prepared, Winner],
) -> None:
    experiment, prepared, winner = here
    base = finetune.fn(experiment, prepared, winner, 1, None)
    on_base = replace(experiment, digest="base", folder=f"{experiment.folder}-base", base=base.folder)
    result = run_trial(on_base, winner.proposal)
    assert max(fold.cost for fold in result.folds) < 0.2  # of the base and what the fold added, which saw these rows
    better = Winner(result.proposal, result.score, 0.0, result.folds, result.rounds(experiment.growth))
    sound = finetune.fn(on_base, prepared, better, 1, None)
    assert sound.note == ""
    assert sound.n_parameters > base.n_parameters
    wild: dict[str, Any] = {name: Wild(family) for name, family in experiment.families.items()}
    trained = finetune.fn(replace(on_base, digest="wild", families=wild), prepared, better, 1, None)
    assert "the base takes its place, unchanged" in trained.note
    X = training_of(experiment).X
    loaded = [models.load(Path(one.folder)).predict(X) for one in (trained, base)]
    assert np.array_equal(*loaded)


@dataclass(frozen=True)
class Wild(Failing):
    """A family whose final fit diverges."""

    adds_to_its_base = True

    def fit(self, workspace: Any, hyperparameters: Mapping[str, Any], *more: Any) -> Fitted:
        wild = {**hyperparameters, "learning_rate": 50.0, "min_sum_hessian_in_leaf": 0}
        return self.inner.fit(workspace, wild, *more)
