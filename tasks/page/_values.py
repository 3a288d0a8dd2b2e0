"""What the pages of a run are made from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tasks.metric import METRICS
from tasks.page._blocks import Picture, Section
from tasks.records import (
    Combined,
    Concluded,
    Evaluation,
    Examined,
    Exported,
    Generated,
    HoldoutScore,
    Prepared,
    Registered,
    Split,
    Trained,
    TrialCounts,
    TrialResult,
    Winner,
)
from tasks.ruling import Ruling
from tasks.verdict import Finding, Verdict

MOST_OF_A_VECTOR = 200_000  # bytes
# What a picture shows, for those who don't see it. Of any other picture the name is told.
SHOWN = {
    "confusion_matrix": "Confusion matrix of the holdout: rows by true class, columns by predicted class",
    "feature_importance": "Bars of the features that matter most, by the model's own measure, permutation and SHAP",
    "fold_scheme": "Which rows train and which validate in each fold, with the holdout apart",
    "hyperparameter_importance": "Bars of how much each hyperparameter explains of the differences between trials",
    "learning_curve": "The watched score of the winner round by round, a line for each fold",
    "more_labels": "The score against the number of training rows",
    "parallel_coordinates": "Each trial as a line over its hyperparameters and its score",
    "reliability": "Reliability curve: the share of rows that came true against the probability they were given",
    "residuals": "True against predicted values of the holdout, and residuals against predicted values",
    "search_history": "The score of every trial in the order of the search, with the best so far",
    "slices": "The score and its interval on each part of the holdout",
}


@dataclass(frozen=True)
class Setting:
    """Where and by what a run was made. commands: to run it again. choices: what was chosen in each group. config: the
    resolved configuration, secrets left as references. machine: in words."""

    commands: tuple[str, ...]
    overrides: tuple[str, ...]
    choices: Mapping[str, Any]
    config: Mapping[str, Any]
    seed: int
    versions: Mapping[str, str]
    commit: str | None
    machine: str
    date: str
    seconds: float
    run_id: str
    study: str
    mlflow_url: str
    prefect_url: str


@dataclass(frozen=True)
class Values:
    """One finished run. What later stages found is None where they did not run; sections read them as they are.

    metric, loss: by name. searched: hyperparameters by family. plots: the folder of the pictures. base: origin,
    licence, sha256 and lineage of the model that was gone on from. conclusion: with the log-loss before and after a
    calibration, and a note. generated: of a model that writes. exports: each with its format and its parity. promotion:
    the ruling. more: sections of the command that the run belongs to."""

    setting: Setting
    prepared: Prepared
    split: Split
    metric: str
    loss: str
    results: Sequence[TrialResult]
    winner: Winner
    counts: TrialCounts
    combined: Combined | None
    trained: Trained
    evaluation: Evaluation
    examined: Examined
    verdict: Verdict
    registered: Registered
    plots: Path
    searched: Mapping[str, frozenset[str]] = field(default_factory=dict)
    base: Mapping[str, Any] | None = None
    conclusion: Concluded | None = None
    exports: Sequence[Exported] = ()
    promotion: Ruling | None = None
    generated: Generated | None = None
    more: Sequence[Section] = field(default=())

    @property
    def score(self) -> HoldoutScore:
        """Of the selected metric."""
        return self.evaluation.scores[self.metric]

    @property
    def sign(self) -> int:
        """Of a difference of scores of the selected metric: positive is better."""
        return METRICS[self.metric].sign

    @cached_property
    def quality(self) -> dict[str, Any]:
        """What `prepare` found out about the table; empty where there is no such file."""
        return dict(self._read(Path(self.prepared.folder) / "quality.json") or {})

    @cached_property
    def schema(self) -> list[dict[str, Any]]:
        return list(self._read(Path(self.prepared.folder) / "schema.json") or [])

    def of_model(self, name: str) -> Any:
        """What a JSON file in the model's folder says, such as `decision.json`; None where there is none."""
        return self._read(Path(self.trained.folder) / name)

    def finding(self, check: str) -> Finding | None:
        return next((one for one in self.verdict.findings if one.check == check), None)

    def pictures(self, *names: str) -> list[Picture]:
        """Those of these names that were drawn."""
        return [picture(path) for name in names if (path := self.plots / f"{name}.png").exists()]

    @staticmethod
    def _read(path: Path) -> Any:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def picture(path: Path) -> Picture:
    """A PNG file, or the SVG file of the same picture in the folder `svg` beside it, unless that holds so much that it
    is slow to show."""
    vector = path.parent / "svg" / f"{path.stem}.svg"
    path = vector if vector.exists() and vector.stat().st_size <= MOST_OF_A_VECTOR else path
    return Picture(path, SHOWN.get(path.stem, path.stem.replace("_", " ")))
