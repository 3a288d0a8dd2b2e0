"""`python -m benchmarks.trials_as_one [repeats=3] [rows=5000] [epochs=16] [columns=20] [hidden=64,...] [batch=64,...]
[trials=4] [device=cpu]`: trials of a net trained as one (`search.together`) beside one after the other, the folds of
each as one in both, on one core or on a GPU.

The same nets, but for rounding, on the same rows; both ways take turns.
"""

from __future__ import annotations

from importlib.metadata import version

from benchmarks import arguments, report
from benchmarks.folds_as_one import data, mlp, seconds, where
from tasks.model import Training
from tasks.model.mlp import MLP

N_FOLDS = 5
HEADINGS = ("hidden", "batch", "one by one, s", "as one, s", "times as fast", "the rule's way")


def main() -> None:
    arguments.check(("repeats", "rows", "epochs", "columns", "hidden", "batch", "trials", "device"))
    repeats, n_trials = report.argument("repeats", 3), report.argument("trials", 4)
    n_rows, n_columns = report.argument("rows", 5000), report.argument("columns", 20)
    epochs, device = report.argument("epochs", 16), arguments.text("device", "cpu")
    family, table = mlp(epochs, device), data(n_rows, n_columns, N_FOLDS)
    rows = [
        compare(family, table, width, batch, n_trials, repeats)
        for width in arguments.numbers("hidden", (32, 64, 128)) for batch in arguments.numbers("batch", (64, 256))
    ]  # fmt: skip
    print(report.table(HEADINGS, rows))
    how = f"two layers, ReLU, no dropout, Adam, {where(device)}, torch {version('torch')}"
    print(f"\n{n_trials} trials of {N_FOLDS} folds, {n_rows} rows, {n_columns} columns, {epochs} epochs, {how}. "
          f"{report.machine(repeats)}")  # fmt: skip


def compare(family: MLP, table: Training, width: int, batch: int, n_trials: int, repeats: int) -> list[str]:
    fixed = {key: value for key, value in family.hyperparameters.items() if value is not None}
    point = {**family.start, **fixed, "width": width, "batch_size": batch}
    trials = [{**point, "learning_rate": 1e-3 * (1 + k), "weight_decay": 1e-3 * k} for k in range(n_trials)]
    workspace, folds = family.workspace(table, None, 1), range(N_FOLDS)

    def alone() -> None:
        for given in trials:
            family.validate_together(workspace, folds, given, 0, lambda curves: None)

    def together() -> None:
        family.validate_trials(workspace, folds, trials, 0, [lambda curves: None] * n_trials)

    is_one = family.shape(point) is not None
    together()  # encodes the folds
    taken = [(seconds(alone), seconds(together)) for _ in range(repeats)]
    return [
        str(width), str(batch), *(report.spread(list(one), 2) for one in zip(*taken, strict=True)),
        report.spread([one / other for one, other in taken], 2), "as one" if is_one else "one by one",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
