"""`python -m benchmarks.throughput`: trials per minute of `finefold run` in full, against a bare loop of LightGBM, and
against scikit-learn's and Optuna's cross-validation, over the same settings, rows, folds and rounds on two cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import arguments, place, report
from benchmarks.place import ROOT
from benchmarks.ways import N_CORES, SEED

COLUMNS = 20
HOLDOUT_ROWS = 1_000
OWN = "finefold run"
PEERS = {
    "bare": "bare loop of Booster.update, two threads",
    "scikit": "cross_val_score, n_jobs=2",
    "optuna": "Optuna with lgb.cv, two threads",
    "optuna_jobs": "Optuna with lgb.cv, two trials of one thread at a time",
}
HEADINGS = ("rows", "way", "trials per minute", "finefold run, times it", "limit", "", "best mean AUC")


@dataclass(frozen=True)
class Measured:
    """One way once: seconds of all trials, the best mean AUC, and of finefold the seconds before and after them."""

    seconds: float
    best: float
    start_up: float = 0.0
    after: float = 0.0


def main() -> None:
    arguments.check(("rows", "settings", "repeats"))
    (n_settings,), (repeats,) = arguments.numbers("settings", [50]), arguments.numbers("repeats", [1])
    if hasattr(os, "sched_setaffinity"):  # of a larger machine too, everybody gets the same two cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:N_CORES])
    os.environ["FINEFOLD_CONF"] = str(ROOT / "benchmarks" / "conf")
    tables, notes = [], []
    with place.temporary() as root:
        for n_rows in arguments.numbers("rows", [2_000, 50_000, 500_000]):
            measured = compare(root, n_rows, n_settings, repeats)
            tables += lines(n_rows, n_settings, measured)
            notes.append(beside(n_rows, measured[OWN]))
    print(report.table(HEADINGS, tables))
    print(f"\n{n_settings} settings, 5 folds, {COLUMNS} columns. {' '.join(notes)} Median (range). ", end="")
    print(report.machine(repeats))


def rounds_of(n_rows: int) -> int:
    """Fewer on a large table, where they are long enough to be measured."""
    return 100 if n_rows <= 100_000 else 50


def compare(root: Path, n_rows: int, n_settings: int, repeats: int) -> dict[str, list[Measured]]:
    """Every way, `repeats` times; they take turns, so that what else the machine does falls on all."""
    train = made(root, n_rows)
    found: dict[str, list[Measured]] = {OWN: [], **{name: [] for name in PEERS}}
    for k in range(repeats):
        for way, measured in found.items():
            if way == OWN:
                measured.append(run_finefold(root, f"{n_rows}-{k}", train, rounds_of(n_rows), n_settings))
            else:
                measured.append(run_way(way, train, rounds_of(n_rows), n_settings))
            said = f"{n_rows:,} rows, {way}: {60 * n_settings / measured[-1].seconds:.1f} trials per minute"
            print(said, file=sys.stderr, flush=True)
    return found


def made(root: Path, n_rows: int) -> Path:
    """Training rows of two classes with a tenth of the labels wrong, and beside them a small holdout: what finefold
    trains on is then what the others train on."""
    import pandas as pd
    from sklearn.datasets import make_classification

    X, y = make_classification(
        n_rows + HOLDOUT_ROWS, COLUMNS, n_informative=12, n_redundant=4, flip_y=0.1, random_state=SEED
    )
    frame = pd.DataFrame(X, columns=[f"x{k}" for k in range(COLUMNS)]).assign(y=y)
    frame.iloc[:HOLDOUT_ROWS].to_parquet(root / "holdout.parquet", index=False)
    frame.iloc[HOLDOUT_ROWS:].to_parquet(root / f"{n_rows}.parquet", index=False)
    return root / f"{n_rows}.parquet"


def run_finefold(root: Path, name: str, train: Path, rounds: int, n_settings: int) -> Measured:
    """All of it, with a server that it starts itself; no early stopping, no racing: every trial does the same work."""
    result = place.fresh(root, f"finefold-{name}").run([
        "source=file", f"source.path={train}", f"holdout.path={train.with_name('holdout.parquet')}", "source.target=y",
        "search=listed", "allow_packages=[benchmarks]", f"search.sampler.n={n_settings}",
        f"search.sampler.seed={SEED}", f"search.trials={n_settings}", f"model.lightgbm.rounds={rounds}",
        "model.lightgbm.patience=100000", f"runner.workers={N_CORES}", "resume=never", *without_racing(),
    ])  # fmt: skip
    trials, seconds = result["trials"], result["seconds"]
    assert trials["finished"] == n_settings, trials
    assert not trials["stopped_early"], trials
    after = seconds["total"] - seconds["start_up"] - seconds["search"]
    return Measured(seconds["search"], result["cv"]["mean"], seconds["start_up"], after)


def without_racing() -> list[str]:
    """What switches racing off, where there is such a key."""
    from flows.config import compose

    search: dict[str, Any] = compose([]).recorded["search"]
    return ["search.racing=null"] if "racing" in search else []


def run_way(way: str, train: Path, rounds: int, n_settings: int) -> Measured:
    """In a process of its own, which has nothing made or read yet."""
    command = [sys.executable, "-m", "benchmarks.ways", way, str(train), str(rounds), str(n_settings)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    said = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return Measured(**json.loads(said.stdout.strip().splitlines()[-1]))


def limit(way: str, n_rows: int) -> float | None:
    """What `finefold run` must be at least, as a multiple of the way."""
    if way == "bare":
        return 0.93 if n_rows >= 50_000 else 0.85
    return 1.35 if n_rows == 50_000 and way in ("scikit", "optuna") else None


def lines(n_rows: int, n_settings: int, measured: dict[str, list[Measured]]) -> list[list[str]]:
    """One row for each way; the ratio is the median of those within one repeat."""
    rows = []
    for way, of_way in measured.items():
        speeds = report.spread([60 * n_settings / one.seconds for one in of_way])
        best = f"{median(one.best for one in of_way):.4f}"
        ratios = [theirs.seconds / own.seconds for own, theirs in zip(measured[OWN], of_way, strict=True)]
        wanted, ratio = limit(way, n_rows), median(ratios)
        verdict = "" if wanted is None or way == OWN else "held" if ratio >= wanted else "MISSED"
        shown = "" if way == OWN else report.spread(ratios, 2)
        wanted_text = "" if wanted is None or way == OWN else f"{wanted}"
        rows.append([f"{n_rows:,}", PEERS.get(way, way), speeds, shown, wanted_text, verdict, best])
    return rows


def beside(n_rows: int, own: list[Measured]) -> str:
    start_up, after = (median(getattr(one, part) for one in own) for part in ("start_up", "after"))
    return f"{n_rows:,} rows: {start_up:.1f} s until the first trial, {after:.1f} s from the last to the end."


if __name__ == "__main__":
    main()
