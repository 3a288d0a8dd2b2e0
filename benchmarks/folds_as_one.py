"""`python -m benchmarks.folds_as_one [repeats=3] [rows=5000] [epochs=16] [columns=20] [hidden=64,...] [batch=1,...]
[folds=5] [device=cpu]`: the folds of a net trained as one beside one after the other, on one core or on a GPU.

The same nets, but for rounding, on the same rows; both ways take turns. A batch of one row is measured on a tenth of
the rows. A share below 1 in the last column says that the rule would choose the slower way.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import pandas as pd
import torch

from benchmarks import arguments, report
from flows.build import build
from flows.config import compose
from tasks.loss.mse import MSE
from tasks.model import Training
from tasks.model.mlp import MLP
from tasks.records import Problem

WIDTHS = (64, 128, 256)
BATCHES = (1, 64, 256, 10**9)
HEADINGS = ("hidden", "batch", "one by one, s", "as one, s", "times as fast", "the rule's way", "gain by the rule")


def main() -> None:
    arguments.check(("repeats", "rows", "epochs", "columns", "hidden", "batch", "folds", "device"))
    repeats, n_rows = report.argument("repeats", 3), report.argument("rows", 5000)
    epochs, n_columns = report.argument("epochs", 16), report.argument("columns", 20)
    n_folds, device = report.argument("folds", 5), arguments.text("device", "cpu")
    family = mlp(epochs, device)
    rows = []
    for width in arguments.numbers("hidden", WIDTHS):
        for batch in arguments.numbers("batch", BATCHES):
            table = data(n_rows // 10 if batch == 1 else n_rows, n_columns, n_folds)
            rows.append(compare(family, table, width, batch, repeats))
    print(report.table(HEADINGS, rows))
    how = f"two layers, ReLU, no dropout, Adam, {where(device)}, torch {version('torch')}"
    print(f"\n{n_folds} folds, {n_rows} rows, {n_columns} columns, {epochs} epochs, {how}. {report.machine(repeats)}")


def where(device: str) -> str:
    return f"seconds with {torch.cuda.get_device_name()}" if device == "cuda" else "seconds of one core"


def mlp(epochs: int, device: str) -> MLP:
    """A plain net, so that nothing but matrices and Adam is measured."""
    plain = {"epochs": epochs, "patience": epochs, "layers": 2, "frequencies": 0, "dropout": 0, "activation": "relu"}
    overrides = [f"model.mlp.hyperparameters.{key}={value}" for key, value in plain.items()]
    config = compose(["model=mlp", "optimizer=adam", f"device={device}", *overrides]).config
    built: MLP = build(config.model["mlp"], "model.mlp")
    return built


def data(n_rows: int, n_columns: int, n_folds: int) -> Training:
    generator = np.random.default_rng(0)
    X = generator.normal(size=(n_rows, n_columns))
    y = X[:, 0] * X[:, 1] + np.sin(2 * X[:, 2]) + generator.normal(size=n_rows) / 4
    side = np.arange(n_rows) % n_folds
    folds = [(np.flatnonzero(side != k), np.flatnonzero(side == k)) for k in range(n_folds)]
    frame = pd.DataFrame(X, columns=[f"x{k}" for k in range(n_columns)])
    return Training(frame, y, None, folds, Problem("regression", "y", ()), MSE(), "rmse")


def compare(family: MLP, table: Training, width: int, batch: int, repeats: int) -> list[str]:
    fixed = {key: value for key, value in family.hyperparameters.items() if value is not None}
    point = {**family.start, **fixed, "width": width, "batch_size": batch}
    workspace, folds = family.workspace(table, None, 1), range(len(table.folds))

    def alone() -> None:
        for fold in folds:
            family.validate(workspace, fold, point, 0)

    def together() -> None:
        family.validate_together(workspace, folds, point, 0, lambda curves: None)

    alone()  # encodes the folds
    taken = [(seconds(alone), seconds(together)) for _ in range(repeats)]
    gains = [one / other for one, other in taken]
    is_one = family.are_one(workspace, point, folds, None)
    return [
        str(width), "all" if batch > len(table.y) else str(batch), report.spread([one for one, _ in taken], 2),
        report.spread([other for _, other in taken], 2), report.spread(gains, 2), "as one" if is_one else "one by one",
        report.spread(gains if is_one else [1.0], 2),
    ]  # fmt: skip


def seconds(work: Callable[[], None]) -> float:
    """CPU seconds of this process, so that others on the machine count for little; on a GPU those of the clock."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    begun = clock()
    work()
    return clock() - begun


if __name__ == "__main__":
    main()
