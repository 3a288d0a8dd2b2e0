"""`python -m benchmarks.coverage`: whether intervals hold the truth, and what is left of the luck of selection.

Synthetic tables whose truth is known from 20,000 more rows. On each a random search of LightGBM is run bare (without
Prefect and MLflow), its winner is fitted and judged by the holdout, and the search's score is corrected: the project's
own functions throughout. The truth of the search's score is what the winner's models of the folds get on the 20,000
rows, in the mean: what cross-validation estimates, so that neither number is blamed for the final model's having more
rows. Biases are less that of the first trial, which is the same on every table and so was selected by nobody: the luck
of the rows themselves, which all trials share, is larger than what is to be seen. Trees grow to a fixed number; with
`stopping=1` each fold stops at its best round, which nothing corrects.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from benchmarks import arguments, place, report

N_TRAIN, N_HELD, N_TRUTH, N_COLUMNS, N_OF_A_GROUP, N_FOLDS = 200, 100, 20_000, 8, 4, 5
KINDS = ("two classes", "two classes in groups", "a number")
HEADINGS = ("metric", "tables", "holdout interval holds the truth", "least to most of the kinds")
BIASES = (
    "tables", "n", "metric", "best score, bias", "corrected, bias", "share left", "corrected interval holds the truth",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Table `number` of its kind, a random search of `n_trials` on it, and a folder for what is written."""

    folder: Path
    kind: str
    number: int
    n_trials: int
    is_stopping: bool


@dataclass(frozen=True)
class Found:
    """holds: by metric, whether the holdout's interval holds what the final model gets on the further rows.
    uncorrected and corrected: less the truth, and less what that difference is for the first trial; positive where they
    are too good. is_held: whether the corrected interval holds the truth."""

    kind: str
    metric: str
    holds: dict[str, bool]
    uncorrected: float
    corrected: float
    is_held: bool


def main() -> None:
    arguments.check(("tables", "trials", "stopping"))
    n_tables, n_trials = report.argument("tables", 500), report.argument("trials", 30)
    is_stopping = bool(report.argument("stopping", 0))
    with place.temporary() as root, ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        cases = [
            Case(root / str(n), KINDS[n % len(KINDS)], n, n_trials, is_stopping) for n in range(n_tables)
        ]
        found = list(pool.map(judged, cases))
    print(report.table(HEADINGS, list(of_holdout(found))))
    print()
    print(report.table(BIASES, [of_kind(found, kind) for kind in KINDS]))
    print(f"\n{n_trials} trials, {N_TRAIN} training and {N_HELD} held rows. {report.machine(1)}")


def of_holdout(found: Iterable[Found]) -> Iterable[list[str]]:
    by_metric: dict[str, dict[str, list[bool]]] = {}
    for one in found:
        for metric, holds in one.holds.items():
            by_metric.setdefault(metric, {}).setdefault(one.kind, []).append(holds)
    for metric, by_kind in by_metric.items():
        every, shares = [*chain.from_iterable(by_kind.values())], [fmean(one) for one in by_kind.values()]
        yield [metric, str(len(every)), f"{fmean(every):.1%}", f"{min(shares):.1%} to {max(shares):.1%}"]


def of_kind(found: Iterable[Found], kind: str) -> list[str]:
    own = [one for one in found if one.kind == kind]
    before, after = ([getattr(one, name) for one in own] for name in ("uncorrected", "corrected"))
    share = abs(fmean(after)) / abs(fmean(before))
    return [
        kind, str(len(own)), own[0].metric, _with_error(before), _with_error(after), f"{share:.0%}",
        f"{fmean(one.is_held for one in own):.1%}",
    ]  # fmt: skip


def _with_error(values: list[float]) -> str:
    return f"{fmean(values):+.4f} ± {np.std(values, ddof=1) / len(values) ** 0.5:.4f}"


def judged(case: Case) -> Found:
    """One table, from its rows to the numbers that are judged."""
    from flows.winner import winner_of
    from tasks import fold_model, metric, model
    from tasks.correct import correct
    from tasks.evidence import Ladder
    from tasks.workspace import workspace_of

    train, held, more = (drawn(case, part) for part in range(3))
    experiment, results = searched(case, train, held)
    complete = Ladder().top(results, N_FOLDS)
    winner = winner_of(experiment, Ladder(), results)
    corrected = correct.fn(experiment, complete, winner, None, len(results))
    assert corrected is not None
    family, proposal = experiment.families[winner.proposal.family], winner.proposal
    X, y = more.drop(columns=["y", "group"], errors="ignore"), more["y"].to_numpy(np.float64)

    def truth_of(proposal: Any) -> float:
        folders = [fold_model.of_fold(experiment, proposal, fold) for fold in range(N_FOLDS)]
        return fmean(metric.value(experiment.metric, y, model.load(folder).predict(X)) for folder in folders)

    truth, of_all = truth_of(proposal), results[0].score - truth_of(results[0].proposal)
    workspace = workspace_of(experiment, proposal.family)
    fitted = family.fit(workspace, *family.final(proposal.hyperparameters, winner.rounds), 0)
    model.save(fitted, case.folder / "model")
    scores, prediction = evaluated(case, experiment), fitted.predict(X)
    holds = {name: score.low <= metric.value(name, y, prediction) <= score.high for name, score in scores.items()}
    sign = metric.METRICS[experiment.metric].sign
    return Found(
        case.kind, experiment.metric, holds, sign * (winner.mean - truth - of_all),
        sign * (corrected.value - truth - of_all), corrected.low <= truth <= corrected.high,
    )  # fmt: skip


