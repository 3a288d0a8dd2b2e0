"""What settings cost: how cheap each trial's final model will be, counted from a fold's model and never timed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from tasks.metric import METRICS
from tasks.model import Validated, growth_of_rounds, validated
from tasks.records import Footprint, Proposal, TrialResult
from tasks.simplest import simplest
from tasks.store import write_file
from tasks.study import fold_file
from tasks.workspace import Experiment, rho, training_of, units, workspace_of


def simplest_of(experiment: Experiment, complete: Sequence[TrialResult]) -> TrialResult:
    """The cheapest of the trials that can't be told from the best one; all are complete on the same folds."""
    values = np.array([[score.value for score in one.folds] for one in complete])
    costs = np.array(ranks(experiment, complete))
    place = simplest(values, costs, METRICS[experiment.metric].sign, rho(experiment, complete[0]))
    return complete[int(place)]


def ranks(experiment: Experiment, complete: Sequence[TrialResult]) -> list[int]:
    """(n,) 0 for the cheapest: by the time to predict, then by size, both to two digits; of equals the best score, then
    the first trial."""
    sign = METRICS[experiment.metric].sign

    def cost(place: int) -> tuple[float, ...]:
        one = comes_to(experiment, complete[place])
        return (*(float(f"{value:.1e}") for value in (one.milliseconds, one.megabytes)), -sign * complete[place].score)

    order = sorted(range(len(complete)), key=cost)
    return [int(rank) for rank in np.argsort(order)]


def comes_to(experiment: Experiment, result: TrialResult) -> Footprint:
    """What a trial's final model will come to, as the first of its folds has it. Where that was not counted when the
    fold was computed, the fold is computed once more, and the number kept beside it."""
    proposal, fold = result.proposal, experiment.order[0]
    counted = next(score.footprint for score in result.folds if score.fold == fold)
    if counted is not None:
        return counted
    file = fold_file(Path(experiment.folder), proposal, fold).parent / "footprint.json"
    if not file.exists():
        content = json.dumps(asdict(_computed(experiment, proposal, fold)))

        def write(beside: Path) -> None:
            beside.write_text(content)

        write_file(file, write)
    return Footprint(**json.loads(file.read_text()))


def of_fold(experiment: Experiment, proposal: Proposal, fold: int, done: Validated) -> Footprint:
    """What the final model will come to, as this fold has it."""
    training, family = training_of(experiment), experiment.families[proposal.family]
    more_rows = len(training.y) / len(training.fold(fold, proposal.n_rows)[0])
    longer = done.rounds and round(done.rounds * growth_of_rounds(family, experiment.growth))
    hyperparameters, rounds = family.final(proposal.hyperparameters, longer)
    workspace = workspace_of(experiment, proposal.family)
    return family.footprint(workspace, done.fitted, hyperparameters, rounds, more_rows)


def _computed(experiment: Experiment, proposal: Proposal, fold: int) -> Footprint:
    family, workspace = experiment.families[proposal.family], workspace_of(experiment, proposal.family)
    folds = next(unit for unit in units(experiment, proposal) if fold in unit)
    done = validated(family, workspace, folds, proposal.hyperparameters, experiment.seed, proposal.n_rows)
    return of_fold(experiment, proposal, fold, done[folds.index(fold)])
