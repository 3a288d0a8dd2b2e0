"""What a run says of itself as it goes: what was found, what won, what more would buy, what was fitted."""

from __future__ import annotations

import json
from pathlib import Path

from flows import screen
from flows.base import seen_by_base, told_of
from flows.decide import Job
from flows.guard import fitting
from flows.record import parameters_of
from flows.tune import Tuned
from tasks import base_folder
from tasks.comparison import difference_to
from tasks.evidence import Rung, rung_of
from tasks.examine import WORST
from tasks.model import BeginsWith
from tasks.racing import best_of, likely_gain
from tasks.records import Examined, Trained, Winner
from tasks.search.grid import Grid
from tasks.source_rows import has_source_rows, n_equal
from tasks.weigh import comes_to
from tasks.workspace import Experiment, rho

LONG_MINUTES = 2
FEW_EQUAL = 0.01  # of the rows, which may equal rows that a base was trained on by chance


def say_what_was_found(job: Job, base: Path | None) -> None:
    prepared, divided, choices = job.prepared, job.split, job.decided.composed.choices
    screen.say_notes(
        f"{prepared.name}: {prepared.n_rows:,} rows, {prepared.n_features:,} features, {prepared.problem.kind}",
        (*prepared.notes, *divided.notes, *_notes_of_the_run(job, base)),
    )
    screen.say(
        f"{divided.n_train:,} rows in {divided.n_folds} folds ({choices['folds']}), {divided.n_holdout:,} rows sealed "
        f"as the holdout; {', '.join(job.plan.families)} trained on {_trained_on(job)}, selected on "
        f"{job.decided.metric}"
    )
    if evidence := job.ladder.described(divided.n_folds):
        screen.say(evidence)


def _trained_on(job: Job) -> str:
    """The loss with its parameters, and the classes' weights."""
    loss, asked = job.decided.loss, job.decided.composed.config.class_weight
    told = [f"{key}={value:g}" for key, value in parameters_of("loss", loss).items() if isinstance(value, float)]
    told += [f"class_weight={asked}"] if asked else []
    return " with ".join([loss.name, *([" and ".join(told)] if told else [])])


def _notes_of_the_run(job: Job, base: Path | None) -> tuple[str, ...]:
    return (*_loss_notes(job), *_base_notes(job, base), *_search_notes(job), *_cost_notes(job), *_check_notes(job))


def _check_notes(job: Job) -> tuple[str, ...]:
    """Which checks of the run have nothing to say of text that is written."""
    judging = fitting(job)
    aside = [check.name for check in job.plan.checks if check not in judging]
    return (f"for tables alone, and left out here: check {', '.join(aside)}",) if aside else ()


def _base_notes(job: Job, base: Path | None) -> tuple[str, ...]:
    if base is None:
        begun = [one.begins_with() for one in job.families.values() if isinstance(one, BeginsWith)]
        unknown = "whose licence is unknown; find out whether it may be used so"
        return tuple(
            f"begins with the encoder {name}, {base_folder.found_out(folder, name).licence or unknown}"
            for folder, name in filter(None, begun)
        )
    notes, origin, n_seen = told_of(base, job.decided.composed), base / "origin.json", seen_by_base(job, base)
    is_too_good = n_seen > FEW_EQUAL * job.split.n_holdout
    if is_too_good:
        notes += [f"the base was trained on {n_seen:,} of {job.split.n_holdout:,} rows that are sealed here: the "
                  "holdout's score flatters; seal the rows that its own run sealed, by the same holdout.fraction and "
                  "holdout.seed, or give others by holdout.path"]
    if origin.exists() and json.loads(origin.read_text())["data"] == job.prepared.digest:
        other = "" if is_too_good else "; the holdout's is not"
        notes += [f"the base was trained on these very rows: the folds' scores are far too good{other}"]
    elif has_source_rows(base):
        sides = {"training": ("train", job.split.n_train)}
        sides |= {} if is_too_good else {"sealed": ("holdout", job.split.n_holdout)}
        for which, (side, n_rows) in sides.items():
            n = n_equal(base, Path(job.split.folder) / f"{side}_features.parquet")
            if n > FEW_EQUAL * n_rows:
                notes += [f"{n:,} of {n_rows:,} {which} rows equal rows that the base was trained on: scores flatter"]
    return tuple(notes)


