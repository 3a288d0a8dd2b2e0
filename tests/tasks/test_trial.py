"""A trial: its folds are computed once, its failures are values, and what trials share is made once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks import fold_model
from tasks.folds import write_folds
from tasks.loss.mse import MSE
from tasks.model import Curve, Training, Validated, Watch, WatchAll
from tasks.racing import Race
from tasks.records import Problem, Proposal
from tasks.refusal import Refusal
from tasks.store import remove_folder
from tasks.study import fold_file, read_fold
from tasks.trial import Entry, by_shape, run_together, run_trial, run_trials
from tasks.workspace import Experiment, training_of, workspace_of

N_ROWS, N_FOLDS = 12, 3
REGRESSION = Problem("regression", "y", ())


@dataclass(frozen=True)
class Value:
    """A model that predicts one value."""

    value: float
    n_parameters = 1

    def predict(self, X: pd.DataFrame) -> Any:
        return np.full(len(X), self.value)

    def importance(self) -> dict[str, float]:
        return {"x": 1.0}

    def save(self, folder: Path) -> None:
        (folder / "value.txt").write_text(str(self.value))


@dataclass(frozen=True)
class Constant:
    """A family that predicts its hyperparameter `value`, counts what is asked of it, and does `before` each fold."""

    before: Callable[[int], object] = lambda fold: None
    curve: Curve = ()
    made: list[int] = field(default_factory=list)
    validated: list[int] = field(default_factory=list)

    def workspace(self, training: Training, base: Path | None, n_threads: int) -> Training:
        time.sleep(0.01)  # time enough for another thread to make one too, were it let
        self.made.append(threading.get_ident())
        return training

    def validate(
        self, workspace: Training, fold: int, hyperparameters: Mapping[str, Any], seed: int, watch: Watch,
        n_rows: int | None,
    ) -> Validated:
        self.validated.append(fold)
        self.before(fold)
        watch(self.curve)
        n_valid = len(workspace.fold(fold, n_rows)[1])
        value = float(hyperparameters["value"])
        return Validated(np.full(n_valid, value), None, (), Value(value))


@dataclass(frozen=True)
class AsOne(Constant):
    """Trains all folds of a trial as one: `curves` are what the watch sees of them, round after round."""

    curves: Sequence[Sequence[Curve]] = ()
    rounds: int = 100

    def are_one(
        self, workspace: Training, hyperparameters: Mapping[str, Any], folds: Sequence[int], n_rows: int | None
    ) -> bool:
        return len(folds) > 1

    def validate_together(
        self, workspace: Training, folds: Sequence[int], hyperparameters: Mapping[str, Any], seed: int,
        watch: WatchAll, n_rows: int | None = None,
    ) -> list[Validated]:
        for curves in self.curves:
            watch(curves)
        return [self.validate(workspace, fold, hyperparameters, seed, lambda curve: None, n_rows) for fold in folds]


@dataclass(frozen=True)
class InTeams(AsOne):
    """Trains trials together whose values have the same sign, none without one, where they are up to `most` folds, and
    memory runs out beyond `room` of them. teams: the values of each team that it trained."""

    most: int = 100
    room: int = 100
    teams: list[list[float]] = field(default_factory=list)
    is_faster_so = True

    def times_alone(
        self, workspace: Training, hyperparameters: Mapping[str, Any], n: int, n_rows: int | None
    ) -> float:
        return 0.5 * n

    def are_one(
        self, workspace: Training, hyperparameters: Mapping[str, Any], folds: Sequence[int], n_rows: int | None
    ) -> bool:
        return 1 < len(folds) <= self.most

    def shape(self, hyperparameters: Mapping[str, Any]) -> Hashable:
        return np.sign(hyperparameters["value"]) or None

    def validate_trials(
        self, workspace: Training, folds: Sequence[int], trials: Sequence[Mapping[str, Any]], seed: int,
        watches: Sequence[WatchAll], n_rows: int | None = None,
    ) -> list[list[Validated] | Exception]:
        if len(trials) * len(folds) > self.room:
            raise Refusal("out of memory")
        self.teams.append([given["value"] for given in trials])

        def one(given: Mapping[str, Any], watch: WatchAll) -> list[Validated] | Exception:
            try:
                return self.validate_together(workspace, folds, given, seed, watch, n_rows)
            except Exception as error:
                return error

        return [one(given, watch) for given, watch in zip(trials, watches, strict=True)]


def experiment(folder: Path, family: Constant, name: str = "one", shift: float = 0.0) -> Experiment:
    split = folder / f"split-{name}"
    split.mkdir(parents=True)
    y = np.arange(N_ROWS, dtype=np.float64) + shift
    pd.DataFrame({"x": y}).to_parquet(split / "train_features.parquet")
    pd.DataFrame({"target": y}).to_parquet(split / "train_roles.parquet")
    rows = np.arange(N_ROWS)
    write_folds(split, [(np.setdiff1d(rows, rows[k::N_FOLDS]), rows[k::N_FOLDS]) for k in range(N_FOLDS)])
    families: dict[str, Any] = {"constant": family}
    return Experiment(
        digest=f"{folder}/{name}", folder=str(folder / f"study-{name}"), split=str(split), problem=REGRESSION,
        families=families, loss=MSE(), metric="rmse", base=None, seed=0, n_folds=N_FOLDS, growth=1.5, n_threads=1,
        keep_models=False,
    )  # fmt: skip


def proposal(number: int = 0, value: float = 3.0) -> Proposal:
    return Proposal(number, "constant", {"value": value})


def fail_on(fold: int) -> Callable[[int], None]:
    def before(k: int) -> None:
        if k == fold:
            raise RuntimeError(f"fold {k} fell")

    return before


def test_each_fold_is_scored_in_the_metric_and_in_the_loss(tmp_path: Path) -> None:
    found = run_trial(experiment(tmp_path, Constant()), proposal(value=3.0))
    assert (found.error, found.was_cut) == (None, False)
    for k, score in enumerate(found.folds):
        squared = np.mean((np.arange(N_ROWS)[k::N_FOLDS] - 3.0) ** 2)
        assert (score.fold, score.value, score.cost) == (k, pytest.approx(squared**0.5), pytest.approx(squared))


def test_a_finished_fold_is_read_and_not_computed_again(tmp_path: Path) -> None:
    first, second = Constant(), Constant(fail_on(0))
    here = experiment(tmp_path, first)
    once = run_trial(here, proposal())
    again = run_trial(Experiment(**{**here.__dict__, "families": {"constant": second}}), proposal(number=7))
    assert (once.folds, second.validated) == (again.folds, [])


def test_only_the_folds_that_lack_are_computed(tmp_path: Path) -> None:
    family = Constant()
    here = experiment(tmp_path, family)
    run_trial(here, proposal())
    fold_file(Path(here.folder), proposal(), 1).unlink()
    run_trial(here, proposal())
    assert family.validated == [*here.order, 1]


def test_predictions_of_the_validation_rows_are_kept(tmp_path: Path) -> None:
    here = experiment(tmp_path, Constant())
    run_trial(here, proposal(value=2.5))
    kept = read_fold(fold_file(Path(here.folder), proposal(value=2.5), 2))
    assert kept is not None
    assert kept.prediction.tolist() == [2.5] * (N_ROWS // N_FOLDS)


def test_models_of_the_folds_are_kept_where_they_are_asked_for_alone(tmp_path: Path) -> None:
    here, asked = experiment(tmp_path, Constant(), "a"), experiment(tmp_path, Constant(), "b")
    asked = replace(asked, keep_models=True)
    run_trial(here, proposal())
    run_trial(asked, proposal(value=2.5))
    assert not list(Path(here.folder).rglob("value.txt"))
    kept = [fold_file(Path(asked.folder), proposal(value=2.5), fold).with_suffix("") for fold in range(N_FOLDS)]
    assert [(folder / "value.txt").read_text() for folder in kept] == ["2.5"] * N_FOLDS
    assert [fold_model.n_parameters(folder) for folder in kept] == [1] * N_FOLDS


def test_a_failure_is_a_value_with_its_traceback_and_the_folds_before_it(tmp_path: Path) -> None:
    here = experiment(tmp_path, Constant())
    first, second, _ = here.order
    found = run_trial(replace(here, families={"constant": Constant(fail_on(second))}), proposal())  # type: ignore[dict-item]
    assert found.error is not None
    assert found.error.startswith("Traceback")
    assert found.error.rstrip().endswith(f"RuntimeError: fold {second} fell")
    assert [score.fold for score in found.folds] == [first]


def test_a_score_that_is_no_number_fails_the_trial_and_is_not_stored(tmp_path: Path) -> None:
    here = experiment(tmp_path, Constant())
    found = run_trial(here, proposal(value=float("inf")))
    assert found.error is not None
    assert found.folds == ()
    assert not list(Path(here.folder).rglob("*.npz"))


def test_a_deadline_cuts_before_a_fold_that_would_be_computed(tmp_path: Path) -> None:
    family = Constant()
    found = run_trial(experiment(tmp_path, family), proposal(), deadline=time.time() - 1)
    assert (found.was_cut, found.folds, family.validated) == (True, (), [])


def test_a_deadline_does_not_keep_finished_folds_from_being_read(tmp_path: Path) -> None:
    here = experiment(tmp_path, Constant())
    whole = run_trial(here, proposal())
    late = run_trial(here, proposal(), deadline=time.time() - 1)
    assert (late.was_cut, late.folds) == (False, whole.folds)


def test_trials_that_share_a_task_run_come_in_order_and_one_failure_stops_no_other(tmp_path: Path) -> None:
    here = experiment(tmp_path, Constant())
    asked = [proposal(0, 1.0), proposal(1, float("nan")), proposal(2, 2.0)]
    found = run_trials.fn(here, [Entry(one) for one in asked], None)
    assert [result.proposal for result in found] == asked
    assert [result.error is None for result in found] == [True, False, True]


def test_threads_share_one_workspace_and_it_is_made_once(tmp_path: Path) -> None:
    family = Constant()
    here = experiment(tmp_path, family)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: workspace_of(here, "constant"), range(32)))
    assert len(family.made) == 1
    assert all(workspace is found[0] for workspace in found)


def test_another_experiment_has_rows_and_a_workspace_of_its_own(tmp_path: Path) -> None:
    one, other = Constant(), Constant()
    here, there = experiment(tmp_path, one, "one"), experiment(tmp_path, other, "other", shift=100)
    assert workspace_of(here, "constant").y[0] == 0
    assert workspace_of(there, "constant").y[0] == 100
    assert training_of(here).y[0] == 0
    near, far = (run_trial(where, proposal(value=100.0)).folds[0].value for where in (there, here))
    assert near < 10 < far


def race(best: float, spread: float, z: float = 2.0) -> Race:
    """Against a constant prediction on the rows 0 .. 11; a lower RMSE is better."""
    values = {k: float(np.sqrt(np.mean((np.arange(N_ROWS)[k::N_FOLDS] - best) ** 2))) for k in range(N_FOLDS)}
    return Race(values, sum(values.values()) / N_FOLDS, spread, is_higher_better=False, z=z)


def test_a_trial_that_is_clearly_worse_ends_after_a_fold_with_an_estimate(tmp_path: Path) -> None:
    family = Constant()
    here = experiment(tmp_path, family)
    against = race(best=5.5, spread=0.5)
    found = run_trial(here, proposal(value=20.0), against)
    assert family.validated == [here.order[0]]
    (fold,) = found.folds
    assert found.estimate == pytest.approx(against.mean + fold.value - against.best[fold.fold])
    assert (found.error, found.is_complete(N_FOLDS)) == (None, False)


def test_a_trial_that_could_still_be_best_runs_every_fold(tmp_path: Path) -> None:
    found = run_trial(experiment(tmp_path, Constant()), proposal(value=6.0), race(best=5.5, spread=0.5))
    assert (found.estimate, len(found.folds)) == (None, N_FOLDS)


def test_a_fold_without_outlook_ends_and_is_not_stored(tmp_path: Path) -> None:
    flat = [(rounds, 30.0 - 8 * (rounds > 10) - (rounds > 20) / 8) for rounds in range(10, 50, 10)]
    family = Constant(curve=flat)
    here = experiment(tmp_path, family)
    found = run_trial(here, proposal(), race(best=5.5, spread=0.5))
    assert (len(family.validated), found.folds) == (1, ())
    assert found.estimate is not None
    assert 15 < found.estimate < 30
    assert not list(Path(here.folder).rglob("*.npz"))


def test_a_proposal_on_a_sample_is_judged_and_kept_apart(tmp_path: Path) -> None:
    here = experiment(tmp_path, Constant())
    whole, sample = (run_trial(here, replace(proposal(), n_rows=n_rows)) for n_rows in (None, 4))
    assert [fold.value for fold in whole.folds] != [fold.value for fold in sample.folds]
    assert len(list(Path(here.folder).rglob("*.npz"))) == 2 * N_FOLDS
    one_fold = run_trial(here, replace(proposal(value=4.0), n_folds=1))
    assert [fold.fold for fold in one_fold.folds] == [here.order[0]]


def test_folds_that_are_trained_as_one_are_scored_as_those_trained_one_by_one(tmp_path: Path) -> None:
    families = {"alone": Constant(), "as one": AsOne()}
    alone, as_one = (run_trial(experiment(tmp_path, it, name), proposal()) for name, it in families.items())
    assert [(fold.fold, fold.value, fold.cost) for fold in as_one.folds] == [
        (fold.fold, fold.value, fold.cost) for fold in alone.folds
    ]


def test_folds_that_are_trained_as_one_are_all_read_or_all_computed(tmp_path: Path) -> None:
    family = AsOne()
    here = experiment(tmp_path, family)
    once = run_trial(here, proposal())
    assert run_trial(here, proposal()).folds == once.folds
    assert len(family.validated) == N_FOLDS
    kept, lost = (fold_file(Path(here.folder), proposal(), fold) for fold in (0, 1))
    lost.unlink()
    before = kept.stat().st_mtime_ns
    again = run_trial(here, proposal())
    assert len(family.validated) == 2 * N_FOLDS
    assert kept.stat().st_mtime_ns == before  # what was told of a fold stays true
    assert [fold.value for fold in again.folds] == [fold.value for fold in once.folds]


def test_folds_that_are_trained_as_one_end_together_when_their_mean_has_lost_the_race(tmp_path: Path) -> None:
    """A flat curve promises what it has; one that is shorter than the others' has stopped, at its best."""

    def curves(*ends: float, n: int = 60) -> Sequence[Curve]:
        return [[(k, end) for k in range(1, n + 1)] for end in ends]

    race = Race({0: 1.0, 1: 1.0, 2: 1.0}, 1.0, 0.1, is_higher_better=False, z=2.5)
    lost = AsOne(curves=[curves(1.0, 1.0, 2.0)])
    found = run_trial(experiment(tmp_path, lost, "lost"), proposal(), race)
    assert (found.folds, found.estimate, found.error) == ((), pytest.approx(4 / 3, abs=0.01), None)
    assert lost.validated == []
    stopped = experiment(tmp_path, AsOne(curves=[[*curves(1.0, 1.0), *curves(2.0, n=9)]]), "stopped")
    assert run_trial(stopped, proposal(), race).estimate == pytest.approx(4 / 3, abs=0.01)
    for name, fine in (("near", curves(1.0, 1.0, 1.1)), ("early", curves(9.0, 9.0, 9.0, n=9))):
        assert run_trial(experiment(tmp_path, AsOne(curves=[fine]), name), proposal(), race).estimate is None


