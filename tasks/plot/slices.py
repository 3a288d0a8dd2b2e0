"""Slices: the score on each part of the holdout, of the base and of the model."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tasks.plot._canvas import BLUE, MUTED, RED, direction, figure, grid, printable
from tasks.plot._material import Material
from tasks.verdict import Number

MOST = 40  # slices that are drawn, the largest first


def draw(material: Material) -> Figure | None:
    """Left out where no slice was judged."""
    found = material.finding("slices")
    if found is None or not found.parts:
        return None
    largest = sorted(found.parts, key=lambda name: -found.parts[name]["rows"].value)[:MOST]
    shown = {name: part for name, part in found.parts.items() if name in largest}
    drawn = figure(
        8.5, 1.5 + 0.36 * len(shown), "Parts of the holdout",
        "95 % intervals of their rows" + "; red: worse than with the base, by the interval of the change" * any(
            "worse" in part for part in shown.values()
        ),
    )  # fmt: skip
    axes = drawn.subplots()
    for place, part in enumerate(shown.values()):
        is_worse = "worse" in part and part["worse"].low > 0
        if "base" in part:
            _mark(axes, part["base"], place - 0.14, MUTED)
        _mark(axes, part["fine_tuned"], place + 0.14, RED if is_worse else BLUE)
    _label(axes, [f"{printable(name)} ({part['rows'].value:,.0f})" for name, part in shown.items()])
    axes.set_xlabel(f"{material.metric} ({direction(material.metric)})")
    names = {"base": MUTED, "model": BLUE} if any("base" in part for part in shown.values()) else {"model": BLUE}
    handles = [Line2D([], [], color=colour, marker="o", label=name) for name, colour in names.items()]
    drawn.legend(handles=handles, loc="outside right upper", frameon=False)
    return drawn


def _mark(axes: Axes, score: Number, place: float, colour: str) -> None:
    axes.hlines(place, score.low, score.high, color=colour, linewidth=1.6)
    axes.plot(score.value, place, "o", color=colour, markersize=5.5)


def _label(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    grid(axes, "x")
