"""The search's score is corrected by the trials that could have won, and says what it doesn't know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks import correct as module
from tasks import metric
from tasks.correct import correct
from tasks.folds import write_folds
from tasks.loss.cross_entropy import CrossEntropy
from tasks.records import FoldScore, Problem, Proposal, TrialResult, Winner
from tasks.selected import Corrected
from tasks.study import FoldRecord, fold_file, write_fold
from tasks.workspace import Experiment, training_of

N = 240
RNG = np.random.default_rng(0)
Y = RNG.integers(2, size=N).astype(float)


def experiment(folder: Path, folds: list[tuple[Any, Any]], **roles: Any) -> Experiment:
    split = folder / "split"
    split.mkdir(parents=True)
    pd.DataFrame({"target": Y, **roles}).to_parquet(split / "train_roles.parquet")
    write_folds(split, folds)
    return Experiment(
        digest=str(folder), folder=str(folder / "study"), split=str(split), problem=Problem("binary", "y", ("n", "y")),
        families={}, loss=CrossEntropy(), metric="accuracy", base=None, seed=0, n_folds=len(folds), growth=1.5,
        n_threads=1, keep_models=False,
    )  # fmt: skip


def kfold(n_folds: int, seed: int = 0) -> list[tuple[Any, Any]]:
    fold = np.random.default_rng(seed).permutation(N) % n_folds
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(n_folds)]


def guessed(it: Experiment, number: int, skill: float = 0.0, n_rows: int | None = None) -> TrialResult:
    """A trial that is right in half of the rows, and in that share of the others."""
    generator, training = np.random.default_rng(number), training_of(it)
    right = np.where(generator.random(N) < skill, Y, generator.integers(2, size=N))
    prediction = np.column_stack([1 - right, right]).astype(np.float32)
    proposal, scores = Proposal(number, "some", {"x": number}, n_rows), []
    for fold in range(it.n_folds):
        rows = training.fold(fold, n_rows)[1]
        value = metric.value("accuracy", Y[rows], prediction[rows].astype(np.float64))
        scores.append(FoldScore(fold, value, 0.0, 7, 0.0))
        write_fold(fold_file(Path(it.folder), proposal, fold), FoldRecord(scores[-1], (), prediction[rows]))
    return TrialResult(proposal, tuple(scores))


def won(results: list[TrialResult], **more: Any) -> Winner:
    best = max(results, key=lambda one: one.score)
    return replace(Winner(best.proposal, best.score, 0.01, best.folds, None), **more)


def corrected(it: Experiment, results: list[TrialResult], ranks: list[int] | None = None, **more: Any) -> Corrected:
    made = correct.fn(it, results, won(results, **more), ranks, len(results))
    assert made is not None
    return made


def test_the_luck_of_the_best_guess_is_taken_off(tmp_path: Path) -> None:
    it = experiment(tmp_path, kfold(4))
    made = corrected(it, [guessed(it, n) for n in range(30)])
    assert made.uncorrected > 0.55
    assert abs(made.value - 0.5) < (made.uncorrected - 0.5) / 2
    assert made.low < 0.5 < made.high
    assert (made.n_candidates, made.n_rows, made.notes) == (30, N, ())


def test_a_trial_that_is_far_better_keeps_its_score(tmp_path: Path) -> None:
    it = experiment(tmp_path, kfold(4))
    results = [guessed(it, n) for n in range(10)]
    made = corrected(it, [*results, guessed(it, 10, skill=0.8)])
    assert made.value == made.uncorrected


def test_a_winner_that_was_none_of_them_owes_what_the_best_of_them_does(tmp_path: Path) -> None:
    """As one that had been judged on less, until it was judged whole for an ensemble."""
    it = experiment(tmp_path, kfold(4))
    results = [guessed(it, n) for n in range(10)]
    other = guessed(it, 10, skill=0.8)
    made = correct.fn(it, results, won([other]), None, 11)
    assert made is not None
    assert made.uncorrected == other.score
    assert 0 < made.uncorrected - made.value < 0.1


def test_one_setting_counts_once(tmp_path: Path) -> None:
    it = experiment(tmp_path, kfold(4))
    results = [guessed(it, n) for n in range(5)]
    again = [replace(one, proposal=replace(one.proposal, number=9)) for one in results]
    assert corrected(it, results + again) == corrected(it, results)


def test_the_most_promising_stay_where_there_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CANDIDATES", 4)
    it = experiment(tmp_path, kfold(4))
    results = [guessed(it, n) for n in range(12)]
    best = sorted(results, key=lambda one: -one.score)[:4]
    few = sorted(best, key=lambda one: one.proposal.number)
    assert corrected(it, results).value == corrected(it, few).value


def test_of_many_rows_some_are_read_and_their_luck_is_brought_to_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = experiment(tmp_path, kfold(4))
    results = [guessed(it, n) for n in range(30)]
    whole = corrected(it, results)
    monkeypatch.setattr(module, "MAX_ROWS", N // 2)
    some = corrected(it, results)
    assert some.notes == ("found on 120 of 240 rows and brought to all of them",)
    assert some.uncorrected - some.value == pytest.approx(whole.uncorrected - whole.value, rel=0.35)
    assert some.high - some.low == pytest.approx(whole.high - whole.low, rel=0.35)


def test_rows_that_are_never_or_often_validated_are_named(tmp_path: Path) -> None:
    forward = [(np.arange(80 * k), np.arange(80 * k, 80 * (k + 1))) for k in (1, 2)]
    it = experiment(tmp_path / "time", forward)
    made = corrected(it, [guessed(it, n) for n in range(5)])
    assert made.notes == ("80 rows that no fold validates are not in it",)
    assert made.n_rows == 160
    it = experiment(tmp_path / "repeated", kfold(4) + kfold(4, seed=1))
    made = corrected(it, [guessed(it, n) for n in range(5)])
    assert made.notes == ("each row was validated 2 times, of which the mean counts",)
    assert made.n_rows == N


def test_rows_of_folds_that_not_all_were_judged_on_are_not_told_as_validated_by_none(tmp_path: Path) -> None:
    it = experiment(tmp_path, kfold(4))
    begun = [replace(one, folds=one.folds[:1]) for one in (guessed(it, n) for n in range(5))]
    assert corrected(it, begun).notes == ("180 rows of folds that not all of its trials were judged on are not in it",)


def test_rows_of_a_group_are_drawn_together(tmp_path: Path) -> None:
    alone = experiment(tmp_path / "alone", kfold(4))
    # Eight rows of one group are right or wrong together, so that the groups' luck is larger than the rows'.
    groups = np.argsort(np.argsort(RNG.random(N) + 10 * Y, kind="stable"), kind="stable") // 8
    grouped = experiment(tmp_path / "grouped", kfold(4), group=[f"g{group}" for group in groups])
    widths = []
    for it in (alone, grouped):
        generator = np.random.default_rng(1)
        of_groups = generator.random(N // 8) < 0.7
        right = np.where(of_groups[groups], Y, 1 - Y)
        proposal = Proposal(0, "some", {})
        scores = []
        for fold, (_, rows) in enumerate(kfold(4)):
            scores.append(FoldScore(fold, float((right == Y)[rows].mean()), 0.0, None, 0.0))
            prediction = np.column_stack([1 - right, right])[rows].astype(np.float32)
            write_fold(fold_file(Path(it.folder), proposal, fold), FoldRecord(scores[-1], (), prediction))
        made = corrected(it, [TrialResult(proposal, tuple(scores))])
        widths.append(made.high - made.low)
    assert widths[1] > 2 * widths[0]


def test_what_is_not_taken_off_is_said(tmp_path: Path) -> None:
    it = experiment(tmp_path, kfold(4))
    results = [guessed(it, n, n_rows=60) for n in range(6)]
    best = max(results, key=lambda one: one.score)
    whole = replace(best.proposal, n_rows=None)
    winner = Winner(whole, 0.52, 0.01, best.folds, 7)
    made = correct.fn(it, results, winner, None, 20)
    assert made is not None
    assert made.uncorrected == 0.52
    assert [note.split(" ")[0] for note in made.notes] == ["14", "each", "the"]
    assert "early" not in made.notes[0]
    assert "evaluation=nested is free of that" in made.notes[1]


def test_a_rule_that_takes_the_simplest_owes_less_to_luck(tmp_path: Path) -> None:
    it = experiment(tmp_path, kfold(4))
    results = [guessed(it, n) for n in range(30)]
    best = corrected(it, results)
    first = results[0]
    winner = Winner(first.proposal, first.score, 0.01, first.folds, None)
    simple = correct.fn(it, results, winner, list(range(30)), 30)
    assert simple is not None
    assert abs(simple.uncorrected - simple.value) < (best.uncorrected - best.value) / 2


def test_without_the_files_of_the_folds_there_is_no_number(tmp_path: Path) -> None:
    it = experiment(tmp_path, kfold(4))
    results = [guessed(it, n) for n in range(3)]
    fold_file(Path(it.folder), results[1].proposal, 2).unlink()
    assert correct.fn(it, results, won(results), None, 3) is None
