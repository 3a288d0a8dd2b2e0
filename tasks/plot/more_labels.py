"""More labels: the winner's score on fewer labelled rows and on all, and what twice as many would likely bring."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from tasks.metric import METRICS
from tasks.plot._canvas import BLUE, MUTED, direction, figure, grid, number
from tasks.plot._material import Material


def draw(material: Material) -> Figure | None:
    """Left out where that was not measured."""
    found = material.finding("more_labels")
    if found is None or not found.parts:
        return None
    rows = np.array([part["rows"].value for part in found.parts.values()])
    scores = [part["score"] for part in found.parts.values()]
    values = np.array([score.value for score in scores])
    ends = np.array([[score.low, score.high] for score in scores])
    gain = METRICS[material.metric].sign * found.numbers["estimate_of_the_next_doubling"].value
    drawn = figure(
        7.5, 4.2, "The winner on fewer labelled rows",
        "bars: 95 % intervals of the difference to all rows; dashed: an estimate, if errors fall by a power law",
    )  # fmt: skip
    axes = drawn.subplots()
    axes.plot(rows, values, "o-", color=BLUE, linewidth=1.6, markersize=6)
    axes.vlines(rows, ends[:, 0], ends[:, 1], color=BLUE, linewidth=1.4)
    last = float(values[-1])
    axes.plot([rows[-1], 2 * rows[-1]], [last, last + gain], "o--", color=MUTED, linewidth=1.4, markersize=6)
    every = [*rows, 2 * rows[-1]]
    axes.set_xscale("log")
    axes.set_xticks(every, [number(one) for one in every])
    axes.minorticks_off()
    axes.set_xlabel("rows that a fold was trained on")
    axes.set_ylabel(f"{material.metric} of the folds ({direction(material.metric)})")
    grid(axes)
    return drawn
