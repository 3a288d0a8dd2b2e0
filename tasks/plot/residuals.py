"""Residuals: the holdout's true values against the predicted ones, and what is left of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tasks.plot._canvas import BLUE, INK, ORANGE, figure, grid, number, printable
from tasks.plot._material import Material

MAX_POINTS = 5_000
MAX_DRAWN = 500  # points of an SVG file; of more it holds an image, which is a tenth as large
MIN_ROWS_FOR_BANDS = 100
N_BANDS = 15

Floats = npt.NDArray[np.float64]


def draw(material: Material) -> Figure | None:
    """Of a regression alone. Above 5,000 rows the points are counted in hexagons."""
    if material.problem.kind != "regression":
        return None
    table = pd.read_parquet(material.predictions, columns=["target", "prediction"])
    y, prediction = table["target"].to_numpy(dtype=np.float64), table["prediction"].to_numpy(dtype=np.float64)
    target = printable(material.problem.target)
    residual = y - prediction
    drawn = figure(
        11,
        5.2,
        f"Predicted and true {target} on the holdout",
        f"{len(y):,} rows; residual = true − predicted: median {number(np.median(residual))}, "
        f"80 % between {number(np.quantile(residual, 0.1))} and {number(np.quantile(residual, 0.9))}",
    )
    left, right = drawn.subplots(1, 2)
    _cloud(drawn, left, prediction, y)
    low, high = min(y.min(), prediction.min()), max(y.max(), prediction.max())
    left.plot([low, high], [low, high], color=INK, linewidth=1.1, linestyle="--", label="true = predicted")
    left.set_xlabel(f"predicted {target}")
    left.set_ylabel(f"true {target}")
    left.legend(loc="upper left")
    _cloud(drawn, right, prediction, residual)
    right.axhline(0, color=INK, linewidth=1.1, linestyle="--")
    if len(y) >= MIN_ROWS_FOR_BANDS:
        _bands(right, prediction, residual)
        right.legend(loc="upper left")
    right.set_xlabel(f"predicted {target}")
    right.set_ylabel("residual, in the unit of the target")
    for axis in (left.xaxis, left.yaxis, right.xaxis, right.yaxis):
        axis.set_major_locator(MaxNLocator(6))
        axis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 4)))
    return drawn


def _cloud(drawn: Figure, axes: Axes, x: Floats, y: Floats) -> None:
    grid(axes)
    if len(x) <= MAX_POINTS:
        alpha = 0.45 if len(x) < 1_000 else 0.22
        axes.scatter(x, y, s=12, color=BLUE, alpha=alpha, linewidths=0, rasterized=len(x) > MAX_DRAWN)
        return
    hexagons = axes.hexbin(x, y, gridsize=55, bins="log", cmap="Blues", mincnt=1, linewidths=0, rasterized=True)
    drawn.colorbar(hexagons, ax=axes, label="rows", shrink=0.7).outline.set_visible(False)


def _bands(axes: Axes, prediction: Floats, residual: Floats) -> None:
    """The median and the middle 80 % of the residuals among rows of like prediction, in bands of equally many rows."""
    bands = np.array_split(np.argsort(prediction, kind="stable"), N_BANDS)
    centres = [np.median(prediction[rows]) for rows in bands]
    low, middle, high = np.array([np.quantile(residual[rows], [0.1, 0.5, 0.9]) for rows in bands]).T
    axes.plot(centres, middle, color=ORANGE, linewidth=1.8, label="median")
    axes.plot(centres, low, color=ORANGE, linewidth=1.1, linestyle=":", label="middle 80 %")
    axes.plot(centres, high, color=ORANGE, linewidth=1.1, linestyle=":")
