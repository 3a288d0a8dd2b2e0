"""Combining real trials of three families: who may be in it, how it is scored, and the model that comes of it."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from flows.config import compose
from flows.decide import decide
from flows.plan import plan
from tasks import fold_model, metric, mixture
from tasks import model as models
from tasks.combine import MARGIN_OF_ALL, SECONDS_OF_A_MEGABYTE, combine
from tasks.combine import seconds as combining_seconds
from tasks.ensemble import Floats, Fold
from tasks.ensemble.greedy import Greedy
from tasks.metric import better
from tasks.model import OutOfTimeError
from tasks.prepare import prepare
from tasks.records import Combined, Member, Prepared, Proposal, Split, TrialResult, Winner
from tasks.source import plain_frame
from tasks.split import split
from tasks.store import write_frame
from tasks.study import fold_file, read_fold
from tasks.trial import run_trial
from tasks.workspace import Experiment, training_of, workspace_of

FAMILIES = ("lightgbm", "linear", "forest")
SMALL = ["model=[lightgbm,linear,forest]", "ensemble=greedy", "model.lightgbm.rounds=30", "folds.n_splits=3",
         "model.forest.hyperparameters.n_estimators=10"]  # fmt: skip
TARGETS = {"regression": None, "binary": [0.5], "multiclass": [-0.5, 1.0]}

combining = sys.modules[combine.fn.__module__]


@dataclass(frozen=True)
class Done:
    """Finished trials, ready to be combined."""

    experiment: Experiment
    prepared: Prepared
    split: Split
    results: tuple[TrialResult, ...]
    ensemble: Greedy

    def winner(self, worse: float = 0.0) -> Winner:
        """The best trial, as if its score were worse by so much."""
        sign = metric.METRICS[self.experiment.metric].sign
        complete = [result for result in self.results if len(result.folds) == self.experiment.n_folds]
        best = max(complete, key=lambda result: sign * fmean(fold.value for fold in result.folds))
        mean = fmean(fold.value for fold in best.folds) - sign * worse
        return Winner(best.proposal, mean, 0.0, best.folds, best.folds[0].rounds)

    def combine(self, worse: float = 0.0, **knobs: Any) -> Combined:
        ensemble = replace(self.ensemble, **knobs)
        return combine.fn(self.experiment, self.prepared, ensemble, self.results, self.winner(worse), 1)


def frame(kind: str, n: int = 240) -> pd.DataFrame:
    """A target that is partly linear and partly not, so that families have each their part of it."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(n, 3)), columns=["a", "b", "c"])
    table["town"] = random.choice(["x", "y", "z"], n)
    table["day"] = pd.date_range("2020-01-01", periods=n)
    score = table["a"] + np.abs(table["b"]) * (table["town"] == "x") + random.normal(size=n) / 2
    cuts = TARGETS[kind]
    return table.assign(y=score if cuts is None else np.array(["l", "m", "n"])[np.digitize(score, cuts)])


def done(kind: str = "regression", *overrides: str, keep_models: bool = True, n_each: int = 2) -> Done:
    """Two trials of each family on made-up rows, under the current folder."""
    path = write_frame(plain_frame(frame(kind)), Path("data/frames"))
    source = ["source=file", f"source.path={path}", "source.target=y"]
    composed = compose([*source, *SMALL, *overrides])
    planned = plan(composed)
    prepared = prepare.fn(planned.source, planned.roles, "auto", None, 0, None)
    decided = decide(composed, prepared)
    divided = split.fn(prepared, decided.splitter, decided.composed.choices["folds"], 0.2)
    experiment = Experiment(
        digest=f"{Path.cwd()}-{kind}-{overrides}", folder="study", split=divided.folder, problem=prepared.problem,
        families=planned.families, loss=decided.loss, metric=decided.metric, base=None, seed=0,
        n_folds=divided.n_folds, growth=divided.growth, n_threads=1, keep_models=keep_models,
    )  # fmt: skip
    results = tuple(run_trial(experiment, proposal) for proposal in proposals(planned.space.families, n_each))
    assert isinstance(planned.ensemble, Greedy)
    return Done(experiment, prepared, divided, results, planned.ensemble)


