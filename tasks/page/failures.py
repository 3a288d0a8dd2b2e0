"""Failures: where the model is wrong, of rows that were predicted out of fold and of the holdout."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tasks.page._blocks import Block, Section, Table, Text
from tasks.page._number import decimals_of_all, fixed, number, percent
from tasks.page._values import Values

WORST = "worst.csv"  # in the folder of `Examined`
N_SHOWN, N_COLUMNS, N_LETTERS = 10, 14, 80


def section(values: Values) -> Section:
    """The confusion matrix or the residuals, and the worst of the training rows."""
    blocks: list[Block] = [*values.pictures("confusion_matrix", "residuals")]
    found = values.examined
    if found.n_rows:
        blocks.append(
            Text(
                f"The {found.n_worst:,} worst of {found.n_rows:,} training rows have {percent(found.share)} of the "
                "loss out of fold: labels that are wrong, cases that the features don't tell apart, or rows unlike all "
                f"others. All of them, with every feature, are in losses/{WORST} of the MLflow run."
            )
        )
        blocks.append(_worst(Path(found.folder) / WORST))
    return Section("failures", "Where it fails", blocks)


def _worst(path: Path) -> Table:
    table = pd.read_csv(path, nrows=N_SHOWN)
    names = [str(name) for name in table.columns[:N_COLUMNS]]
    decimals = decimals_of_all(table["loss"])
    rows = [
        [fixed(row[0], decimals), *map(_cell, names[1:], row[1:])] for row in table.itertuples(index=False, name=None)
    ]
    is_number = [pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes[:N_COLUMNS]]
    left = len(table.columns) - len(names)
    note = "row: its place in the source, from 0" + f"; {left:,} more columns are not shown" * (left > 0) + "."
    caption = f"The {len(rows)} worst rows, predicted by a model that was not trained on them"
    return Table(caption, names, rows, "".join("r" if one else "l" for one in is_number), note)


def _cell(name: str, value: object) -> str:
    if isinstance(value, float):
        is_share = name.startswith("probability_") and 0 <= value <= 1
        return "" if value != value else f"{value:.3f}" if is_share else number(value)
    text = " ".join(str(value).split())
    return text if len(text) <= N_LETTERS else f"{text[: N_LETTERS - 1]}…"
