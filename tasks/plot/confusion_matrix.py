"""Confusion matrix: how the holdout's rows of each class were labelled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn import metrics

from tasks.plot._canvas import INK, MUTED, figure, printable
from tasks.plot._material import Material

MAX_CLASSES_WITH_COUNTS = 20
MAX_CLASSES_NAMED = 60


def draw(material: Material) -> Figure | None:
    """Left out for a regression. Rows of the table count alike, whatever their weights."""
    if not material.problem.is_classification:
        return None
    table = pd.read_parquet(material.predictions, columns=["target", "prediction"])
    names = [printable(label, 18) for label in material.problem.classes]
    k = len(names)
    counts = metrics.confusion_matrix(table["target"].astype(int), table["prediction"].astype(int), labels=range(k))
    n_rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, n_rows, out=np.full(counts.shape, np.nan), where=n_rows > 0)
    side = 2.2 + max(1.7, 0.62 * k) if k <= MAX_CLASSES_WITH_COUNTS else 10.5
    right = 100 * np.trace(counts) / max(1, counts.sum())
    shown = "colour" if k > MAX_CLASSES_WITH_COUNTS else "colour and %"
    drawn = figure(
        max(side + 1.6, 6.4),
        side + 0.6,
        f"Confusion matrix: {right:.1f} % of the holdout labelled right",
        f"{counts.sum():,} rows; {shown}: share of the true class",
    )
    axes = drawn.subplots()
    image = axes.imshow(np.ma.masked_invalid(100 * shares), cmap="Blues", vmin=0, vmax=100)
    bar = drawn.colorbar(image, ax=axes, shrink=0.8, label="share of the true class (%)")
    bar.outline.set_visible(False)
    if k <= MAX_CLASSES_WITH_COUNTS:
        _write(axes, counts, shares)
    _name(axes, names, n_rows.ravel())
    return drawn


def _write(axes: Axes, counts: npt.NDArray[np.int64], shares: npt.NDArray[np.float64]) -> None:
    size, n_decimals = (10.0, 1) if len(counts) <= 6 else (7.5, 0)
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        if count or len(counts) <= 6:
            percent = "" if np.isnan(share) else f"\n{100 * share:.{n_decimals}f} %"
            axes.text(
                column,
                row,
                f"{count:,}{percent}",
                ha="center",
                va="center",
                fontsize=size,
                color="white" if share > 0.55 else INK,
            )


def _name(axes: Axes, names: list[str], n_rows: npt.NDArray[np.int64]) -> None:
    k = len(names)
    every = -(-k // MAX_CLASSES_NAMED)
    size = 9 if k <= 12 else 8 if k <= 30 else 6.5
    is_long = sum(len(name) for name in names) > 40
    axes.set_xticks(
        range(0, k, every),
        names[::every],
        rotation=60 if is_long else 0,
        fontsize=size,
        ha="right" if is_long else "center",
        rotation_mode="anchor",
    )
    axes.set_yticks(range(0, k, every), [f"{names[at]} ({n_rows[at]:,})" for at in range(0, k, every)], fontsize=size)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class (rows)")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(k - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(k - 1) + 0.5, minor=True)
    axes.grid(visible=True, which="minor", color="white" if k <= 40 else "none", linewidth=1.2)
    axes.tick_params(which="minor", length=0, color=MUTED)
