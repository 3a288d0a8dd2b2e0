"""Parallel coordinates: every trial as a line through its hyperparameters to its value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from tasks.metric import METRICS
from tasks.plot._canvas import GRID, INK, MUTED, direction, figure, limits, number, printable
from tasks.plot._material import Material

TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
MAX_LEVELS_NAMED = 12


@dataclass(frozen=True)
class _Scale:
    """One upright axis: where each trial crosses it, (n_trials,) in 0..1, and labels at some heights."""

    name: str
    heights: npt.NDArray[np.float64]
    labels: tuple[tuple[float, str], ...]


def draw(material: Material) -> Figure | None:
    """One panel for each family of which at least two trials differ in a hyperparameter; the winner is drawn bold."""
    shown = [family for family in material.families if material.searched(family)]
    if not shown:
        return None
    n_axes = max(len(material.searched(family)) for family in shown) + 1
    height = 1.0 + 3.5 * len(shown)
    drawn = figure(
        max(8.0, min(24.0, 1.3 * n_axes + 1.5)),
        height,
        "Parallel coordinates of the trials",
        f"coloured by {material.metric} ({direction(material.metric)}); the winner, trial "
        f"{material.winner.proposal.number}, is bold",
    )
    low, high = limits([result.score for _, result in material.finished()], material.metric)
    norm, colours = Normalize(low, high), _colours(material.metric)
    panels = np.atleast_1d(drawn.subplots(len(shown), 1))
    for axes, family in zip(panels, shown, strict=True):
        _panel(axes, material, family, norm, colours)
    bar = drawn.colorbar(
        ScalarMappable(norm, colours),
        ax=panels.tolist(),
        label=f"{material.metric} (validation)",
        pad=0.015,
        aspect=30,
        fraction=0.03,
    )
    bar.outline.set_visible(False)
    return drawn


def _colours(metric: str) -> Colormap:
    """Dark is good, whichever way the metric goes; without the palest end, which is not seen on white."""
    pale_to_dark = matplotlib.colormaps["viridis_r"](np.linspace(0.05, 1.0, 256))
    ordered = pale_to_dark if METRICS[metric].is_higher_better else pale_to_dark[::-1]
    return matplotlib.colors.ListedColormap(ordered)


def _panel(axes: Axes, material: Material, family: str, norm: Normalize, colours: Colormap) -> None:
    pairs = material.finished(family)
    names = material.searched(family)
    values = np.array([result.score for _, result in pairs])
    scales = [
        _scale(label, [trial.params[name] for trial, _ in pairs], pairs[0][0].distributions[name])
        for name, label in names.items()
    ]
    scales.append(_value_scale(material.metric, values, norm))
    heights = np.column_stack([scale.heights for scale in scales])
    order = np.argsort(METRICS[material.metric].sign * values, kind="stable")  # the best on top
    lines = np.stack([np.broadcast_to(np.arange(len(scales)), heights.shape), heights], axis=2)
    axes.add_collection(
        LineCollection(
            list(lines[order]),
            colors=colours(norm(values[order])),
            linewidths=1.3,
            alpha=0.75 if len(pairs) < 60 else 0.5,
        )
    )
    is_winner = np.array([trial.number == material.winner.proposal.number for trial, _ in pairs])
    for line in lines[is_winner]:
        axes.plot(line[:, 0], line[:, 1], color="white", linewidth=5.5, zorder=3)
        axes.plot(line[:, 0], line[:, 1], color=INK, linewidth=2.8, marker="o", markersize=5, zorder=3)
    _show_scales(axes, scales)
    axes.set_title(f"{printable(family)}, {len(pairs)} trials", pad=10)


def _show_scales(axes: Axes, scales: list[_Scale]) -> None:
    axes.set_xlim(-0.35, len(scales) - 0.85)
    axes.set_ylim(-0.04, 1.04)
    for at, scale in enumerate(scales):
        axes.plot([at, at], [0, 1], color=MUTED, linewidth=1.1, zorder=2)
        for height, label in scale.labels:
            axes.plot([at - 0.02, at], [height, height], color=MUTED, linewidth=1.0, zorder=2)
            axes.text(
                at - 0.035,
                height,
                label,
                ha="right",
                va="center",
                fontsize=7.5,
                color=INK,
                zorder=4,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8},
            )
    names = [printable(scale.name, 20) for scale in scales]
    is_dense = max(len(name) for name in names) > 16 and len(names) > 4
    axes.set_xticks(
        range(len(scales)),
        names,
        rotation=18 if is_dense else 0,
        ha="right" if is_dense else "center",
        rotation_mode="anchor",
    )
    axes.set_yticks([])
    axes.tick_params(length=0, pad=6)
    axes.spines[:].set_visible(False)
    axes.axhline(0, color=GRID, linewidth=0.5, zorder=0)


def _scale(name: str, values: list[Any], distribution: BaseDistribution) -> _Scale:
    if isinstance(distribution, CategoricalDistribution):
        return _level_scale(name, values, list(distribution.choices))
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high = min(distribution.low, *values), max(distribution.high, *values)
    forward, back = (np.log, np.exp) if distribution.log else (np.asarray, np.asarray)
    ends = forward(np.array([low, high], dtype=np.float64))

    def heights(of: npt.ArrayLike) -> npt.NDArray[np.float64]:
        return np.asarray((forward(np.asarray(of, dtype=np.float64)) - ends[0]) / (ends[1] - ends[0]))

    ticks = back(ends[0] + np.array(TICKS) * (ends[1] - ends[0]))
    if isinstance(distribution, IntDistribution):
        ticks = np.unique(np.rint(ticks))
    labels = [number(tick, 3 if isinstance(distribution, IntDistribution) else 2) for tick in ticks]
    return _Scale(name, heights(values), tuple(zip(heights(ticks).tolist(), labels, strict=True)))


def _level_scale(name: str, values: list[Any], choices: list[Any]) -> _Scale:
    span = max(1, len(choices) - 1)
    heights = np.array([choices.index(value) / span for value in values])
    every = -(-len(choices) // MAX_LEVELS_NAMED)
    return _Scale(name, heights, tuple((at / span, printable(choices[at], 12)) for at in range(0, len(choices), every)))


def _value_scale(metric: str, values: npt.NDArray[np.float64], norm: Normalize) -> _Scale:
    """The metric, the better end above; what lies beyond the axis is drawn at its end."""
    heights = np.clip(np.asarray(norm(values), dtype=np.float64), 0, 1)
    at = np.array(TICKS)
    ticks = norm.inverse(at)
    if not METRICS[metric].is_higher_better:
        heights, at = 1 - heights, 1 - at
    return _Scale(
        metric, heights, tuple((float(height), number(tick, 4)) for height, tick in zip(at, ticks, strict=True))
    )