def test_folds_that_are_trained_as_one_are_cut_by_the_deadline(tmp_path: Path) -> None:
    late = AsOne(curves=[[(), (), ()]])
    assert run_trial(experiment(tmp_path, late), proposal(), deadline=time.time() - 1).was_cut
    assert late.validated == []


def test_trials_of_one_shape_on_the_same_evidence_go_together(tmp_path: Path) -> None:
    families: dict[str, Any] = {"constant": InTeams(), "plain": Constant(), "other": InTeams()}
    here = replace(experiment(tmp_path, Constant()), families=families)
    asked = [proposal(k, value) for k, value in enumerate((1.0, -3.0, 2.0, 0.0, -1.0, 0.0))]
    asked += [replace(proposal(6), n_rows=4), replace(proposal(7), n_folds=1), replace(proposal(8), n_folds=1)]
    asked += [replace(proposal(k), family=name) for k, name in ((9, "plain"), (10, "plain"), (11, "other"))]
    groups = by_shape(here, [Entry(one) for one in asked])
    numbers = [[entry.proposal.number for entry in group] for group in groups]
    assert numbers == [[0, 2], [1, 4], [3], [5], [6], [7, 8], [9], [10], [11]]


def test_trials_that_are_trained_as_one_are_those_trained_by_themselves_and_one_failure_stops_no_other(
    tmp_path: Path,
) -> None:
    family = InTeams()
    here, asked = experiment(tmp_path, family), [proposal(k, value) for k, value in enumerate((1.0, 3.0, np.inf))]
    found = run_together.fn(here, [Entry(one) for one in asked], None)
    assert [result.proposal for result in found] == asked
    assert family.teams == [[1.0, 3.0, np.inf]]
    assert [result.error is not None for result in found] == [False, False, True]
    alone = experiment(tmp_path, Constant(), "alone")
    for result in found[:2]:
        folds = run_trial(alone, result.proposal).folds
        assert [(fold.fold, fold.value) for fold in result.folds] == [(fold.fold, fold.value) for fold in folds]


