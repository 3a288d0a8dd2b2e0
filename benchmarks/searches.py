"""`python -m benchmarks.searches`: the searches on equal budgets of trials, best-so-far curves with bands over seeds.

Trials run bare, one after the other, and are proposed as in a run (trial n sees trials up to n - window), without
Prefect and MLflow; searches run in as many processes as there are cores. Every trial is computed, on small samples of
rows; a setting that several searches try (the known good ones) is computed once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks import place, report

SEARCHES = ("random", "genetic", "bayesian", "grid")
TARGETS = {"telco.csv": "Churn", "housing.csv": "median_house_value"}
EMBEDDED = {"breast_cancer": ("source.name=breast_cancer",), "diabetes": ("source.name=diabetes",)}
FOLDS = 3
WINDOW = 4


@dataclass(frozen=True)
class Case:
    """One search of one seed on one table; `folder` is where the table is prepared and its folds are stored."""

    folder: Path
    overrides: tuple[str, ...]
    search: str
    seed: int
    n_trials: int


def main() -> None:
    n_seeds, n_trials = report.argument("seeds", 10), report.argument("trials", 40)
    shown = [n for n in (5, 10, 20, 40, 80, 160) if n < n_trials] + [n_trials]
    rows: list[list[str]] = []
    curves: dict[str, dict[str, Any]] = {}
    with place.temporary() as root, ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for name, overrides in tables(root).items():
            (root / name).mkdir()
            cases = [
                Case(root / name, overrides, search, seed, n_trials)
                for seed in range(n_seeds)
                for search in SEARCHES
                if seed == 0 or search != "grid"  # which knows no seed
            ]
            done = list(zip(cases, pool.map(best_so_far, cases), strict=True))
            for search in SEARCHES:
                values = np.array([curve for case, curve in done if case.search == search])
                rows.append([name, search, *(_band(values[:, n - 1]) for n in shown)])
                curves.setdefault(name, {})[search] = values
    print(report.table(("table", "search", *(f"after {n} trials" for n in shown)), rows))
    print(f"\nMedian (10th to 90th percentile) over seeds. {report.machine(n_seeds)}")
    if picture := _text("picture"):
        draw(curves, Path(picture))


def tables(root: Path) -> dict[str, tuple[str, ...]]:
    """Overrides of each table: samples of `rows` rows of the known files in `tables=DIR`, or embedded ones."""
    import pandas as pd

    folder = _text("tables")
    if folder is None:
        return EMBEDDED
    found = {}
    for file, target in TARGETS.items():
        frame = pd.read_csv(Path(folder) / file)
        path = root / f"{Path(file).stem}.parquet"
        frame.sample(min(len(frame), report.argument("rows", 1000)), random_state=0).to_parquet(path)
        found[path.stem] = ("source=file", f"source.path={path}", f"source.target={target}")
    return found


def best_so_far(case: Case) -> list[float]:
    """(n_trials,) the best mean over the folds after each trial; a search that ends early keeps its best."""
    import optuna
    from optuna.trial import TrialState, create_trial

    from flows.config import compose
    from flows.decide import settle
    from flows.plan import plan
    from tasks.metric import METRICS, better
    from tasks.search.genetic import fitting_population
    from tasks.search.sampled import as_running
    from tasks.trial import run_trial

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    os.chdir(case.folder)
    own = (_text("overrides") or "").split()
    overrides = [*case.overrides, *own, f"search={case.search}", f"search.trials={case.n_trials}",
                 f"folds.n_splits={FOLDS}"]  # fmt: skip
    planned = plan(compose(overrides))
    search = settle(planned.search, fitting_population(planned.n_trials))
    experiment = _experiment(planned, overrides)
    higher = METRICS[experiment.metric].is_higher_better
    told: list[Any] = []
    best: list[float] = []
    while len(best) < case.n_trials:
        n_seen = max(0, len(told) - WINDOW + 1)
        view = [*told[:n_seen], *map(as_running, told[n_seen:])]
        trial = search.ask(planned.space, view, case.seed, is_higher_better=higher)
        if trial is None:
            return best + best[-1:] * (case.n_trials - len(best))
        trial.number = len(told)
        result = run_trial(experiment, planned.space.proposal(trial))
        assert not result.error, result.error
        value = fmean(fold.value for fold in result.folds)
        told.append(create_trial(state=TrialState.COMPLETE, params=trial.params, distributions=trial.distributions,
                                 system_attrs=trial.system_attrs, value=value))  # fmt: skip
        best.append(value if not best or better(experiment.metric, value, best[-1]) else best[-1])
    return best


def _experiment(planned: Any, overrides: Sequence[str]) -> Any:
    """What a trial needs; the table is prepared and split once per folder."""
    from flows.config import compose
    from flows.decide import decide
    from tasks.prepare import prepare
    from tasks.split import split
    from tasks.workspace import Experiment

    composed = compose(overrides)
    config = composed.config
    prepared = prepare.fn(planned.source, planned.roles, config.problem, None, config.holdout.seed, None)
    decided = decide(composed, prepared)
    divided = split.fn(prepared, decided.splitter, decided.composed.choices["folds"], config.holdout.fraction)
    return Experiment(
        digest=str(Path.cwd()), folder="bare", split=divided.folder, problem=prepared.problem,
        families=planned.families, loss=decided.loss, metric=decided.metric, base=None, seed=config.seed,
        n_folds=divided.n_folds, growth=divided.growth, n_threads=1, keep_models=False,
    )  # fmt: skip


def draw(curves: dict[str, dict[str, Any]], path: Path) -> None:
    """A panel per table: the median curve of each search in its band."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(curves), figsize=(6 * len(curves), 4), squeeze=False)
    for axes, (name, searches) in zip(panels[0], curves.items(), strict=True):
        for search, values in searches.items():
            low, middle, high = np.percentile(values, (10, 50, 90), axis=0)
            trials = np.arange(1, len(middle) + 1)
            axes.plot(trials, middle, label=search)
            axes.fill_between(trials, low, high, alpha=0.2)
        axes.set(title=name, xlabel="trials", ylabel="best so far")
        axes.legend()
    figure.savefig(path, dpi=120, bbox_inches="tight")


def _band(values: Any) -> str:
    low, middle, high = np.percentile(values, (10, 50, 90))
    return f"{middle:.5g} ({low:.5g} to {high:.5g})"


def _text(name: str) -> str | None:
    """`name=value` from the command line."""
    return next((text.partition("=")[2] for text in sys.argv[1:] if text.startswith(f"{name}=")), None)


if __name__ == "__main__":
    main()
