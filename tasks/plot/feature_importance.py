"""Feature importance: the family's own measure beside what the holdout says, by permutation and by SHAP values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tasks import metric as metrics
from tasks import model as models
from tasks import parquet
from tasks.model import Fitted
from tasks.plot._canvas import BLUE, GREEN, INK, ORANGE, figure, grid, printable
from tasks.plot._material import Material

MAX_FEATURES = 20
MAX_ROWS = 2_000
N_REPEATS = 3
# Rows x parameters learned, summed over all predictions: 1.2 s of one core for LightGBM, which takes 0.2 to 0.5 ns
# of each. A larger model gets fewer rows, and so large a one that even the least rows take PATIENCE as long gets none.
PERMUTATION_WORK, MIN_PERMUTATION_ROWS = 3e9, 100
SHAP_WORK, MIN_SHAP_ROWS = 1e7, 20  # 30 to 110 ns of each: 1.1 s
PATIENCE = 4


@runtime_checkable
class Contributing(Protocol):
    """A model that tells how much each column moves each prediction."""

    def contributions(self, X: pd.DataFrame) -> npt.NDArray[np.float64]:
        """(n_rows, n_columns), not negative, in the order of `importance()`."""
        ...


@dataclass(frozen=True)
class _Panel:
    """Bars (n_features,), their spread or None, and how to read them."""

    title: str
    label: str
    values: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64] | None
    colour: str


def draw(material: Material) -> Figure | None:
    """The 20 features that matter most to the family's own measure; left out where the model uses none.

    Permutation and SHAP values are of at most 2,000 rows of the holdout, which count alike whatever their weights.
    """
    fitted = models.load(models.own_files(Path(material.trained.folder)))
    own = fitted.importance()
    columns = sorted((name for name, share in own.items() if share > 0), key=lambda name: -own[name])[:MAX_FEATURES]
    if not columns:
        return None
    y = pd.read_parquet(material.predictions, columns=["target"])["target"].to_numpy(dtype=np.float64)
    shares = np.array([100 * own[name] for name in columns])
    panels = [
        _Panel("In the fit", "share of the family's measure (%)", shares, None, BLUE),
        _permutation_panel(fitted, y, columns, material),
        _shap_panel(fitted, len(y), columns, material),
    ]
    shown = [panel for panel in panels if panel is not None]
    drawn = figure(
        3.2 + 2.9 * len(shown),
        1.75 + 0.24 * len(columns),
        "Feature importance of the final model",
        f"{len(columns)} of {len(own)} features, in the order of the family's own measure",
    )
    for axes, panel in zip(np.atleast_1d(drawn.subplots(1, len(shown), sharey=True)), shown, strict=True):
        _show(axes, panel, columns)
    return drawn


def _permutation_panel(
    fitted: Fitted, y: npt.NDArray[np.float64], columns: list[str], material: Material
) -> _Panel | None:
    """The metric's loss when a column is shuffled (Breiman 2001), the mean and standard deviation of three shuffles.
    Columns that say the same stand in for each other, so that each alone seems to matter little."""
    n_predictions = N_REPEATS * len(columns) + 1
    n_affordable = PERMUTATION_WORK / n_predictions / material.trained.n_parameters
    rows = _rows(len(y), n_affordable, MIN_PERMUTATION_ROWS, material.seed)
    if rows is None:
        return None
    X, y = _taken(material, rows), y[rows]
    sign = metrics.METRICS[material.metric].sign
    whole = metrics.value(material.metric, y, fitted.predict(X), None)
    if not np.isfinite(whole):
        return None
    random = np.random.default_rng(material.seed)
    losses = np.array(
        [
            [
                sign * (whole - metrics.value(material.metric, y, fitted.predict(_shuffled(X, name, random)), None))
                for _ in range(N_REPEATS)
            ]
            for name in columns
        ]
    )
    change = "drop" if sign > 0 else "rise"
    return _Panel(
        f"Permuted, {len(y):,} holdout rows",
        f"{change} of {material.metric}, mean ± sd of {N_REPEATS}",
        losses.mean(axis=1),
        losses.std(axis=1, ddof=1),
        ORANGE,
    )


def _shap_panel(fitted: Fitted, n_rows: int, columns: list[str], material: Material) -> _Panel | None:
    if not isinstance(fitted, Contributing):
        return None
    rows = _rows(n_rows, SHAP_WORK / material.trained.n_parameters, MIN_SHAP_ROWS, material.seed)
    if rows is None:
        return None
    every = fitted.contributions(_taken(material, rows)).mean(axis=0)
    of_column = dict(zip(fitted.importance(), every, strict=True))
    return _Panel(
        f"SHAP, {len(rows):,} holdout rows",
        "mean |contribution| to the raw score",
        np.array([of_column[name] for name in columns]),
        None,
        GREEN,
    )


def _rows(n_rows: int, n_affordable: float, n_least: int, seed: int) -> npt.NDArray[np.int64] | None:
    """Which rows to use; None where even the least would take far too long."""
    if n_affordable < n_least / PATIENCE:
        return None
    n = min(n_rows, MAX_ROWS, max(n_least, int(n_affordable)))
    return np.sort(np.random.default_rng(seed).choice(n_rows, n, replace=False))


def _taken(material: Material, rows: npt.NDArray[np.int64]) -> pd.DataFrame:
    """These rows of the holdout, read part by part: all of it may be a million."""
    return parquet.take(material.split / "holdout_features.parquet", rows)


def _shuffled(X: pd.DataFrame, name: str, random: np.random.Generator) -> pd.DataFrame:
    return X.assign(**{name: X[name].iloc[random.permutation(len(X))].array})


def _show(axes: Axes, panel: _Panel, columns: list[str]) -> None:
    axes.barh(
        range(len(columns)),
        panel.values,
        color=panel.colour,
        height=0.68,
        xerr=panel.spread,
        error_kw={"ecolor": INK, "elinewidth": 0.9, "alpha": 0.7},
    )
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(columns)), [printable(name, 34) for name in columns])
    axes.set_ylim(len(columns) - 0.4, -0.6)
    axes.set_title(panel.title)
    axes.set_xlabel(panel.label)
    axes.locator_params(axis="x", nbins=5)
    axes.spines["left"].set_visible(False)
    grid(axes, "x")
    axes.tick_params(axis="y", length=0)
