"""`python -m benchmarks.ladder tables=DIR [table=bike,adult,...] [model=lightgbm] [trials=8] [seeds=3]`: what
`finefold finetune` chooses, beside every strategy alone, on rows of the target that nobody has seen.

For each table a base by `finefold pretrain` on its source (see `benchmarks.strategies`); for each seed other rows of
the target: 500 of bike and adult, 200 of housing and households. Errors: the RMSE of the logarithm of rides and
prices, and 1 - AUC. Alone, a strategy has all of `trials`, which the rungs of the ladder share. Seconds are of
computing, as the ladder counts them; its total is set against the dearest strategy alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from benchmarks import arguments, place, report
from benchmarks.place import Place
from benchmarks.strategies import Part, Shift, shift, spread

N_ROWS = {"bike": 500, "adult": 500, "housing": 200, "households": 200}
HEADINGS = ("table", "strategy alone", "error on the target", "on the source, before > after", "seconds",
            "as a rung, seconds", "its trials", "chosen, times")  # fmt: skip
SUMMARY = ("table", "the ladder's choice, error", "best strategy", "its error", "difference",
           "total / dearest strategy")  # fmt: skip


@dataclass(frozen=True)
class Climbed:
    """One climb: its rungs by strategy, the seconds of all and of what was only looked at, which rung was chosen, and
    its error on the target's other rows; and the same of each strategy alone."""

    rungs: Mapping[str, dict[str, Any]]
    seconds: float
    chosen: str
    error: float
    alone: Mapping[str, dict[str, Any]]
    errors: Mapping[str, float]

    @property
    def total(self) -> float:
        """Of all rungs, in units of the dearest strategy alone."""
        return self.seconds / max(one["seconds"] for one in self.alone.values())


def main() -> None:
    arguments.check(("tables", "table", "model", "trials", "seeds"))
    folder, model = Path(arguments.text("tables", "")).resolve(), arguments.text("model", "lightgbm")
    every: dict[str, list[Climbed]] = {}
    with place.temporary() as root:
        shared = place.fresh(root, "server")
        with place.kept_server(shared):
            for name in arguments.names("table", list(N_ROWS)):
                every[name] = of_table(root, with_logarithms(shift(name, folder)), model, shared)
    print(report.table(HEADINGS, [row for name, climbs in every.items() for row in rows(name, climbs)]))
    print()
    print(report.table(SUMMARY, [summary(name, climbs) for name, climbs in every.items()]))
    n_seeds = report.argument("seeds", 3)
    print(f"\nmodel={model}, search.trials={report.argument('trials', 8)}. {report.machine(n_seeds)}")


def of_table(root: Path, table: Shift, model: str, shared: Place) -> list[Climbed]:
    where = place.fresh(root, f"{table.name}-{model}", shared.home, shared.port)
    where.folder.mkdir()
    written(table, table.source, where.folder / "source.parquet")
    given = ["source=file", f"source.target={table.problem.target}", f"search.trials={report.argument('trials', 8)}",
             f"problem={table.problem.kind}", f"metric={table.metric}"]  # fmt: skip
    where.run([*given, f"model={model}", "source.path=source.parquet", "model_name=broad"], "pretrain")
    return [climbed(where, table, given, seed) for seed in range(report.argument("seeds", 3))]


def climbed(where: Place, table: Shift, given: Sequence[str], seed: int) -> Climbed:
    drawn, n = np.random.default_rng(seed).permutation(len(table.target.y)), N_ROWS[table.name]
    written(table, table.target.of(drawn[:n]), where.folder / f"own-{seed}.parquet")
    written(table, table.target.of(drawn[n:]), where.folder / f"rest-{seed}.parquet")
    own = [*given, "base=models:/broad@champion", f"model_name=narrow-{seed}", f"seed={seed}",
           f"source.path=own-{seed}.parquet", f"holdout.path=rest-{seed}.parquet"]  # fmt: skip
    made = where.run(own, "finetune")
    rungs = reached(made)
    alone, errors = {}, {}
    for name in rungs:  # which goes on from the trials that it had as a rung
        of_one = where.run([*own, "strategy=ladder", f"strategy.rungs=[{name}]"], "finetune")
        alone |= reached(of_one)
        errors[name] = error(table, of_one["result"])
    seconds = sum(one["seconds"] for one in made["climb"]["rungs"])
    return Climbed(rungs, seconds, made["climb"]["chosen"], error(table, made["result"]), alone, errors)


def reached(made: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["strategy"]: one for one in made["climb"]["rungs"] if not one["error"]}


def error(table: Shift, result: Mapping[str, Any]) -> float:
    value = float(result["holdout"][table.metric]["value"])
    return value if table.metric == "rmse" else 1 - value


def with_logarithms(table: Shift) -> Shift:
    """Rides and prices spread over orders of magnitude."""
    if table.problem.is_classification:
        return table
    parts = (replace(part, y=np.log1p(part.y)) for part in (table.source, table.target))
    return replace(table, **dict(zip(("source", "target"), parts, strict=True)))


def written(table: Shift, part: Part, path: Path) -> None:
    classes = table.problem.classes
    y = np.array(classes)[part.y.astype(int)] if classes else part.y
    part.X.assign(**{table.problem.target: y}).to_parquet(path, index=False)


def rows(name: str, climbs: Sequence[Climbed]) -> list[list[str]]:
    names = dict.fromkeys(strategy for one in climbs for strategy in one.rungs)
    return [row(name, strategy, [one for one in climbs if strategy in one.rungs], climbs) for strategy in names]


def row(name: str, strategy: str, climbs: Sequence[Climbed], every: Sequence[Climbed]) -> list[str]:
    alone, rungs = [one.alone[strategy] for one in climbs], [one.rungs[strategy] for one in climbs]
    kept = [one["kept"] for one in alone if one["kept"]]
    sides = " > ".join(f"{fmean(one[side] for one in kept):.4g}" for side in ("before", "after")) if kept else ""
    n_chosen = sum(one.chosen == strategy for one in every)
    seconds = [f"{fmean(one['seconds'] for one in group):.1f}" for group in (alone, rungs)]
    trials = ", ".join(str(one["n_trials"]) for one in rungs)
    return [name, strategy, spread([one.errors[strategy] for one in climbs]), sides, *seconds, trials,
            str(n_chosen or "")]  # fmt: skip


def summary(name: str, climbs: Sequence[Climbed]) -> list[str]:
    """The best strategy is the one that is best on the average of the rows that nobody has seen; the difference to it
    with the standard error that it has over the draws. Within one standard error: of the difference, or, where the
    choice is the best but for some draws, of the best one's error."""
    common = set.intersection(*(set(one.errors) for one in climbs))
    best = min(common, key=lambda strategy: fmean(one.errors[strategy] for one in climbs))
    own, least = [one.error for one in climbs], [one.errors[best] for one in climbs]
    differences = [one.error - one.errors[best] for one in climbs]
    error, own_error = (stdev(of) / len(climbs) ** 0.5 if len(climbs) > 1 else 0.0 for of in (differences, least))
    behind = fmean(differences)
    told = f"{behind:+.4f} ± {error:.2g}, {'within' if behind <= max(error, own_error) else 'BEYOND'}"
    totals = [one.total for one in climbs]
    cost = f"{fmean(totals):.2f} ({min(totals):.2f} to {max(totals):.2f})"
    return [name, spread(own), best, spread(least), told, cost]


if __name__ == "__main__":
    main()
