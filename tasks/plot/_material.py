"""What the pictures of a run are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from optuna.trial import FrozenTrial

from tasks.records import Problem, Trained, TrialResult, Winner
from tasks.search import FAMILY
from tasks.study import Study
from tasks.verdict import Finding, Verdict


@dataclass(frozen=True)
class Material:
    """One finished run.

    split: the folder of the training rows, the folds and the holdout's features. results: in the order of their
    trials, of which the study may know more. metric and loss: the names of what was selected and trained on.
    predictions: the Parquet file of the holdout's targets and predictions. verdict: of the checks.
    out_of_fold: the Parquet file of the training rows' targets and predictions out of fold, or None.
    """

    split: Path
    problem: Problem
    study: Study
    results: tuple[TrialResult, ...]
    winner: Winner
    metric: str
    loss: str
    trained: Trained
    predictions: Path
    seed: int
    verdict: Verdict | None = None
    out_of_fold: Path | None = None

    def finding(self, check: str) -> Finding | None:
        """What a check found; None where it did not run."""
        return next((one for one in self.verdict.findings if one.check == check), None) if self.verdict else None

    def finished(self, family: str | None = None) -> list[tuple[FrozenTrial, TrialResult]]:
        """The trials of a family, or of all, that did not fail."""
        pairs = zip(self.study.trials(), self.results, strict=False)
        return [
            (trial, result)
            for trial, result in pairs
            if result.error is None and family in (None, result.proposal.family)
        ]

    @property
    def families(self) -> list[str]:
        """The families that have a finished trial, by name."""
        return sorted({result.proposal.family for _, result in self.finished()})

    def searched(self, family: str) -> dict[str, str]:
        """Each searched hyperparameter of a family that took more than one value, by its name in the study."""
        trials = [trial for trial, _ in self.finished(family)]
        names = dict.fromkeys(name for trial in trials for name in trial.params if name != FAMILY)
        several = any(FAMILY in trial.params for trial in trials)
        own = {name: name.removeprefix(f"{family}.") for name in names if not several or name.startswith(f"{family}.")}
        return {
            name: own[name]
            for name in own
            if all(name in trial.params for trial in trials) and len({str(trial.params[name]) for trial in trials}) > 1
        }