def _search_notes(job: Job) -> tuple[str, ...]:
    if isinstance(job.plan.search, Grid):
        return (f"a grid of {job.plan.search.size(job.plan.space):,} points, those that are cheap to train first",)
    warm, asked = job.plan.space.warm, job.decided.composed.config.search.warm_start
    return (f"begins with {len(warm)} settings of search.warm_start={asked}",) if warm else ()


def _cost_notes(job: Job) -> tuple[str, ...]:
    """Where a single trial takes minutes and nothing bounds the search."""
    n_rows, n_classes = round(job.split.n_train / job.split.growth), len(job.prepared.problem.classes)
    dearest = max(family.seconds(n_rows, job.prepared.n_dense, n_classes) for family in job.families.values())
    minutes = round(job.split.n_folds * dearest / 60)
    if job.decided.composed.config.search.seconds is not None or minutes < LONG_MINUTES:
        return ()
    return (
        f"a trial takes some {minutes} min of a core, by a rule of thumb; search.seconds=600 would bound the whole and "
        "begin with cheaper evidence",
    )


def _loss_notes(job: Job) -> tuple[str, ...]:
    if job.decided.loss.name == "rmse" and "lightgbm" in job.plan.families:
        return ("loss=rmse: lightgbm trains it exactly as mse, whose gradient points the same way",)
    return ()


def say_what_won(job: Job, tuned: Tuned) -> None:
    proposal, counts = tuned.winner.proposal, tuned.counts
    searched = job.plan.space.families[proposal.family].free
    chosen = ", ".join(
        f"{key} {screen.short(value)}" for key, value in proposal.hyperparameters.items() if key in searched
    )
    also = f", {counts.reused} reused" * bool(counts.reused) + f", {counts.failed} failed" * bool(counts.failed)
    also += f", {counts.stopped_early} ended early" * bool(counts.stopped_early)
    also += f", {counts.over_limits} over the limits" * bool(counts.over_limits)
    screen.say(
        f"best of {counts.finished} trials{also}: trial {proposal.number}, {proposal.family} ({chosen or 'fixed'})",
        "bold",
    )
    n_folds, (first, *_) = job.split.n_folds, [*(one.proposal for one in tuned.judged), proposal]
    rung, is_other = rung_of(tuned.results[first.number].proposal), first.number != proposal.number
    if rung_of(proposal) != Rung():
        judged = job.ladder.in_words(rung, n_folds)
        screen.say(f"it was judged on {judged}: search.seconds did not pay for more", "yellow")
    elif rung_of(tuned.results[proposal.number].proposal) == Rung() and is_other:
        for one in tuned.judged if job.plan.ensemble is None else ():
            is_cut, named = not one.is_complete(n_folds), f"trial {one.proposal.number} of {one.proposal.family}"
            came_to = "but search.seconds did not pay for the others" if is_cut else "and is not on all"
            screen.say(f"{named} looked better on {job.ladder.in_words(rung, n_folds)}, {came_to}", "yellow" * is_cut)
    elif rung != Rung():
        whole = job.ladder.in_words(Rung(None, len(tuned.winner.folds)), n_folds)
        looked = f"trial {first.number} of {first.family}" if is_other else "it"
        judged = f"{looked} looked best on {job.ladder.in_words(rung, n_folds)}" + (
            f"; on all rows this one is better, judged on {whole}" if is_other else f" and was then judged on {whole}"
        )
        is_cut = len(tuned.winner.folds) < n_folds
        screen.say(judged + ": the others failed, or search.seconds did not pay for them" * is_cut, "yellow" * is_cut)
    others = [one.proposal for one in tuned.judged if one.proposal != proposal and one.is_complete(n_folds)]
    if others and job.plan.ensemble is not None:
        named = ", ".join(f"trial {one.number} of {one.family}" for one in others)
        screen.say(f"for the ensemble judged on all rows and folds too: {named}")
    if tuned.completed:
        named = ", ".join(f"trial {one.proposal.number} ({len(one.folds)})" for one in tuned.completed)
        screen.say(f"for the ensemble judged on more folds too, of {n_folds}: {named}")


