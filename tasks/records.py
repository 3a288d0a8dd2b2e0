"""The values that travel between stages: small, frozen, and never a frame; tables travel as paths and digests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from statistics import fmean, median
from typing import Any, Literal

from tasks.ruling import Ruling
from tasks.selected import Corrected, Nested
from tasks.verdict import Number, Verdict

ProblemKind = Literal["binary", "multiclass", "regression", "generation"]


@dataclass(frozen=True)
class Roles:
    """What the user says of the columns (`source.target=...`, `source.drop=[...]`); an empty role is found out.
    prompt, response: of pairs that a text generator learns from; see `tasks.pairs`."""

    target: str | None
    drop: tuple[str, ...]
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    text: tuple[str, ...]
    key: tuple[str, ...]
    group: str | None
    time: str | None
    weight: str | None
    positive: str | None
    drop_missing_target: bool
    prompt: str | None = None
    response: str | None = None


@dataclass(frozen=True)
class Problem:
    """What is predicted. `classes` are the target's values as the user has them, in the order of their codes
    0..k-1; for a binary problem code 1 is the positive class. Empty for a regression, and for a generation, whose
    target is text."""

    kind: ProblemKind
    target: str
    classes: tuple[Any, ...]

    @property
    def is_classification(self) -> bool:
        return self.kind in ("binary", "multiclass")

    @property
    def is_generation(self) -> bool:
        """Whether text is written: a row's target is the number of its response's bytes, its prediction (2,) the loss
        over the response's tokens and their number."""
        return self.kind == "generation"

    @property
    def outputs(self) -> list[str]:
        """The names under which a prediction's columns are kept; of one column `prediction`."""
        if self.is_generation:
            return ["loss", "tokens"]
        return [f"probability_{label}" for label in self.classes] or ["prediction"]


@dataclass(frozen=True)
class Prepared:
    """A checked and typed table on disk: `folder` holds `features.parquet`, `roles.parquet` (target, hash, weight,
    group, time), `schema.json`, `problem.json`, `quality.json` and a few raw rows in `example.json`; where rows were
    left out `places.parquet` (where the others stand in the source), and where a key was given `keys.parquet`. slices:
    a Parquet file of the slices of these rows, or of those of a published test split; '' where none are named. text:
    the features that are prose. n_dense: how many dense features cost about as much to learn from, see
    `tasks.quality.density`."""

    folder: str
    digest: str
    name: str
    problem: Problem
    n_rows: int
    n_features: int
    n_dense: int
    has_group: bool
    has_time: bool
    notes: tuple[str, ...]
    slices: str = ""
    text: tuple[str, ...] = ()


@dataclass(frozen=True)
class Split:
    """Training rows with their folds, and the sealed holdout. `growth` is how many times as many rows a final fit sees
    as a fold's: K/(K-1). `folder` holds `train_features.parquet`, `train_roles.parquet`, `folds.npz`,
    `is_held.npy` (a bit for each row of the prepared table, unless the test split is a published one),
    `holdout_features.parquet` and, opened by evaluate alone, `holdout_labels.parquet`."""

    folder: str
    digest: str
    n_train: int
    n_holdout: int
    n_folds: int
    growth: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Proposal:
    """Trial `number` of a study: a family of models and its hyperparameters, judged on all rows and folds (None) or,
    for cheaper evidence, on a sample of about `n_rows` and on the first `n_folds`."""

    number: int
    family: str
    hyperparameters: dict[str, Any]
    n_rows: int | None = None
    n_folds: int | None = None


@dataclass(frozen=True)
class Footprint:
    """What a model comes to: megabytes (a million bytes each) as it is saved, and milliseconds that one core takes to
    predict 1,000 rows."""

    megabytes: float
    milliseconds: float


@dataclass(frozen=True)
class FoldScore:
    """One fold of one trial: the metric in its own unit, the cost, the best round (None where there are none);
    seconds: of folds that were trained as one its share; footprint: of the final model, as this fold has it, None where
    nobody asks for it; alone: the seconds that it takes by itself, where that is more than its share."""

    fold: int
    value: float
    cost: float
    rounds: int | None
    seconds: float
    footprint: Footprint | None = None
    alone: float | None = None

    @property
    def seconds_alone(self) -> float:
        return self.seconds if self.alone is None else self.alone

    @classmethod
    def read(cls, kept: dict[str, Any]) -> FoldScore:
        """The inverse of `dataclasses.asdict`."""
        footprint = kept.get("footprint")
        return cls(**{**kept, "footprint": None if footprint is None else Footprint(**footprint)})