def test_trials_that_are_trained_as_one_are_one_unit_of_what_an_interrupted_run_computes_again(tmp_path: Path) -> None:
    family = InTeams()
    here, entries = experiment(tmp_path, family), [Entry(proposal(k, 1.0 + k)) for k in range(3)]
    once = run_together.fn(here, entries, None)
    assert [one.folds for one in run_together.fn(here, entries, None)] == [one.folds for one in once]
    assert family.teams == [[1.0, 2.0, 3.0]]
    kept = fold_file(Path(here.folder), entries[0].proposal, 0)
    before = kept.stat().st_mtime_ns
    fold_file(Path(here.folder), entries[2].proposal, 1).unlink()
    run_together.fn(here, entries, None)
    assert family.teams == [[1.0, 2.0, 3.0]] * 2
    assert kept.stat().st_mtime_ns == before  # what was told of a fold stays true


def test_a_fold_tells_its_share_of_the_time_and_what_it_takes_by_itself(tmp_path: Path) -> None:
    here = experiment(tmp_path, InTeams(lambda fold: time.sleep(0.02)))
    results = run_together.fn(here, [Entry(proposal(k, 1.0 + k)) for k in range(2)], None)
    for fold in [fold for result in results for fold in result.folds]:
        assert fold.seconds >= 0.02
        assert fold.seconds_alone == pytest.approx(0.5 * 2 * N_FOLDS * fold.seconds)
    (alone,) = run_together.fn(here, [Entry(proposal(2, 3.0))], None)
    assert [fold.seconds_alone / fold.seconds for fold in alone.folds] == [pytest.approx(0.5 * N_FOLDS)] * N_FOLDS
    kept = read_fold(fold_file(Path(here.folder), alone.proposal, 0))
    assert kept is not None
    assert kept.score == alone.folds[0]
    (plain,) = run_trials.fn(experiment(tmp_path, Constant(), "plain"), [Entry(proposal())], None)
    assert all(fold.seconds_alone == fold.seconds for fold in plain.folds)


