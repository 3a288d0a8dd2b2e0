"""`python -m benchmarks.trees_in_parts [rows=2000] [seeds=5]`: predictions of large LightGBM models by a part of their
trees at a time (`tasks.model._booster.InParts`), beside LightGBM's own, on one core and in turns.

Models of 20 columns whose trees were grown on 20,000 rows of random numbers, as on a real table.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import lightgbm as lgb
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import arguments, report
from tasks.metric import Floats
from tasks.model import _booster
from tasks.model._booster import InParts, leaf_counts

HEADINGS = ("model", "leaves", "made in, s", "rows", "LightGBM, ms per 1,000 rows", "in parts", "times as fast",
            "largest difference")  # fmt: skip
N_COLUMNS, N_TRAINING_ROWS = 20, 20_000


@dataclass(frozen=True)
class Size:
    n_classes: int
    num_leaves: int
    rounds: int

    def __str__(self) -> str:
        kind = f"{self.n_classes} classes" if self.n_classes else "regression"
        return f"{kind}, {self.rounds:,} rounds of {self.num_leaves} leaves"


SIZES = (Size(0, 31, 4_000), Size(0, 255, 500), Size(10, 31, 400), Size(26, 31, 200),
         Size(10, 31, 2_000))  # fmt: skip


def main() -> None:
    arguments.check(("rows", "seeds"))
    _booster.LARGE = 0  # so that smaller models are shown too
    n_rows, n_times = report.argument("rows", 2_000), report.argument("seeds", 5)
    with threadpool_limits(1):
        rows = [row for size in SIZES for row in timed(size, (100, n_rows), n_times)]
    print(report.table(HEADINGS, rows))
    print(f"\nMedian, spread of the ratios. LightGBM {lgb.__version__}, {report.machine(n_times)}")


def timed(size: Size, counts: tuple[int, ...], n_times: int) -> list[list[str]]:
    booster = grown(size)
    n_leaves = sum(leaf_counts(booster.model_to_string()))
    begun = time.perf_counter()
    parts = InParts.of(booster)
    made = time.perf_counter() - begun
    assert parts is not None
    found = []
    for n in counts:
        X = np.random.default_rng(1).normal(size=(n, N_COLUMNS))
        apart = float(np.abs(parts.predict(X) - booster.predict(X)).max())
        pairs = [(seconds(booster.predict, X), seconds(parts.predict, X)) for _ in range(n_times)]
        ratios = sorted(whole / part for whole, part in pairs)
        each = [f"{1e6 * median(side) / n:.3g}" for side in zip(*pairs, strict=True)]
        spread = f"**{median(ratios):.2f}** ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        found.append([str(size), f"{n_leaves:,}", f"{made:.2f}", f"{n:,}", *each, spread, f"{apart:.1g}"])
    return found


def grown(size: Size) -> lgb.Booster:
    random = np.random.default_rng(0)
    X = random.normal(size=(N_TRAINING_ROWS, N_COLUMNS))
    signal = X[:, 0] * X[:, 1] + np.sin(X[:, 2]) + random.normal(size=N_TRAINING_ROWS)
    cuts = np.quantile(signal, np.linspace(0, 1, size.n_classes + 1)[1:-1]) if size.n_classes else ()
    y = np.digitize(signal, cuts) if size.n_classes else signal
    kind = {"objective": "multiclass", "num_class": size.n_classes} if size.n_classes else {"objective": "regression"}
    quiet = {"verbose": -1, "num_threads": 1, "learning_rate": 0.02, "num_leaves": size.num_leaves}
    return lgb.train({**quiet, **kind}, lgb.Dataset(X, np.asarray(y, dtype=np.float64)), size.rounds)


def seconds(predict: Callable[[Floats], object], X: Floats) -> float:
    begun = time.perf_counter()
    predict(X)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
