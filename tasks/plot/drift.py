"""Drift: how far each column is from the rows that a model was trained on, and how those that drifted look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tasks.drift import Drift
from tasks.histogram import Histogram
from tasks.plot._canvas import BLUE, INK, MUTED, ORANGE, RED, figure, grid, number, printable

MOST_COLUMNS = 30
MOST_PANELS = 6
MOST_LEVELS = 8
N_BARS = 12


@dataclass(frozen=True)
class Drifted:
    """drifts: of all columns, the farthest first. before, now: the counts by column. lines: effects that mean
    something, by name."""

    drifts: Sequence[Drift]
    before: Mapping[str, Histogram]
    now: Mapping[str, Histogram]
    lines: Mapping[str, float]


def draw(drifted: Drifted) -> Figure:
    """A bar for each column, the farthest first, red where it drifted."""
    shown = list(drifted.drifts[:MOST_COLUMNS])
    more = f", the {len(shown)} farthest of {len(drifted.drifts)}" if len(shown) < len(drifted.drifts) else ""
    n_drifted = sum(one.is_drifted for one in drifted.drifts)
    drawn = figure(
        8.5, 1.6 + 0.26 * len(shown), f"{n_drifted} of {len(drifted.drifts)} columns drifted",
        f"population stability index, less what chance makes of it{more}; red: drifted, by the test too",
    )  # fmt: skip
    axes = drawn.subplots()
    axes.barh(range(len(shown)), [one.psi for one in shown], color=[RED if one.is_drifted else BLUE for one in shown])
    for style, (name, value) in zip(("--", ":"), drifted.lines.items(), strict=False):
        axes.axvline(value, color=INK, linewidth=1.0, linestyle=style, label=f"{name} {value:g}")
    axes.set_yticks(range(len(shown)), [printable(one.name) for one in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, 1.1 * max([*(one.psi for one in shown), *drifted.lines.values()]))
    axes.legend(loc="lower right")
    grid(axes, "x")
    return drawn


def draw_columns(drifted: Drifted) -> Figure:
    """The farthest columns, before and now, as shares of the rows that have a value."""
    shown = [one.name for one in drifted.drifts[:MOST_PANELS]]
    n_lines = -(-len(shown) // 2)
    drawn = figure(9, 0.9 + 2.4 * n_lines, "The farthest columns", "orange: now; blue: the rows that it was trained on")
    every = np.atleast_1d(drawn.subplots(n_lines, 2, squeeze=False)).ravel()
    for axes, name in zip(every, shown, strict=False):
        _panel(axes, drifted.before[name], drifted.now[name])
        axes.set_title(printable(name, 40))
    for axes in every[len(shown) :]:
        axes.set_axis_off()
    return drawn


def _panel(axes: Axes, before: Histogram, now: Histogram) -> None:
    was, is_ = (np.array(one.counts, dtype=np.float64) / max(1, sum(one.counts)) for one in (before, now))
    if before.kind == "level":
        order = np.argsort(-np.maximum(was, is_), kind="stable")[:MOST_LEVELS]
        names = [*map(str, before.bounds), "others"]
        labels = [printable(names[place], 12) for place in order]
        was, is_ = was[order], is_[order]
    else:
        edges = _coarse(was)
        labels = _labels(before, edges)
        was, is_ = (np.add.reduceat(one, edges) for one in (was, is_))
    places = np.arange(len(was))
    axes.bar(places - 0.2, was, width=0.4, color=BLUE)
    axes.bar(places + 0.2, is_, width=0.4, color=ORANGE)
    axes.set_xticks(places, labels, rotation=30, ha="right", color=MUTED)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    grid(axes, "y")


def _coarse(was: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[int]:
    """Where each of about twelve bars of equally many rows of the reference begins among its bins."""
    begins = np.searchsorted(np.cumsum(was), np.arange(N_BARS) / N_BARS, side="right")
    return sorted({0, *(int(place) for place in begins if place < len(was))})


def _labels(column: Histogram, begins: Sequence[int]) -> list[str]:
    """The upper end of each bar; the first holds what lies below all values of before, the last what lies above too."""
    edges = [number(float(edge)) for edge in column.bounds]
    if len(begins) < 3 or not edges:
        return ["" for _ in begins]
    between = [f"≤ {edges[begin - 1]}" for begin in begins[2:]]
    return ["below", *between, f"> {edges[begins[-1] - 1]}"]
