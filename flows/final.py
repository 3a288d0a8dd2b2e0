"""Final: the model that a run gives, of the winner alone or of an ensemble, checked against the limits for real."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from flows import narrate, screen
from flows.budget import Budget
from flows.decide import Job
from flows.foresee import Foresight
from flows.tune import Tuned
from flows.winner import refused, winner_of, with_judged
from tasks.combine import combine
from tasks.finetune import finetune
from tasks.footprint import measured
from tasks.model import FitsSeveral, Shortens, rounds_are_epochs
from tasks.records import Affordable, Combined, Member, Trained, TrialResult
from tasks.workspace import Experiment, training_of


@dataclass(frozen=True)
class Final:
    """The model; the search with the trial that it is of, where that is one trial; and the ensemble that was asked for,
    whether it was used or not."""

    trained: Trained
    tuned: Tuned
    combined: Combined | None

    @property
    def members(self) -> tuple[Member, ...]:
        """The trials that the model is of."""
        is_used = self.combined is not None and self.combined.trained is not None
        return self.combined.members if self.combined and is_used else (Member(self.tuned.winner.proposal, 1.0),)


def final(job: Job, experiment: Experiment, tuned: Tuned, budget: Budget) -> Final:
    """
    Raises:
        Refusal: where no trial's final fit holds search.megabytes.
    """
    combined = _combined(job, experiment, tuned, budget)
    if combined is not None and combined.trained is not None:
        trained = _measured(experiment, combined.trained)
    else:
        trained, tuned = _fitted(job, experiment, tuned, budget)
    narrate.say_what_was_fitted(trained)
    narrate.say_what_is_too_slow(experiment, trained)
    return Final(trained, tuned, combined)


def _combined(job: Job, experiment: Experiment, tuned: Tuned, budget: Budget) -> Combined | None:
    """The ensemble that was asked for, or None. Its models are fitted in the place of the winner's final fit, and not
    begun where there is no time for all of them."""
    ensemble = job.plan.ensemble
    if ensemble is None:
        return None
    results = [*tuned.results, *tuned.judged, *tuned.completed]
    again = budget.whole, budget.left_out
    combined = combine(
        experiment, job.prepared, ensemble, results, tuned.winner, job.plan.n_workers, budget.end, *again
    )
    if budget.is_without_ensemble:
        combined = replace(combined, trained=None, milliseconds=None, is_cut=True, whole=())
    screen.say_ensemble(combined, tuned.winner, experiment.metric)
    return combined


def _fitted(job: Job, experiment: Experiment, tuned: Tuned, budget: Budget) -> tuple[Trained, Tuned]:
    """The winner's final fit; of one that takes more megabytes than its folds promised the next best takes the place.
    Time never decides: the same seed has the same winner on a slow machine, and what is too slow is told."""
    ahead = Foresight(experiment, job.ladder, budget, job.plan.ensemble, job.plan.n_workers)
    while True:
        course, share = _course(experiment, tuned, budget)
        until = budget.until(share * tuned.final_seconds)
        again = budget.final_rounds, budget.hurried
        trained = finetune(experiment, job.prepared, tuned.winner, budget.n_threads, until, course, *again)
        trained = _measured(experiment, trained)
        assert trained.footprint is not None
        excess = experiment.limits.excess(trained.footprint)
        if excess.get("megabytes", 0.0) <= 0:
            return trained, tuned
        narrate.say_what_is_too_large(experiment, tuned.winner, excess)
        results, judged, completed = (
            refused(experiment, some, tuned.winner, trained.footprint)
            for some in (tuned.results, tuned.judged, tuned.completed)
        )
        winner = with_judged(experiment, winner_of(experiment, job.ladder, results), [*completed, *judged])
        final_seconds = ahead.final_seconds(TrialResult(winner.proposal, winner.folds))
        tuned = replace(
            tuned, results=results, winner=winner, judged=judged, completed=completed, final_seconds=final_seconds
        )


def _course(experiment: Experiment, tuned: Tuned, budget: Budget) -> tuple[Affordable | None, float]:
    """What there is time for, of a family that can do with fewer rounds or models (None: all), and what share of the
    time of all of it this takes: with larger steps as many rounds at least as make them as large as in the search, and
    of several models fewer before fewer rounds."""
    proposal = tuned.winner.proposal
    family = experiment.families[proposal.family]
    hyperparameters, planned = family.final(proposal.hyperparameters, tuned.winner.rounds)
    least = 0.0 if rounds_are_epochs(family) else family.least_share if isinstance(family, Shortens) else 1.0
    share = max(least, budget.share(tuned.final_seconds))
    if budget.course is not None or planned is None or share == 1:
        return budget.course, 1.0
    n_models = family.n_models(hyperparameters) if isinstance(family, FitsSeveral) else 1
    turns = share * budget.turns(n_models)
    if turns >= 1:
        return Affordable(planned, int(turns) * budget.n_threads), int(turns) / budget.turns(n_models)
    return Affordable(max(1, round(turns * planned)), min(n_models, budget.n_threads)), share


def _measured(experiment: Experiment, trained: Trained) -> Trained:
    return replace(trained, footprint=measured(Path(trained.folder), training_of(experiment)))