def drawn(case: Case, part: int) -> pd.DataFrame:
    """Rows to train on, held ones, or many more. What is true of a table follows from its number: how much its columns
    tell, from nothing on, how rare a class is, and how alike the rows of a group are."""
    truth, rows = np.random.default_rng(case.number), np.random.default_rng([case.number, part])
    n = (N_TRAIN, N_HELD, N_TRUTH)[part]
    effects = truth.normal(size=N_COLUMNS) * truth.uniform(0, 0.8)
    offset, alike, noise = truth.uniform(-1.5, 0), truth.uniform(0, 1.5), truth.uniform(0.5, 2)
    X = rows.normal(size=(n, N_COLUMNS))
    groups = np.arange(n) // N_OF_A_GROUP
    if case.kind == "two classes in groups":
        X[:, :2] = rows.normal(size=(n, 2))[groups]  # which tell the rows of a group from none of their own
    signal = np.tanh(X) @ effects + np.abs(X[:, 0]) * effects[0]
    frame = pd.DataFrame(X, columns=[f"x{column}" for column in range(N_COLUMNS)])
    if case.kind == "a number":
        return frame.assign(y=20 + signal + noise * rows.standard_t(8, size=n))  # far from 0, where MAPE has no mean
    shared = alike * rows.normal(size=n)[groups] if case.kind == "two classes in groups" else 0.0
    y = (rows.random(n) < expit(signal + offset + shared)).astype(np.float64)
    named = {"group": [f"g{group}" for group in groups]} if case.kind == "two classes in groups" else {}
    return frame.assign(y=y, **named)


def searched(case: Case, train: pd.DataFrame, held: pd.DataFrame) -> tuple[Any, list[Any]]:
    """The experiment on the table, written as `split` writes it, and the results of a random search without racing."""
    from tasks.trial import run_trial
    from tasks.workspace import Experiment

    case.folder.mkdir()
    planned = plan_of(case.folder.parent, is_stopping=case.is_stopping)
    problem, loss, metric = problem_of(case)
    folds = write_split(case, train, held)
    experiment = Experiment(
        digest=str(case.folder), folder=str(case.folder / "study"), split=str(case.folder / "split"),
        problem=problem, families=planned.families, loss=loss, metric=metric, base=None, seed=0,
        n_folds=len(folds), growth=N_FOLDS / (N_FOLDS - 1), n_threads=1, keep_models=False,
    )  # fmt: skip
    told: list[Any] = []
    for number in range(case.n_trials):
        trial = planned.search.ask(planned.space, told, case.number, is_higher_better=metric != "rmse")
        assert trial is not None
        trial.number = number
        told.append(trial)
    results = [run_trial(experiment, planned.space.proposal(trial)) for trial in told]
    assert not any(result.error for result in results), [result.error for result in results]
    return experiment, results


@functools.cache
def plan_of(folder: Path, *, is_stopping: bool) -> Any:
    """What is searched. folder: what is checked to be writable; the current one from now on."""
    from flows.config import compose
    from flows.plan import plan

    os.chdir(folder)
    rounds = ("rounds=200", "check_every=5") if is_stopping else ("rounds=30", "check_every=30")
    overrides = ["search=random", *(f"model.lightgbm.{text}" for text in (*rounds, "final_step=1", "portfolio=[]"))]
    return plan(compose(overrides))


@functools.cache
def linear() -> Any:
    from flows.build import build
    from flows.config import compose

    return build(compose(["model=linear"]).config.model["linear"], "model.linear")


def problem_of(case: Case) -> tuple[Any, Any, str]:
    from tasks.loss.cross_entropy import CrossEntropy
    from tasks.loss.mse import MSE
    from tasks.records import Problem

    if case.kind == "a number":
        return Problem("regression", "y", ()), MSE(), "rmse"
    return Problem("binary", "y", ("no", "yes")), CrossEntropy(), "roc_auc"


def write_split(case: Case, train: pd.DataFrame, held: pd.DataFrame) -> list[Any]:
    from sklearn.model_selection import KFold, StratifiedGroupKFold, StratifiedKFold

    from tasks.folds import draw, write_folds

    made: Callable[..., Any] = {"two classes": StratifiedKFold, "a number": KFold}.get(case.kind, StratifiedGroupKFold)
    y, groups = train["y"].to_numpy(), train["group"].to_numpy() if "group" in train else None
    classes = None if case.kind == "a number" else ("no", "yes")
    folds = draw(made(N_FOLDS, shuffle=True, random_state=0), y, groups, None, classes=classes)
    folder = case.folder / "split"
    folder.mkdir()
    for side, other, part in (("train", "roles", train), ("holdout", "labels", held)):
        roles = [name for name in ("y", "group") if name in part]
        part.drop(columns=roles).to_parquet(folder / f"{side}_features.parquet", index=False)
        hashes = np.arange(len(part), dtype=np.uint64)
        part[roles].rename(columns={"y": "target"}).assign(hash=hashes).to_parquet(
            folder / f"{side}_{other}.parquet", index=False
        )
    write_folds(folder, folds)
    return folds


def evaluated(case: Case, experiment: Any) -> dict[str, Any]:
    """The holdout's scores of the model in the case's folder."""
    from tasks.evaluate import evaluate
    from tasks.records import Split, Trained

    split = Split(experiment.split, "", N_TRAIN, N_HELD, N_FOLDS, experiment.growth, ())
    trained = Trained(str(case.folder / "model"), "lightgbm", 0, None)
    of = experiment.problem, experiment.loss, experiment.metric, case.number
    scores: dict[str, Any] = evaluate.fn(split, trained, *of, lambda holdout, model: ("here",), linear()).scores
    return scores


if __name__ == "__main__":
    main()
