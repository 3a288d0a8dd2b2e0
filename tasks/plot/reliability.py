"""Reliability: the shares that came true against the probabilities that were predicted (Murphy and Winkler 1977)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tasks.plot._canvas import BLUE, INK, MUTED, ORANGE, figure, grid, printable
from tasks.plot._material import Material
from tasks.reliability import bins_of, error_of, shown, sums

N_BINS = 15
N_DRAWS = 400
Floats = npt.NDArray[np.float64]


def draw(material: Material) -> Figure | None:
    """Of two classes the second's probability, of more the most probable one's; left out for a regression. In bins of
    equally many rows, which count alike whatever their weights. The band is where 95 of 100 draws of outcomes lie that
    come true as the holdout's probabilities say (Broecker and Smith 2007)."""
    if not material.problem.is_classification:
        return None
    score, is_hit = _of_holdout(material)
    bins, once = bins_of(score, N_BINS), np.ones((1, len(score)))
    error = float(error_of(score, is_hit, bins, once)[0])
    k = len(material.problem.classes)
    of = printable(material.problem.classes[1]) if k == 2 else "the most probable class"
    drawn = figure(7.6, 7.4, f"Reliability: off by {100 * error:.1f} points on the holdout",
                   f"{len(score):,} rows, the probability of {of}; each dot equally many rows; below, all of them")
    above, below = drawn.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    _band(above, score, bins, material.seed)
    above.plot([0, 1], [0, 1], color=INK, linewidth=1.0, linestyle="--")
    if material.out_of_fold is not None:
        told = "out of fold" + ", where it was calibrated" * _is_calibrated(material)
        _curve(above, *_out_of_fold(material, material.out_of_fold), ORANGE, told)
    _curve(above, score, is_hit, BLUE, "holdout")
    above.set_ylabel("share that came true")
    above.legend(loc="upper left")
    below.hist(score, bins=np.linspace(0, 1, 41), color=BLUE, alpha=0.8)
    below.set_ylabel("rows")
    below.set_xlabel("predicted probability")
    for axes in (above, below):
        grid(axes)
        axes.xaxis.set_major_formatter(PercentFormatter(1))
    above.yaxis.set_major_formatter(PercentFormatter(1))
    return drawn


def _is_calibrated(material: Material) -> bool:
    return (Path(material.trained.folder) / "calibration.json").exists()


def _of_holdout(material: Material) -> tuple[Floats, Floats]:
    table = pd.read_parquet(material.predictions)
    return shown(table["target"].to_numpy(np.float64), _probabilities(material, table))


def _out_of_fold(material: Material, path: Path) -> tuple[Floats, Floats]:
    """Targets stand there as the user has them."""
    names = [f"probability_{label}" for label in material.problem.classes]
    table = pd.read_parquet(path, columns=["target", *names])
    codes = {str(label): code for code, label in enumerate(material.problem.classes)}
    return shown(table["target"].map(lambda label: codes[str(label)]).to_numpy(np.float64),
                 _probabilities(material, table))


def _probabilities(material: Material, table: pd.DataFrame) -> Floats:
    return table[[f"probability_{label}" for label in material.problem.classes]].to_numpy(np.float64)


def _means(score: Floats, is_hit: Floats) -> tuple[Floats, Floats]:
    bins, once = bins_of(score, N_BINS), np.ones((1, len(score)))
    n_rows = sums(np.ones(len(score)), bins, once)[0]
    return sums(score, bins, once)[0] / n_rows, sums(is_hit, bins, once)[0] / n_rows


def _curve(axes: Axes, score: Floats, is_hit: Floats, colour: str, label: str) -> None:
    axes.plot(*_means(score, is_hit), color=colour, marker="o", markersize=4.5, linewidth=1.4, label=label)


def _band(axes: Axes, score: Floats, bins: npt.NDArray[np.int64], seed: int) -> None:
    generator, once = np.random.default_rng(seed), np.ones((1, len(score)))
    n_rows = sums(np.ones(len(score)), bins, once)[0]
    drawn = [sums((generator.random(len(score)) < score).astype(np.float64), bins, once)[0] for _ in range(N_DRAWS)]
    low, high = np.quantile(np.array(drawn) / n_rows, [0.025, 0.975], axis=0)
    centre = sums(score, bins, once)[0] / n_rows
    told = "by chance, if perfectly calibrated"
    axes.fill_between(centre, low, high, color=MUTED, alpha=0.18, linewidth=0, label=told)