@dataclass(frozen=True)
class TrialResult:
    """What a worker returns: the folds that it finished, or why it could not.

    estimate: of the mean over all folds, for a trial that racing ended before its last one. was_cut: by a deadline.
    seconds: of computing, over all folds and what was begun of one. excess: the share by which its final model would
    exceed each limit, at most 0 where it holds it; empty without limits.
    """

    proposal: Proposal
    folds: tuple[FoldScore, ...]
    error: str | None = None
    was_cut: bool = False
    estimate: float | None = None
    seconds: float = 0.0
    excess: dict[str, float] = field(default_factory=dict)

    @property
    def is_feasible(self) -> bool:
        """Whether its final model would hold every limit; no other may win."""
        return all(share <= 0 for share in self.excess.values())

    def is_complete(self, n_folds: int) -> bool:
        """Whether it has a score on every fold; only such a trial can win."""
        return self.error is None and len(self.folds) == n_folds

    @property
    def score(self) -> float:
        """The mean over the folds, or the estimate of it; NaN for a failed trial."""
        if self.error is not None:
            return float("nan")
        return fmean(fold.value for fold in self.folds) if self.estimate is None else self.estimate

    @property
    def values(self) -> dict[int, float]:
        """The score of each fold that it was judged on."""
        return {fold.fold: fold.value for fold in self.folds}

    def rounds(self, growth: float) -> int | None:
        """Rounds of a fit on all training rows: the folds' median best round, times as many rows as it sees more; None
        for a family that has none."""
        rounds = [fold.rounds for fold in self.folds if fold.rounds is not None]
        return max(1, round(median(rounds) * growth)) if rounds else None


@dataclass(frozen=True)
class Winner:
    """The best complete trial: `mean` and `standard_error` (NaN of one) of the metric over its folds; `rounds`
    for a fit on all training rows, None where the family has none."""

    proposal: Proposal
    mean: float
    standard_error: float
    folds: tuple[FoldScore, ...]
    rounds: int | None


@dataclass(frozen=True)
class Affordable:
    """A final fit for which there is time: so many rounds, of so many models."""

    rounds: int
    models: int = 1


@dataclass(frozen=True)
class Trained:
    """A fitted model on disk: `folder` is what is logged, registered and served; `changed`: hyperparameters of the
    final fit that are not the search's; `note`: what else is to be said of it; `footprint`: as it was measured;
    `n_frozen`: of the parameters; `is_base`: whether the base took its place, unchanged; `cut_at`: the round at
    which search.seconds ended the fit, whatever came of it; `course`: what was planned in the place of the winner's
    rounds and of all of a family's models, for which there was no time; `hurried`: after which rounds it was so, to how
    many that were left; `seconds`: that the fit took, or an ensemble's
    choice of its members and fitting what was missing of these."""

    folder: str
    family: str
    n_parameters: int
    rounds: int | None
    changed: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    footprint: Footprint | None = None
    n_frozen: int = 0
    is_base: bool = False
    cut_at: int | None = None
    course: Affordable | None = None
    hurried: tuple[tuple[int, int], ...] = ()
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class Member:
    """A trial in an ensemble, and its weight; the weights of all members sum to one."""

    proposal: Proposal
    weight: float


@dataclass(frozen=True)
class Combined:
    """An ensemble of trials, and whether it takes the place of the best one alone.

    mean, standard_error: the metric over the folds, each scored with weights that were chosen on the other folds;
    alone: the best trial's mean, less what choosing it made too good: the same of trials chosen on the other folds.
    chosen_at: the metric on the very rows that the weights were chosen by, which is too good. folds: those that all
    candidates were judged on; where they are not all, the numbers are estimated from them, and of one alone each fifth
    of its rows is scored by weights of the others.
    milliseconds: what a prediction of 1,000 rows took where that was limited. Without members (none is within the
    limits) the numbers are NaN. trained: the model, where it is used. is_cut: the time did not suffice for its models.
    whole: the trials that are in it by a model of all rows, in the place of those of the folds, by their numbers.
    left_out: those that it could not be of, since there was no time for their models.
    """

    members: tuple[Member, ...]
    mean: float
    standard_error: float
    chosen_at: float
    folds: tuple[int, ...]
    n_candidates: int
    milliseconds: float | None
    trained: Trained | None
    is_cut: bool = False
    alone: float = math.nan
    whole: tuple[int, ...] = ()
    left_out: tuple[int, ...] = ()


@dataclass(frozen=True)
class HoldoutScore:
    """A metric on the holdout: its value, its 95 % bootstrap interval, and what a constant predictor and a linear model
    get. NaN for what can't be had: a metric that isn't defined there, an interval of few rows, a linear model of none
    but text."""

    value: float
    low: float
    high: float
    baseline: float
    linear: float = math.nan

    @property
    def interval(self) -> str:
        """In words."""
        return "none" if math.isnan(self.low) else f"{self.low:.5g} to {self.high:.5g}"


