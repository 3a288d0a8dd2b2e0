"""Compare: every choice of a key on the same folds, seed and budget; one table, one picture, one run that holds all."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from flows import comparable, compared, screen, server
from flows.base import base_of, naming, takes, with_own_family
from flows.config import Composed
from flows.decide import Decided, decide, narrowed
from flows.multirun import Outcome, for_each, planned, run_each
from flows.overrides import varied
from flows.parent import holding, log_comparison
from flows.pipeline import with_frame
from flows.plan import Plan
from flows.report import told
from flows.searching import DATA
from tasks import tracking
from tasks.comparison import Comparison, Standing, best_among, difference_to, of_metric
from tasks.course import of_fit, of_search, shown_by
from tasks.evidence import proposal_of
from tasks.folds import read_folds
from tasks.metric import METRICS
from tasks.prepare import prepare
from tasks.records import Prepared, Result, Split, TrialResult
from tasks.refusal import Refusal
from tasks.report import FOLDER, write
from tasks.search.grid import Grid
from tasks.search.none import Fixed
from tasks.split import split
from tasks.store import locked
from tasks.study import FoldRecord, Study, digest_of, fold_file, loaded, read_fold
from tasks.tracking import Tracker

if TYPE_CHECKING:
    import pandas as pd

    from tasks.plot import Compared

@dataclass(frozen=True)
class Ground:
    """What all choices stand on: what the data decided for each, and the folds with their validation rows per training
    row, `rho`, and training rows, `n_rows`, in the mean."""

    decided: dict[str, Decided]
    prepared: Prepared
    split: Split
    rho: float
    n_rows: int

    @property
    def first(self) -> Decided:
        return next(iter(self.decided.values()))


@dataclass(frozen=True)
class Finished:
    """A choice whose run gave a result: its trials in their order, and the one that won."""

    name: str
    result: Result
    trials: list[TrialResult]
    winner: TrialResult


def compare(overrides: Sequence[str], *, frame: pd.DataFrame | None = None, begun: float | None = None) -> Comparison:
    """Runs every choice of the keys that have several values (of two keys: every combination) and compares them.

    overrides: what one would type after `finefold compare`: `["search=random,genetic", "search.trials=20"]`. frame: a
    table to use instead of a source. begun: when the command was given, Unix time in seconds; by default now.

    A choice that fails is a line of the result, and the others go on. Interrupted, the same call reuses every fold.

    Raises:
        Refusal: for whatever the user can mend, all faults of all choices at once, before any of them runs; where the
            choices don't share data, folds, metric and budget.
    """
    begun = time.time() if begun is None else begun
    overrides = with_own_family(with_frame(overrides, frame))
    combinations = comparable.choices(overrides)
    plans = planned(combinations)
    comparable.check(overrides, {name: composed for name, (composed, _) in plans.items()})
    with server.start() as running:  # it comes up while the data is read
        ground = _ground(plans)
        _say(ground, plans, combinations)
        digest = digest_of({"data": ground.prepared.digest, "split": ground.split.digest, "choices": combinations})
        folder = DATA / "comparisons" / digest
        plan = next(iter(plans.values()))[1]
        title = f"{ground.prepared.name}: {' '.join(varied(overrides))}"
        with (
            locked(folder, f"another process runs this very comparison ({folder}); wait for it."),
            holding(plan.tracking_uri, ground.first, ground.prepared, "comparison", digest, title, begun) as tracker,
        ):
            tags = {tracking.PARENT_TAG: tracker.run_id}
            outcomes = list(run_each(running, combinations, begun, tags))
            finished, errors = _sorted(outcomes, plans, ground)
            made = _judged(finished, errors, combinations, ground, folder, tracker)
            if finished:
                _draw(Path(made.plot), finished, ground)
            page = compared.page(made, title, overrides)
            made = replace(made, report=told(tracker, lambda: write(tracker, page, folder / FOLDER)))
            log_comparison(tracker, made, overrides)
    return made


def _ground(plans: Mapping[str, tuple[Composed, Plan]]) -> Ground:
    composed, plan = next(iter(plans.values()))
    base = next(iter(for_each(plans, lambda one: base_of(*one)).values()))
    config, new = composed.config, takes(*(one for _, one in plans.values()))
    given = plan.source, plan.roles, config.problem, plan.test, config.holdout.seed, base
    with naming(config.base):
        prepared = prepare.fn(*given, takes=new, reads_text=plan.reads_text)
    decided = for_each(plans, lambda one: decide(one[0], prepared))
    selected = {name: one.metric for name, one in decided.items()}
    if len(set(selected.values())) > 1:
        told = ", ".join(f"{name} by {metric}" for name, metric in selected.items())
        raise Refusal(f"the choices are selected by different metrics ({told}): name one that all share, metric=NAME.")
    first = next(iter(decided.values()))
    divided = split.fn(prepared, first.splitter, first.composed.choices["folds"], config.holdout.fraction)
    folds = read_folds(Path(divided.folder))
    sizes = [(len(train), len(valid)) for train, valid in folds]
    rho = fmean(n_valid / n_train for n_train, n_valid in sizes)
    n_rows = round(fmean(n_train for n_train, _ in sizes))
    return Ground(decided, prepared, divided, rho, n_rows)


def _say(
    ground: Ground, plans: Mapping[str, tuple[Composed, Plan]], combinations: Mapping[str, Sequence[str]]
) -> None:
    seconds = ground.first.composed.config.search.seconds
    n_folds = ground.split.n_folds
    trials = {name: plan.n_trials for name, (_, plan) in plans.items()}
    most = max(trials.values())
    budget = _fold_fits(most, n_folds) if seconds is None else f"{seconds:g} s"
    notes = []
    if most > 1 and all("search.racing=null" in texts for texts in combinations.values()):
        notes.append("racing is off, so that all spend the same fold fits; search.racing=2.5 turns it on")
    if all(comparable.NO_PROMOTION in texts for texts in combinations.values()):
        notes.append("no choice becomes the champion; `finefold run` with the best one judges it for that")
    if seconds is None:
        fewer = {name: n for name, n in trials.items() if n < most}
        notes += [f"{name} has fewer to spend: {_fold_fits(n, n_folds)}" for name, n in fewer.items()]
    narrow = {
        name: (composed, narrowed(plan, ground.decided[name].loss, ground.prepared, ground.split, None))
        for name, (composed, plan) in plans.items()
    }
    if most > 1 and (known := known_to_all(narrow)) >= most:
        families = next(iter(plans.values()))[1].families
        notes.append(
            f"every search begins with the same {known} known good settings, so {most} trials tell no searches apart: "
            f"raise search.trials, or leave them out ({' '.join(f'model.{name}.portfolio=[]' for name in families)})"
        )
    screen.say_notes(
        f"{len(plans)} choices on the same {ground.split.n_train:,} rows in the same {n_folds} folds, each with a "
        f"budget of {budget}",
        tuple(notes),
    )


def known_to_all(plans: Mapping[str, tuple[Composed, Plan]]) -> int:
    """How many settings all searches try before any of their own, where it is searches that are compared."""
    samplers = {repr(composed.config.search.sampler) for composed, _ in plans.values()}
    if len(samplers) < 2 or any(isinstance(plan.search, Grid | Fixed) for _, plan in plans.values()):
        return 0
    return min(len(plan.space.firsts()) for _, plan in plans.values())


def _fold_fits(n_trials: int, n_folds: int) -> str:
    return f"{n_trials:,} trial{'s' * (n_trials != 1)}, {n_trials * n_folds:,} fold fits"


def _sorted(
    outcomes: Sequence[Outcome], plans: Mapping[str, tuple[Composed, Plan]], ground: Ground
) -> tuple[list[Finished], dict[str, str]]:
    """The choices that have a result, and why the others have none."""
    finished, errors = [], {}
    for outcome in outcomes:
        if outcome.result is None:
            errors[outcome.name] = outcome.error
        elif outcome.result.split != ground.split.digest:
            errors[outcome.name] = "the data was changed while the comparison ran; start it again"
        else:
            finished.append(_finished(outcome.name, outcome.result, plans[outcome.name][1]))
    return finished, errors


def _finished(name: str, result: Result, plan: Plan) -> Finished:
    told = [trial for trial in loaded(Path(result.study)).get_trials(deepcopy=False) if trial.state.is_finished()]
    trials = [Study.told(trial, proposal_of(plan.space, trial)) for trial in told[: result.trials.requested]]
    (winner,) = (one for one in trials if one.proposal.number == result.best["number"])
    return Finished(name, result, trials, winner)


def _judged(
    finished: Sequence[Finished],
    errors: Mapping[str, str],
    names: Iterable[str],
    ground: Ground,
    folder: Path,
    tracker: Tracker,
) -> Comparison:
    metric = ground.first.metric
    best = best_among({one.name: one.winner for one in finished}, metric)
    known = {one.name: one for one in finished}
    standings = [
        _standing(known[name], None if best is None or name == best else known[best].winner, ground)
        if name in known
        else Standing(name, errors[name])
        for name in names
    ]
    same = tuple(one.choice for one in standings if one.difference is not None and one.difference.holds_zero)
    return Comparison(
        problem=ground.prepared.problem.kind,
        metric=metric,
        split=ground.split.digest,
        n_folds=ground.split.n_folds,
        best=best,
        indistinguishable=same,
        choices=tuple(standings),
        plot=str(folder / "comparison.png") if finished else "",
        run_id=tracker.run_id,
        mlflow_url=tracker.url,
    )


def _standing(one: Finished, best: TrialResult | None, ground: Ground) -> Standing:
    result = one.result
    return Standing(
        choice=one.name,
        cv=of_metric(result.metric, [fold.value for fold in one.winner.folds], ground.rho),
        difference=None if best is None else difference_to(best, one.winner, ground.rho),
        holdout=result.holdout[result.metric],
        hyperparameters=result.best["hyperparameters"],
        trials=result.trials,
        fold_fits=sum(len(trial.folds) for trial in one.trials),
        seconds=sum(trial.seconds for trial in one.trials),
        run_id=result.run_id,
        model_uri=result.model_uri,
        mlflow_url=result.mlflow_url,
    )


def _draw(path: Path, finished: Sequence[Finished], ground: Ground) -> None:
    from tasks.plot import draw_comparison  # matplotlib takes a second to import

    draw_comparison(path, _fits(finished, ground) or _searches(finished, ground))


def _searches(finished: Sequence[Finished], ground: Ground) -> Compared:
    """What each search had reached by the time that so many folds were fitted, or seconds computed."""
    from tasks.plot import Compared

    metric = ground.first.metric
    in_seconds = ground.first.composed.config.search.seconds is not None
    courses = [
        of_search(one.name, one.trials, one.winner.proposal.number, metric, in_seconds=in_seconds) for one in finished
    ]
    budget = "seconds of computing, of all trials so far" if in_seconds else "fold fits, of all trials so far"
    return Compared(courses, metric, METRICS[metric].is_higher_better, "best trial so far", budget)


def _fits(finished: Sequence[Finished], ground: Ground) -> Compared | None:
    """What each fit had reached after so many rounds; None where a choice has several trials, none has rounds, or what
    they can show differs."""
    from tasks.plot import Compared

    if any(len(one.trials) > 1 for one in finished):
        return None
    records = {one.name: _records(one) for one in finished}
    loss, metric = ground.first.loss, ground.first.metric
    shown = shown_by(list(records.values()), is_one_loss=all(one.loss == loss for one in ground.decided.values()))
    if shown is None:
        return None
    courses = [of_fit(name, kept, shown, metric) for name, kept in records.items()]
    budget = f"rounds or epochs of a fold, each over its {ground.n_rows:,} training rows"
    is_higher = shown == "metric" and METRICS[metric].is_higher_better
    score = metric if shown == "metric" else f"validation cost ({loss.name})"
    return Compared(courses, score, is_higher, "best round so far", budget)


def _records(one: Finished) -> list[FoldRecord]:
    files = [fold_file(Path(one.result.study), one.winner.proposal, fold.fold) for fold in one.winner.folds]
    return [record for file in files if (record := read_fold(file)) is not None]