def say_what_is_simplest(job: Job, experiment: Experiment, tuned: Tuned) -> None:
    """What select=simplest took in the place of the best trial, and what it gives up for that."""
    complete = job.ladder.top(tuned.results, job.split.n_folds)
    best, number = best_of(complete, experiment.metric), tuned.winner.proposal.number
    taken = next((one for one in complete if one.proposal.number == number), None)
    if not experiment.takes_simplest or taken is None or best is None:
        return
    if taken is best:
        screen.say("select=simplest: no cheaper trial is as good as the best one")
        return
    ours, theirs = (comes_to(experiment, one) for one in (taken, best))
    gap = difference_to(best, taken, rho(experiment, taken))
    assert gap is not None
    screen.say(
        f"select=simplest: trial {number} in the place of trial {best.proposal.number}, which scored best: "
        f"{ours.milliseconds:.2g} instead of {theirs.milliseconds:.2g} ms per 1,000 rows, as counted, and "
        f"{ours.megabytes:.2g} instead of {theirs.megabytes:.2g} MB; a difference of {gap.value:.2g} in "
        f"{experiment.metric} ({gap.low:.2g} to {gap.high:.2g}) that can't be told from none"
    )


def say_what_more_would_buy(job: Job, tuned: Tuned, searched: tuple[float, float]) -> None:
    """From the curve of the best score so far; silent where nothing can be told, where all trials were reused, and of
    a search that has no others."""
    n_told, metric = len(tuned.results), job.decided.metric
    gain = likely_gain(job.ladder.top(tuned.results, job.split.n_folds), n_told, metric)
    if gain is None or tuned.counts.reused == n_told or getattr(job.plan.search, "visits_all", False):
        return
    minutes = max(1, round((searched[1] - searched[0]) / 60 * n_told / (n_told - tuned.counts.reused)))
    what = f"about {screen.short(gain)} of {metric}" if gain > 0 else "next to nothing"
    screen.say(f"an estimate: as many trials again (some {minutes} min) would buy {what}, as the second half did here")


def say_where_it_fails(examined: Examined) -> None:
    screen.say(
        f"where it fails: losses/{WORST} of the MLflow run, whose {examined.n_worst:,} of {examined.n_rows:,} rows "
        f"have {examined.share:.0%} of the loss out of fold"
    )


def say_what_was_fitted(trained: Trained) -> None:
    said = "the model: "
    if trained.changed and trained.rounds is not None:
        values = ", ".join(f"{key} {screen.short(value)}" for key, value in trained.changed.items())
        said = f"final fit on all training rows: {values}, {trained.rounds:,} rounds; "
    if (comes_to := trained.footprint) is not None:
        megabytes, milliseconds = (
            f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in (comes_to.megabytes, comes_to.milliseconds)
        )
        said += f"{megabytes} MB, {milliseconds} ms per 1,000 rows on one core"
    screen.say(said)
    if trained.note:
        screen.say(trained.note, "yellow")


def say_what_is_too_large(experiment: Experiment, winner: Winner, excess: dict[str, float]) -> None:
    screen.say(
        f"the final fit of trial {winner.proposal.number} comes to {experiment.limits.described(excess)}, more than "
        "its folds promised; the next best trial takes its place",
        "yellow",
    )


def say_what_is_too_slow(experiment: Experiment, trained: Trained) -> None:
    """Which is no reason to take another trial: a clock must not decide who wins."""
    excess = experiment.limits.excess(trained.footprint)
    if excess.get("milliseconds", 0.0) > 0:
        screen.say(
            f"the final model is slower here than its trial was counted to be, {experiment.limits.described(excess)}; "
            "a lower search.milliseconds finds a faster one",
            "yellow",
        )
