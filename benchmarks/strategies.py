"""`python -m benchmarks.strategies tables=DIR [model=mlp] [table=bike,adult,...] [settings=8] [rows=500] [seeds=3]
[strategies=...] [bases=DIR] [base_settings=4] [KEY=VALUE ...]`: each way to go on from a base, by its score on the
target and on the source.

bike: the hours of 2011, then those of 2012. housing: INLAND, then NEAR BAY; households: the same without prices that
were cut off, and with what each household has. adult: people born in the United States, then all others. The base is
trained on four fifths of the source. Every strategy gets the same `rows` of the target (others for every seed), tries
so many settings (those that any search begins with, then random ones) on five folds, and fits the best once more; it
is judged by all other rows of the target, and by the last fifth of the source. Further overrides go to the
configuration: `strategies=full strategy.hyperparameters.rehearsal=0.5`. Bases are kept in a folder that is given, for
the next call.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, StratifiedKFold

from benchmarks import arguments, report, tables
from flows.build import build
from flows.config import CONF, compose
from tasks import metric as metrics
from tasks import model as models
from tasks.loss import choose
from tasks.model import Fitted, Floats, Model, Training, growth_of_rounds
from tasks.records import Problem
from tasks.refusal import Refusal
from tasks.search import Space, family_space
from tasks.strategy import Strategy

STRATEGIES = [path.stem for path in sorted((CONF / "strategy").glob("*.yaml"))]
N_FOLDS = 5
CUT_OFF = 500_000  # the dearest houses' price stands as 500,001
HEADINGS = ("table", "strategy", "metric", "target", "source", "seconds", "trained", "of parameters", "setting, seed 0")


@dataclass(frozen=True)
class Part:
    """X: typed features; y: class codes or the target."""

    X: pd.DataFrame
    y: Floats

    def of(self, rows: Sequence[int] | np.ndarray) -> Part:
        return Part(self.X.iloc[rows].reset_index(drop=True), self.y[rows])


@dataclass(frozen=True)
class Shift:
    """Two sides of a table. problem and metric of both."""

    name: str
    problem: Problem
    metric: str
    source: Part
    target: Part

    def training(self, part: Part, seed: int) -> Training:
        kind = StratifiedKFold if self.problem.is_classification else KFold
        folds = list(kind(N_FOLDS, shuffle=True, random_state=seed).split(part.X, part.y))
        loss = build(compose([f"loss={choose(self.problem.kind)}"]).config.loss, "loss")
        return Training(part.X, part.y, None, folds, self.problem, loss, self.metric)

    def score(self, part: Part, prediction: Floats) -> float:
        return metrics.value(self.metric, part.y, prediction, None)


@dataclass(frozen=True)
class Found:
    fitted: Fitted
    setting: dict[str, Any]
    seconds: float


def main() -> None:
    known = ("tables", "model", "table", "settings", "rows", "seeds", "strategies", "bases", "base_settings")
    overrides = [text for text in sys.argv[1:] if "=" in text and text.partition("=")[0] not in known]
    arguments.check((*known, *(text.partition("=")[0] for text in overrides)))
    folder, name = Path(arguments.text("tables", "")), arguments.text("model", "mlp")
    chosen = arguments.names("strategies", STRATEGIES)
    rows: list[list[str]] = []
    for which in arguments.names("table", ["bike", "adult"]):
        rows += of_table(shift(which, folder), name, chosen, overrides)
    print(report.table(HEADINGS, rows))
    n_settings, n_rows, n_seeds = (report.argument(*one) for one in (("settings", 8), ("rows", 500), ("seeds", 3)))
    print(f"\nmodel={name}, {n_settings} settings, {n_rows} rows. {report.machine(n_seeds)}")


def of_table(table: Shift, name: str, chosen: Sequence[str], overrides: Sequence[str]) -> list[list[str]]:
    family = family_of(name, [text for text in overrides if not text.startswith("strategy.")])
    knobs = [text for text in overrides if text.startswith("strategy.")]
    parts = np.random.default_rng(0).permutation(len(table.source.y))
    train, holdout = table.source.of(parts[len(parts) // 5 :]), table.source.of(parts[: len(parts) // 5])
    with TemporaryDirectory() as folder:
        base = Path(arguments.text("bases", folder)).resolve() / f"{name}-{table.name}"
        if not base.exists():
            make_base(table, family, train, base)
        strategies = [strategy_of(one, knobs) for one in chosen]
        return [told(row(table, one, family, base, holdout)) for one in strategies if can(one, name, family)]


def told(cells: list[str]) -> list[str]:
    print(" | ".join(cells), file=sys.stderr, flush=True)
    return cells


def row(table: Shift, strategy: Strategy, family: Model, base: Path, holdout: Part) -> list[str]:
    scores: list[tuple[float, float]] = []
    every: list[Found] = []
    for seed in range(report.argument("seeds", 3)):
        drawn = np.random.default_rng(seed).permutation(len(table.target.y))
        n = report.argument("rows", 500)
        own, rest = table.target.of(drawn[:n]), table.target.of(drawn[n:])
        going_on = strategy.family("it", family)
        where = base if strategy.uses_base else None
        found = searched(going_on, table.training(own, seed), where, seed, report.argument("settings", 8))
        of_source = getattr(found.fitted, "predict_source", found.fitted.predict)
        scores.append((table.score(rest, found.fitted.predict(rest.X)), table.score(holdout, of_source(holdout.X))))
        every.append(found)
    first = every[0].fitted
    n_trained = 0 if strategy.name == "as_is" else first.n_parameters - getattr(first, "n_frozen", 0)
    setting = {key: float(f"{v:.2g}") if isinstance(v, float) else v for key, v in every[0].setting.items()}
    return [
        table.name, strategy.name, table.metric, spread([one for one, _ in scores]), spread([one for _, one in scores]),
        f"{fmean(found.seconds for found in every):.1f}", f"{n_trained:,}", f"{first.n_parameters:,}",
        ", ".join(f"{key}={value}" for key, value in setting.items()),
    ]  # fmt: skip


def searched(family: Model, training: Training, base: Path | None, seed: int, n_settings: int) -> Found:
    """The best setting of the five folds, fitted on all rows; seconds: of all of it, on one core."""
    begun, is_higher_better = time.process_time(), metrics.METRICS[training.metric].is_higher_better
    workspace = family.workspace(training, base, 1)
    best: tuple[float, dict[str, Any], int | None] | None = None
    for setting in settings(family, seed, n_settings):
        value, rounds = judged(family, workspace, training, setting, seed)
        if best is None or (value > best[0] if is_higher_better else value < best[0]):
            best = (value, setting, rounds)
    assert best is not None
    growth = growth_of_rounds(family, N_FOLDS / (N_FOLDS - 1))
    hyperparameters, rounds = family.final(best[1], best[2] and round(best[2] * growth))
    fitted = family.fit(workspace, hyperparameters, rounds, seed)
    free = {key: best[1][key] for key, value in family.hyperparameters.items() if value is None}
    return Found(fitted, free, time.process_time() - begun)


def settings(family: Model, seed: int, n: int) -> list[dict[str, Any]]:
    own = family_space("it", family.hyperparameters, family.start, family.space, family.grid, family.portfolio)
    space, search = Space({"it": own}), build(compose(["search=random"]).config.search.sampler, "search.sampler")
    asked: list[Any] = []
    while len(asked) < n and (own.free or not asked):
        trial = search.ask(space, asked, seed, is_higher_better=True)
        if trial is None:
            break
        asked.append(trial)
    return [space.proposal(trial).hyperparameters for trial in asked]


def judged(
    family: Model, workspace: Any, training: Training, setting: dict[str, Any], seed: int
) -> tuple[float, int | None]:
    """The mean over the folds, and the median of their best rounds."""
    folds, is_one = tuple(range(N_FOLDS)), getattr(family, "are_one", lambda *_: False)
    units = [folds] if is_one(workspace, setting, folds, None) else [(fold,) for fold in folds]
    done = [one for unit in units for one in models.validated(family, workspace, unit, setting, seed, None)]
    valid = [training.y[rows] for _, rows in training.folds]
    values = [metrics.value(training.metric, y, one.prediction, None) for y, one in zip(valid, done, strict=True)]
    rounds = [one.rounds for one in done if one.rounds is not None]
    return fmean(values), int(np.median(rounds)) if rounds else None


def make_base(table: Shift, family: Model, train: Part, folder: Path) -> None:
    """A model on the source in a folder, with its problem and its rows."""
    found = searched(family, table.training(train, 0), None, 0, report.argument("base_settings", 4))
    models.save(found.fitted, folder)
    (folder / "problem.json").write_text(json.dumps(asdict(table.problem)))
    (folder / "source").mkdir()
    train.X.to_parquet(folder / "source" / "features.parquet")
    roles = pd.DataFrame({"target": train.y, "part": "train"})
    roles.to_parquet(folder / "source" / "roles.parquet")


def shift(name: str, folder: Path) -> Shift:
    """bike, housing, households or adult; columns that tell the sides apart are left out."""
    read: dict[str, Callable[[Path], Shift]] = {
        "bike": bike, "housing": housing, "households": households, "adult": adult,
    }  # fmt: skip
    return read[name](folder)


def bike(folder: Path) -> Shift:
    frame = tables.bike(folder).frame.drop(columns="dateday")
    return sides("bike", frame.drop(columns="year"), "count", (frame["year"] == 0).to_numpy())


def housing(folder: Path) -> Shift:
    return _inland_and_bay("housing", tables.housing(folder).frame)


def households(folder: Path) -> Shift:
    """Housing without the prices that were cut off at 500,000, and with what each household has."""
    frame = tables.housing(folder).frame
    frame = frame[frame["median_house_value"] < CUT_OFF].assign(
        rooms_per_household=frame["total_rooms"] / frame["households"],
        bedrooms_per_room=frame["total_bedrooms"] / frame["total_rooms"],
        people_per_household=frame["population"] / frame["households"],
    )
    return _inland_and_bay("households", frame)


def _inland_and_bay(name: str, frame: pd.DataFrame) -> Shift:
    frame = frame[frame["ocean_proximity"].isin(["INLAND", "NEAR BAY"])].reset_index(drop=True)
    is_source = (frame["ocean_proximity"] == "INLAND").to_numpy()
    return sides(name, frame.drop(columns="ocean_proximity"), "median_house_value", is_source)


def adult(folder: Path) -> Shift:
    frame = tables.adult(folder).frame
    frame = frame[frame["native_country"].notna()].reset_index(drop=True)
    is_source = (frame["native_country"] == "United-States").to_numpy()
    return sides("adult", frame.drop(columns="native_country"), "income", is_source, ("<=50K", ">50K"))


def sides(name: str, frame: pd.DataFrame, target: str, is_source: np.ndarray, classes: tuple[str, ...] = ()) -> Shift:
    """Of two classes, the second is the positive one."""
    features = frame.drop(columns=target)
    features = features.astype(dict.fromkeys(features.select_dtypes("number").columns, np.float64))
    y = (frame[target] == classes[1]) if classes else frame[target]
    problem = Problem("binary" if classes else "regression", target, classes)
    whole = Part(features, y.to_numpy(dtype=np.float64))
    of_source, of_target = np.flatnonzero(is_source), np.flatnonzero(~is_source)
    return Shift(name, problem, "roc_auc" if classes else "rmse", whole.of(of_source), whole.of(of_target))


def family_of(name: str, overrides: Sequence[str]) -> Model:
    built: Model = build(compose([f"model={name}", *overrides]).config.model[name], f"model.{name}")
    return built


def strategy_of(name: str, knobs: Sequence[str]) -> Strategy:
    built: Strategy = build(compose([f"strategy={name}", *knobs]).config.strategy, "strategy")
    return built


def can(strategy: Strategy, name: str, family: Model) -> bool:
    try:
        strategy.family(name, family)
    except Refusal:
        return False
    return True


def spread(values: Sequence[float]) -> str:
    """`12.3 ± 0.4`: the mean and its standard error."""
    error = stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{fmean(values):.4g} ± {error:.2g}"


if __name__ == "__main__":
    main()
