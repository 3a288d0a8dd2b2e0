"""Fold scheme: which rows train and which validate in each fold, over time or fold by fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from tasks.folds import read_folds
from tasks.plot._canvas import GRID, INK, MUTED, ORANGE, SERIES, figure, printable
from tasks.plot._material import Material
from tasks.records import Problem

MAX_COLUMNS = 500
IDLE, TRAIN, VALID = 0, 1, 2
COLOURS = ("#eceef1", "#a9c8e6", ORANGE)
NAMES = ("takes no part", "trains", "validates")


@dataclass(frozen=True)
class _Strip:
    """A band below the folds: one colour per column, (n_columns, 4) in 0..1, and what some of them stand for."""

    label: str
    colours: npt.NDArray[np.float64]
    legend: tuple[tuple[str, Any], ...] = ()


def draw(material: Material) -> Figure:
    """Rows run from left to right: in the order of time where there is one, else by the fold that validates them,
    then by group and target. Of more than 500 rows every n-th is shown."""
    roles = pd.read_parquet(material.split / "train_roles.parquet")
    use = _use(read_folds(material.split), len(roles))
    order = _order(roles, use)
    shown = order[np.unique(np.linspace(0, len(order) - 1, min(MAX_COLUMNS, len(order))).astype(int))]
    strips = _strips(roles.iloc[shown], material.problem)
    n_holdout = pq.read_metadata(material.split / "holdout_features.parquet").num_rows
    subtitle = f"{_how_ordered(roles)}; the {n_holdout:,} rows of the holdout take no part"
    if len(shown) < len(order):
        subtitle = f"{len(shown)} of {len(order):,} training rows, evenly spaced, {subtitle}"
    else:
        subtitle = f"{len(order):,} training rows, {subtitle}"

    height = min(6.0, max(1.0, 0.3 * len(use)))
    drawn = figure(10, 1.85 + height + 0.3 * len(strips), f"Fold scheme: {len(use)} folds", subtitle)
    axes = np.atleast_1d(
        drawn.subplots(1 + len(strips), 1, sharex=True, height_ratios=[height, *(0.22 for _ in strips)])
    )
    _show_folds(axes[0], use[:, shown], len(order))
    for below, strip in zip(axes[1:], strips, strict=True):
        _show_strip(below, strip, len(order))
    for one in axes:
        _show_holdout(one, len(order), n_holdout, is_named=one is axes[0])
    axes[-1].set_xlabel("rows, the earliest on the left" if "time" in roles else "rows")
    entries = [Patch(color=COLOURS[code], label=NAMES[code]) for code in (TRAIN, VALID, IDLE) if (use == code).any()]
    entries += [Patch(color=colour, label=name) for strip in strips for name, colour in strip.legend]
    drawn.legend(handles=entries, loc="outside lower left", ncols=min(len(entries), 7), frameon=False)
    return drawn


def _use(folds: Sequence[tuple[Any, Any]], n_rows: int) -> npt.NDArray[np.int8]:
    """(n_folds, n_rows): what each row does in each fold."""
    use = np.full((len(folds), n_rows), IDLE, dtype=np.int8)
    for k, (train, valid) in enumerate(folds):
        use[k, train] = TRAIN
        use[k, valid] = VALID
    return use


def _order(roles: pd.DataFrame, use: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
    is_valid = use == VALID
    first = np.where(is_valid.any(axis=0), is_valid.argmax(axis=0), -1)
    group = pd.factorize(roles["group"])[0] if "group" in roles else np.zeros(len(roles))
    leading = [pd.factorize(roles["time"], sort=True)[0]] if "time" in roles else [group, first]
    return np.lexsort([roles["target"].to_numpy(), *leading])


def _how_ordered(roles: pd.DataFrame) -> str:
    if "time" in roles:
        return "in the order of time"
    return f"ordered by the fold that validates them, then by {'group and ' if 'group' in roles else ''}target"


def _strips(roles: pd.DataFrame, problem: Problem) -> list[_Strip]:
    strips = []
    if "group" in roles:
        codes = pd.factorize(roles["group"])[0]
        strips.append(_Strip("group", np.asarray(matplotlib.colormaps["tab20"](codes % 20))))
    target = roles["target"].to_numpy(dtype=np.float64)
    if not problem.is_classification:
        ranks = pd.Series(target).rank(pct=True).to_numpy()
        viridis = matplotlib.colormaps["viridis"]
        legend = (("smallest target", viridis(0.0)), ("largest target", viridis(1.0)))
        return [*strips, _Strip("target", np.asarray(viridis(ranks)), legend)]
    codes, k = target.astype(int), len(problem.classes)
    if k <= len(SERIES):
        colours = matplotlib.colors.to_rgba_array([SERIES[(code + 2) % len(SERIES)] for code in range(k)])
        named = tuple((printable(label, 20), colours[code]) for code, label in enumerate(problem.classes))
        return [*strips, _Strip("class", colours[codes], named)]
    return [*strips, _Strip("class", np.asarray(matplotlib.colormaps["nipy_spectral"](0.05 + 0.9 * codes / (k - 1))))]


def _show_folds(axes: Axes, use: npt.NDArray[np.int8], n_rows: int) -> None:
    n_folds = len(use)
    axes.imshow(
        use,
        cmap=ListedColormap(COLOURS),
        vmin=IDLE,
        vmax=VALID,
        aspect="auto",
        interpolation="nearest",
        extent=(0, n_rows, n_folds - 0.5, -0.5),
    )
    axes.set_yticks(range(0, n_folds, max(1, round(n_folds / 20))))
    axes.set_ylabel("fold")
    axes.hlines(np.arange(n_folds - 1) + 0.5, 0, n_rows, color="white", linewidth=2 if n_folds <= 20 else 0.6)
    _bare(axes)


def _show_strip(axes: Axes, strip: _Strip, n_rows: int) -> None:
    axes.imshow(strip.colours[None], aspect="auto", interpolation="nearest", extent=(0, n_rows, 0, 1))
    axes.set_yticks([0.5], [strip.label])
    _bare(axes)


def _show_holdout(axes: Axes, n_rows: int, n_holdout: int, *, is_named: bool) -> None:
    gap = 0.008 * (n_rows + n_holdout)
    low, high = axes.get_ylim()
    axes.add_patch(
        Rectangle(
            (n_rows + gap, low),
            n_holdout,
            high - low,
            facecolor="white",
            edgecolor=MUTED,
            hatch="////",
            linewidth=0,
            hatch_linewidth=0.5,
            alpha=0.6,
        )
    )
    if is_named:
        axes.text(
            n_rows + gap + n_holdout / 2,
            (low + high) / 2,
            "holdout",
            rotation=90,
            ha="center",
            va="center",
            color=INK,
            fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
        )
    axes.set_xlim(0, n_rows + n_holdout + gap)
    axes.set_ylim(low, high)


def _bare(axes: Axes) -> None:
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.tick_params(axis="x", length=3, color=GRID)