@dataclass(frozen=True)
class Evaluation:
    """The judgement on the holdout; `predictions` is a Parquet file for the stages after it.

    looks: how many models were scored against this very holdout so far, this one among them; looked: the MLflow runs
    that did, the earliest first. corrected: the search's score less the luck of having been selected. nested: that of
    nested cross-validation, where it was asked for. unweighted: the selected metric's score where rows have weights, as
    if they had none; what later rows, which come without, are held against.
    """

    predictions: str
    scores: dict[str, HoldoutScore]
    looks: int = 1
    looked: tuple[str, ...] = ()
    corrected: Corrected | None = None
    nested: Nested | None = None
    unweighted: HoldoutScore | None = None


@dataclass(frozen=True)
class Concluded:
    """What follows from predictions out of fold: `trained` is the model with its calibration, decision and residuals.

    curve: the calibration in words, '' where there is none. before, after: the log-loss out of fold, without and with a
    calibration that was fitted on the other folds; NaN where none was asked for. threshold: that was given or tuned.
    note: why what was asked for was not done.
    """

    trained: Trained
    curve: str = ""
    before: float = math.nan
    after: float = math.nan
    threshold: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Examined:
    """The losses of rows that were predicted out of fold: `folder` holds `out_of_fold.parquet` and `worst.csv`, both
    from the worst row on; `share` is what the `n_worst` rows of the latter have of the sum of all `n_rows` losses."""

    folder: str
    n_rows: int
    n_worst: int
    share: float


@dataclass(frozen=True)
class Parity:
    """How far an export is from the model, on `n_rows` of the holdout's `n_holdout` rows and on `n_hard` rows that are
    hard to get right, the first `n_single` of all alone too.

    largest, of_999: the largest difference of a probability, or of a number in standard deviations of the model's own
    predictions, and what 99.9 % of the rows come within. flips: rows with another label; ties: those that were a tie
    and don't count. worst: where the largest difference is. seconds: that writing took.
    """

    name: str
    n_rows: int
    n_holdout: int
    n_hard: int
    n_single: int
    largest: float
    of_999: float
    flips: int
    ties: int
    worst: str
    most_difference: float
    most_flips: float
    is_within: bool
    megabytes: float
    seconds: float
    rows_per_second: float
    model_rows_per_second: float


@dataclass(frozen=True)
class Generated:
    """table: a Parquet file with the columns prompt, reference, after, exact_match and token_f1, where there is a base
    before, and a column `slice COLUMN` for each that slices are told by. scores: `exact_match` and `token_f1`; before:
    the same of the base, empty without one. slices: by `COLUMN=VALUE` the number of `rows` and the model's scores."""

    table: str
    n_rows: int
    scores: Mapping[str, Number]
    before: Mapping[str, Number]
    slices: Mapping[str, Mapping[str, Number]] = field(default_factory=dict)


@dataclass(frozen=True)
class Exported:
    """A model in one format: `folder` holds it with a schema and an example that runs it; of a format that writes it
    twice (int8) a parity for each."""

    format: str
    folder: str
    parity: tuple[Parity, ...]


@dataclass(frozen=True)
class Registered:
    """Where the model is: its MLflow URI, its registered name and version."""

    model_uri: str
    model_name: str
    model_version: int


@dataclass(frozen=True)
class TrialCounts:
    """Trials of one run. `finished` counts the reused ones too; `stopped_early` were dropped before their last fold;
    the models of those `over_limits` are too large or too slow."""

    requested: int
    finished: int
    failed: int
    stopped_early: int
    reused: int
    over_limits: int = 0


@dataclass(frozen=True)
class Seconds:
    """Wall time: until the first trial, of the search, of the final fit (or of combining an ensemble), of everything.
    `search.seconds` is the most that search and fit may take together."""

    start_up: float
    search: float
    fit: float
    total: float


@dataclass(frozen=True)
class Result:
    """What a run gives, the same in Python and, as one JSON object, with `output=json`. The keys are public.

    split: the digest of the folds and the holdout. study: the folder of the search's trials. looks, corrected, nested:
    as in `Evaluation`. report: the HTML file of the run; '' where it could not be made.
    exports: also under `export/` of the run's artifacts.
    """

    run_id: str
    flow_run_id: str
    problem: ProblemKind
    metric: str
    cv: dict[str, float]
    holdout: dict[str, HoldoutScore]
    looks: int
    corrected: Corrected | None
    nested: Nested | None
    best: dict[str, Any]
    trials: TrialCounts
    split: str
    study: str
    ensemble: dict[str, Any] | None
    model_uri: str
    model_name: str
    model_version: int
    checks: Verdict
    promotion: Ruling
    mlflow_url: str
    prefect_url: str
    seconds: Seconds
    report: str = ""
    exports: tuple[Exported, ...] = ()


def jsonable(value: Any) -> Any:
    """A value as JSON can hold it, which knows no NaN and no times: a number that isn't defined is null."""
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value