def test_of_trials_that_are_trained_as_one_each_runs_its_own_race(tmp_path: Path) -> None:
    flat: Sequence[Curve] = [[(k, 2.0) for k in range(1, 61)]] * N_FOLDS
    here = experiment(tmp_path, InTeams(curves=[flat]))
    hard, easy = (Race(dict.fromkeys(range(3), best), best, 0.1, is_higher_better=False, z=2.5) for best in (1.0, 2.0))
    lost, whole, free = run_together.fn(
        here, [Entry(proposal(0, 1.0), hard), Entry(proposal(1, 2.0), easy), Entry(proposal(2, 3.0))], None
    )
    assert (lost.folds, lost.estimate, lost.error) == ((), pytest.approx(2, abs=0.01), None)
    assert [(one.estimate, len(one.folds)) for one in (whole, free)] == [(None, N_FOLDS)] * 2
    late = run_together.fn(here, [Entry(proposal(k, 7.0 + k)) for k in range(2)], time.time() - 1)
    assert [(one.was_cut, one.folds) for one in late] == [(True, ())] * 2


def test_trials_for_which_there_is_no_room_together_are_trained_one_by_one(tmp_path: Path) -> None:
    for name, family in (("foreseen", InTeams(most=N_FOLDS)), ("met", InTeams(room=N_FOLDS))):
        here = experiment(tmp_path, family, name)
        found = run_together.fn(here, [Entry(proposal(k, 1.0 + k)) for k in range(2)], None)
        assert [len(one.folds) for one in found if one.error is None] == [N_FOLDS] * 2
        assert family.teams == []


def test_a_lost_model_is_fitted_again_with_the_folds_that_it_was_trained_with(tmp_path: Path) -> None:
    family = AsOne()
    here = replace(experiment(tmp_path, family), keep_models=True)
    run_trial(here, proposal())
    folder = fold_model.of_fold(here, proposal(), 1)
    assert len(family.validated) == N_FOLDS  # it was kept
    remove_folder(folder)
    assert fold_model.of_fold(here, proposal(), 1) == folder
    assert (folder / "value.txt").read_text() == "3.0"
    assert family.validated == 2 * list(here.order)