def proposals(families: Any, n_each: int) -> list[Proposal]:
    varied = {"lightgbm": {"num_leaves": 8}, "linear": {"penalty": 30.0}, "forest": {"min_samples_leaf": 8}}
    made = []
    for name in FAMILIES:
        start = {**families[name].fixed, **families[name].start}
        for more in ({}, varied[name])[:n_each]:
            made.append(Proposal(len(made), name, {**start, **more}))
    return made


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def out_of_fold(it: Done, members: Sequence[Member], fold: int) -> tuple[Any, Any]:
    """The target of a fold's validation rows and what the members' stored predictions come to."""
    parts = []
    for member in members:
        record = read_fold(fold_file(Path("study"), member.proposal, fold))
        assert record is not None
        parts.append(member.weight * record.prediction.astype(np.float64))
    return training_of(it.experiment).y[training_of(it.experiment).folds[fold][1]], np.sum(parts, axis=0)


@pytest.mark.parametrize("kind", list(TARGETS))
def test_the_model_averages_what_the_models_of_the_folds_predict(kind: str) -> None:
    it = done(kind)
    combined = it.combine(worse=10)
    assert len(combined.members) > 1
    assert sum(member.weight for member in combined.members) == pytest.approx(1)
    assert combined.trained is not None
    assert combined.trained.family == "ensemble"
    fitted, X = models.load(Path(combined.trained.folder)), training_of(it.experiment).X
    expected = np.sum(
        [
            member.weight / 3 * models.load(folder).predict(X)
            for member in combined.members
            for folder in fold_model.models_of(it.experiment, it.results[member.proposal.number])
        ],
        axis=0,
    )
    np.testing.assert_allclose(fitted.predict(X), expected, rtol=1e-9)
    assert combined.trained.n_parameters == fitted.n_parameters


@pytest.mark.parametrize("kind", list(TARGETS))
def test_where_it_chose_it_is_scored_as_its_members_predictions_are_and_never_worse_than_the_best(kind: str) -> None:
    it = done(kind)
    combined = it.combine()
    name = it.experiment.metric
    values = [metric.value(name, *out_of_fold(it, combined.members, fold)) for fold in range(3)]
    assert combined.chosen_at == pytest.approx(fmean(values))
    assert not better(name, it.winner().mean, combined.chosen_at + 1e-6 * metric.METRICS[name].sign)


class Noting(Greedy):
    """Notes the rows of the folds that it is shown, call by call."""

    shown: ClassVar[list[list[set[int]]]] = []

    def weigh(self, folds: Sequence[Fold], costs: Floats, metric: str, seed: int) -> Floats:
        self.shown.append([set(fold.rows.tolist()) for fold in folds])
        return super().weigh(folds, costs, metric, seed)


def assert_scored_by_others(it: Done) -> None:
    training = training_of(it.experiment)
    Noting.shown.clear()
    replace(it, ensemble=Noting(**asdict(it.ensemble))).combine()
    everything, *others = Noting.shown
    assert len(everything) == len(others) == it.experiment.n_folds
    for fold, rows in enumerate(others):
        scored = set(training.folds[fold][1].tolist())
        assert not set.union(*rows) & scored
        assert set.union(*rows) | scored == set(range(len(training.y)))


def test_each_fold_is_scored_by_weights_that_were_chosen_on_the_others() -> None:
    it = done()
    assert_scored_by_others(it)
    combined = it.combine()
    assert combined.standard_error > 0
    assert combined.mean != combined.chosen_at


def judged_on_less(it: Done) -> Done:
    """As a search leaves it that judges trials on one fold, and the winner alone on the others."""
    first, best = it.experiment.order[0], it.winner().proposal

    def less(result: TrialResult) -> TrialResult:
        folds = tuple(fold for fold in result.folds if fold.fold == first)
        return replace(result, proposal=replace(result.proposal, n_folds=1), folds=folds)

    return replace(it, results=tuple(one if one.proposal == best else less(one) for one in it.results))


def choose_among(monkeypatch: pytest.MonkeyPatch, choice: slice) -> None:
    """Of the complete trials (:1), or of those judged on the first fold (1:), alone."""
    every = fold_model.candidates
    monkeypatch.setattr(fold_model, "candidates", lambda *given: every(*given)[choice])


@pytest.mark.parametrize("kind", list(TARGETS))
def test_trials_judged_on_one_fold_are_combined_by_it_and_bring_the_models_that_they_have(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose_among(monkeypatch, slice(1, None))
    it = judged_on_less(done(kind))
    first, best = it.experiment.order[0], it.winner().proposal
    combined = it.combine(worse=10)
    assert (combined.n_candidates, combined.folds) == (6, (first,))
    assert len(combined.members) > 1
    assert combined.trained is not None
    X, expected = training_of(it.experiment).X, []
    for member in combined.members:
        folds = range(3) if member.proposal == best else [first]
        found = [models.load(fold_model.of_fold(it.experiment, member.proposal, fold)).predict(X) for fold in folds]
        expected.append(member.weight * np.mean(found, axis=0))
    fitted = models.load(Path(combined.trained.folder))
    np.testing.assert_allclose(fitted.predict(X), np.sum(expected, axis=0), rtol=1e-9)


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
@pytest.mark.parametrize("is_complete", [True, False])
def test_of_one_fold_each_fifth_is_scored_by_weights_of_the_others_and_added_to_the_winner_s_mean(
    kind: str, is_complete: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean of the RMSEs of fifths is below that of the fold, whether the winner was judged on others too or not."""
    choose_among(monkeypatch, slice(1, None))
    it = judged_on_less(done(kind))
    winner = it.winner()
    if not is_complete:
        (fold,) = (one for one in winner.folds if one.fold == it.experiment.order[0])
        winner = replace(winner, folds=(fold,), mean=fold.value)
    Noting.shown.clear()
    noting = Noting(**asdict(it.ensemble))
    combined = combine.fn(it.experiment, it.prepared, noting, it.results, winner, 1)
    everything, *others = Noting.shown
    rows = training_of(it.experiment).folds[it.experiment.order[0]][1]
    assert len(everything) == len(others) == 5
    assert sorted(row for part in everything for row in part) == rows.tolist()
    for part, shown in zip(everything, others, strict=True):
        assert set.union(*shown) == set(rows.tolist()) - part
        if kind == "multiclass":
            assert {0, 1, 2} == set(training_of(it.experiment).y[sorted(part)])

    def on_parts(members: Sequence[Member]) -> float:
        y, mixed = out_of_fold(it, members, it.experiment.order[0])
        places = [np.isin(rows, sorted(part)) for part in everything]
        return fmean(metric.value(it.experiment.metric, y[part], mixed[part]) for part in places)

    gained = on_parts(combined.members) - on_parts([Member(winner.proposal, 1.0)])
    assert combined.chosen_at == pytest.approx(winner.mean + gained)
    assert combined.mean != combined.chosen_at


def test_an_ensemble_with_more_models_of_a_member_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a search that was interrupted, and that had time to judge its winner on all folds in the end."""
    choose_among(monkeypatch, slice(1, None))
    it = judged_on_less(done("binary"))
    later = it.combine(worse=1)
    first = tuple(replace(one, folds=tuple(f for f in one.folds if f.fold == it.experiment.order[0]))
                  for one in it.results)  # fmt: skip
    winner = it.winner(worse=1)
    (fold,) = (one for one in winner.folds if one.fold == it.experiment.order[0])
    winner = replace(winner, folds=(fold,), mean=fold.value - metric.METRICS[it.experiment.metric].sign)
    earlier = combine.fn(it.experiment, it.prepared, it.ensemble, first, winner, 1)
    assert earlier.members == later.members
    assert winner.proposal in [member.proposal for member in later.members]
    assert earlier.trained is not None
    assert later.trained is not None
    assert earlier.trained.folder != later.trained.folder
    loaded = models.load(Path(later.trained.folder))
    assert loaded.n_parameters == later.trained.n_parameters > earlier.trained.n_parameters


@pytest.mark.parametrize("kind", list(TARGETS))
def test_of_the_complete_trials_and_those_judged_on_one_fold_the_better_choice_is_taken(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = judged_on_less(done(kind))
    whole = done(kind).results[2]  # of another family, complete too
    it = replace(it, results=(*it.results[:2], whole, *it.results[3:]))
    taken, found = it.combine(), []
    for choice in (slice(1), slice(1, None)):
        with monkeypatch.context() as only:
            choose_among(only, choice)
            found.append(it.combine())
    assert found[0].n_candidates < found[1].n_candidates == 6
    sign = metric.METRICS[it.experiment.metric].sign
    first, *others = sorted((one for one in found if one is found[0] or len(one.members) > 1),
                            key=lambda one: -sign * one.mean)  # fmt: skip
    expected = next((one for one in (first, *others) if one.trained), first)
    assert taken.mean == pytest.approx(expected.mean, rel=1e-12)


def test_repeated_folds_show_no_row_of_the_fold_that_is_scored() -> None:
    it = done("binary", "folds=repeated", "folds.n_repeats=2")
    assert it.experiment.n_folds == 6
    assert_scored_by_others(it)


def test_of_many_folds_some_are_scored_by_choices_from_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    it, shown = done("binary", "folds=repeated", "folds.n_repeats=4"), list[int]()
    weigh = Greedy.weigh

    def counted(self: Greedy, folds: Sequence[Fold], *more: Any) -> Floats:
        shown.append(len(folds))
        return weigh(self, folds, *more)

    monkeypatch.setattr(Greedy, "weigh", counted)
    combined = it.combine(worse=1)
    assert (it.experiment.n_folds, len(combined.folds)) == (12, 12)
    assert (shown[0], len(shown)) == (12, 1 + 10)
    score = combined.mean
    monkeypatch.setattr(mixture, "MOST_PARTS", 12)
    assert it.combine(worse=1).mean == pytest.approx(score, abs=combined.standard_error)
    assert combined.mean != it.combine(worse=1).mean


def test_with_folds_in_time_each_member_is_fitted_on_all_rows_and_no_model_of_a_fold_is_kept() -> None:
    it = done("regression", "folds=time_ordered", "source.time=day")
    experiment, training = it.experiment, training_of(it.experiment)
    combined = it.combine(worse=10)
    assert len(combined.members) > 1
    assert combined.trained is not None
    expected = np.zeros(len(training.y))
    for member in combined.members:
        proposal, rounds = member.proposal, it.results[member.proposal.number].rounds(experiment.growth)
        family, workspace = experiment.families[proposal.family], workspace_of(experiment, proposal.family)
        fitted = family.fit(workspace, proposal.hyperparameters, rounds, experiment.seed)
        expected += member.weight * fitted.predict(training.X)
    np.testing.assert_allclose(models.load(Path(combined.trained.folder)).predict(training.X), expected, rtol=1e-9)
    assert not list(Path("study/folds").glob("*/[0-9]"))


def test_folds_in_time_count_by_the_rows_that_their_models_learned_from() -> None:
    it = done("regression", "folds=time_ordered", "source.time=day")
    combined, best = it.combine(), it.winner()
    together = [metric.value("rmse", *out_of_fold(it, combined.members, fold)) for fold in range(3)]
    alone = [fold.value for fold in best.folds]
    n_learned = [len(learned) for learned, _ in training_of(it.experiment).folds]
    assert n_learned == sorted(set(n_learned))
    gained = np.average(np.subtract(together, alone), weights=n_learned)
    assert combined.chosen_at == pytest.approx(best.mean + gained)
    assert gained != pytest.approx(fmean(together) - fmean(alone), rel=1e-3)


def test_trials_that_failed_or_lack_folds_are_never_in_it() -> None:
    it = done()
    failed = replace(it.results[0], folds=(), error="Traceback ...")
    stopped = replace(it.results[2], folds=it.results[2].folds[:2])
    combined = replace(it, results=(failed, it.results[1], stopped, *it.results[3:])).combine(worse=10)
    assert combined.n_candidates == 4
    assert not {member.proposal.number for member in combined.members} & {0, 2}


def test_a_single_trial_is_no_ensemble_even_where_its_score_rounds_up() -> None:
    it = done()
    combined = replace(it, results=it.results[:1]).combine(worse=10)
    assert [member.weight for member in combined.members] == [1]
    assert combined.trained is None


def test_what_is_not_better_out_of_fold_is_not_used() -> None:
    assert done().combine(worse=-10).trained is None


def test_it_is_held_against_the_trial_that_would_have_been_chosen_on_the_other_folds() -> None:
    it, n_folds = done(), 3
    combined, values = it.combine(), [[result.values[fold] for fold in range(n_folds)] for result in it.results]
    scores = np.array(values)
    others = np.array([np.delete(scores, fold, axis=1).mean(axis=1) for fold in range(n_folds)])
    chosen = scores[others.argmin(axis=1), np.arange(n_folds)]
    assert combined.alone == pytest.approx(chosen.mean(), rel=1e-6)
    behind = combined.mean - combined.alone
    assert [it.combine(worse=behind + more).trained is not None for more in (-1e-6, 1e-6)] == [False, True]


def test_weights_are_chosen_by_few_rows_and_scored_by_all() -> None:
    it = done("multiclass")
    few, every = it.combine(rows=60), it.combine()
    assert few.n_candidates == every.n_candidates == 6
    assert few.chosen_at != every.chosen_at
    assert it.combine(rows=60) == few


def test_models_that_were_not_kept_are_fitted_again_to_the_same_model() -> None:
    kept = done("binary")
    first = kept.combine(worse=1)
    assert first.trained is not None
    X = training_of(kept.experiment).X
    before = models.load(Path(first.trained.folder)).predict(X)
    for folder in [*Path("study/folds").glob("*/[0-9]"), Path("study/models")]:
        shutil.rmtree(folder)
    again = kept.combine(worse=1)
    assert again.trained is not None
    assert again == first
    assert models.load(Path(again.trained.folder)).predict(X).tobytes() == before.tobytes()
    fitted = {path.parent.parent.name for path in Path("study/folds").rglob("size.json")}
    assert len(fitted) == len(again.members)


def with_several(it: Done) -> Done:
    """Linear models as a family whose final fit is of several, as that of nets is."""
    linear = it.experiment.families["linear"]
    methods = {"n_models": lambda self, given: 1, "of_fewer": lambda self, given, n: given}
    given = {one.name: getattr(linear, one.name) for one in fields(linear)}  # type: ignore[arg-type]
    several = type("Several", (type(linear),), methods)(**given)
    families = {**it.experiment.families, "linear": several}
    return replace(it, experiment=replace(it.experiment, families=families))


def combined_until(it: Done, until: float | None, whole: Collection[int] | None = None) -> Combined:
    return combine.fn(it.experiment, it.prepared, it.ensemble, it.results, it.winner(1), 1, until, whole)


def test_members_that_are_fitted_several_at_a_time_are_models_of_all_rows() -> None:
    it = with_several(done())
    combined = it.combine(worse=1)
    assert combined.trained is not None
    training, members = training_of(it.experiment), {m.proposal.number: m for m in combined.members}
    linear = {number for number, member in members.items() if member.proposal.family == "linear"}
    assert set(combined.whole) == linear
    assert linear
    expected = np.zeros(len(training.y))
    for number, member in members.items():
        result, family = it.results[number], it.experiment.families[member.proposal.family]
        if number in linear:
            hyperparameters, _ = family.final(member.proposal.hyperparameters, None)
            workspace = workspace_of(it.experiment, "linear")
            expected += member.weight * family.fit(workspace, hyperparameters, None, 0).predict(training.X)
        else:
            folders = fold_model.models_of(it.experiment, result)
            expected += member.weight * np.mean([models.load(one).predict(training.X) for one in folders], axis=0)
    np.testing.assert_allclose(models.load(Path(combined.trained.folder)).predict(training.X), expected, rtol=1e-9)


def test_models_of_all_rows_are_those_there_is_time_for_or_those_of_an_earlier_run() -> None:
    it = with_several(done())
    late, every = combined_until(it, time.time()), combined_until(it, None)
    assert late.trained is not None
    assert (late.whole, len(every.whole)) == ((), 1)
    assert combined_until(it, time.time() + 600).whole == every.whole
    assert combined_until(it, time.time(), every.whole).whole == every.whole
    assert combined_until(it, None, []).whole == ()


def test_members_whose_fit_on_all_rows_fails_stay_the_models_of_their_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: Any, **__: Any) -> None:
        raise FloatingPointError

    it = with_several(done())
    monkeypatch.setattr(type(it.experiment.families["linear"]), "fit", explode)
    combined = it.combine(worse=1)
    assert combined.trained is not None
    assert combined.whole == ()


def test_a_model_of_all_rows_that_has_gone_wrong_or_is_larger_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    it = with_several(done())
    with monkeypatch.context() as patch:
        patch.setattr(combining, "fault_of", lambda *_: "the final fit has a cost of 9")
        assert it.combine(worse=1).whole == ()
    monkeypatch.setattr(combining.models, "megabytes", lambda folder: 1.0 + 9 * folder.name.startswith("all"))
    assert it.combine(worse=1).whole == ()


def test_the_number_of_members_is_held() -> None:
    assert len(done("binary").combine(worse=1, size=2).members) <= 2


def test_too_many_megabytes_are_chosen_again_within_the_limit() -> None:
    it = done("regression")
    free = it.combine(worse=10, megabytes=None)
    assert free.trained is not None
    limit = models.megabytes(Path(free.trained.folder)) / 2
    tight = it.combine(worse=10, megabytes=limit)
    assert tight.trained is None or models.megabytes(Path(tight.trained.folder)) <= 1.01 * limit
    sizes = [
        models.megabytes(folder)
        for member in tight.members
        for folder in fold_model.models_of(it.experiment, it.results[member.proposal.number])
    ]
    assert 0 < sum(sizes) <= limit


def test_where_nothing_is_within_the_limits_there_is_no_ensemble() -> None:
    combined = done().combine(worse=10, megabytes=1e-6)
    assert combined.members == ()
    assert combined.trained is None
    assert np.isnan(combined.mean)


def test_a_limit_on_time_is_measured_once_and_held() -> None:
    it = done("binary")
    begun = time.perf_counter()
    free = it.combine(worse=1, milliseconds=1e6)
    passed = 1e3 * (time.perf_counter() - begun)
    assert free.milliseconds is not None
    assert 0 < free.milliseconds < 1_000 / len(training_of(it.experiment).X) * passed
    assert it.combine(worse=1, milliseconds=1e6) == free
    tight = it.combine(worse=1, milliseconds=free.milliseconds / 2)
    assert tight.milliseconds is None or tight.milliseconds <= free.milliseconds / 2
    assert it.combine(worse=1).milliseconds is None


def test_the_standard_error_is_that_of_the_folds() -> None:
    it = done("regression", n_each=1)
    combined = replace(it, results=it.results[1:2]).combine()
    values = [fold.value for fold in it.results[1].folds]
    assert combined.mean == pytest.approx(fmean(values), rel=1e-6)
    assert combined.standard_error == pytest.approx(stdev(values) / 3**0.5, rel=1e-4)


@pytest.mark.parametrize("scheme", [(), ("folds=time_ordered", "source.time=day")])
def test_models_that_can_not_be_fitted_in_time_are_not_kept_and_there_is_no_ensemble(scheme: tuple[str, ...]) -> None:
    it = done("regression", *scheme, keep_models=False)
    arguments = (it.experiment, it.prepared, it.ensemble, it.results, it.winner(worse=10), 2)
    cut = combine.fn(*arguments, time.time() - 1)
    assert (cut.is_cut, cut.trained) == (True, None)
    assert len(cut.members) > 1
    with pytest.raises(OutOfTimeError):
        fold_model.models_of(it.experiment, it.results[0], time.time() - 1)
    assert not list(Path("study/folds").rglob("size.json"))
    whole = combine.fn(*arguments, time.time() + 1_000)
    assert (whole.is_cut, whole.members) == (False, cut.members)
    assert whole.trained is not None


def test_a_member_whose_models_take_too_long_is_left_out_and_an_earlier_run_s_are_left_out_again() -> None:
    it = done("regression", keep_models=False)
    every = it.combine(worse=10)
    dear, *others = (member.proposal.number for member in every.members)
    for size in list(Path("study/folds").rglob("size.json")):
        shutil.rmtree(size.parent)
    slow = [replace(one, folds=tuple(replace(fold, seconds=1e6) for fold in one.folds))
            if one.proposal.number == dear else one for one in it.results]  # fmt: skip
    arguments = (it.experiment, it.prepared, it.ensemble, slow, it.winner(worse=10), 2)
    cut = combine.fn(*arguments, time.time() + 1_000)
    assert others
    assert cut.trained is not None
    assert (cut.left_out, cut.is_cut) == ((dear,), False)
    assert dear not in {member.proposal.number for member in cut.members}
    again = combine.fn(*arguments, None, None, cut.left_out)
    assert again.trained is not None
    assert (again.members, again.mean, again.left_out) == (cut.members, cut.mean, cut.left_out)
    assert again.trained.folder == cut.trained.folder


def test_fitting_again_is_foreseen_from_what_the_folds_took_and_costs_nothing_where_models_are_kept() -> None:
    it = done("regression", keep_models=False, n_each=1)
    taken = sum(fold.seconds for result in it.results for fold in result.folds)
    assert fold_model.seconds(it.experiment, it.results) == pytest.approx(taken)
    fold_model.models_of(it.experiment, it.results[0])
    left = sum(fold.seconds for result in it.results[1:] for fold in result.folds)
    assert fold_model.seconds(it.experiment, it.results) == pytest.approx(left)
    choosing, fitting = combining_seconds(it.experiment, it.ensemble, it.results, 1)
    writing = SECONDS_OF_A_MEGABYTE * fold_model.megabytes(it.experiment, it.results[0])
    assert (fitting, writing > 0) == (pytest.approx(MARGIN_OF_ALL * left + writing), True)
    assert 0 < choosing < 1
    assert combining_seconds(it.experiment, replace(it.ensemble, rounds=250), it.results, 1)[0] > 5 * choosing
    by_two = MARGIN_OF_ALL * left / 2
    assert combining_seconds(it.experiment, it.ensemble, it.results, 2)[1] == pytest.approx(by_two + writing)
