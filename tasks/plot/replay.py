"""Replay: each policy's score by period with a mark where its model changed, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tasks.plot._canvas import SERIES, direction, figure, grid, number, printable
from tasks.replayed import Standing, Step

MARKS = {"search": "s", "finetune": "o"}
DASHES = ("-", "--", "-.", ":")


def draw(metric: str, standings: Sequence[Standing], steps: Sequence[Step]) -> Figure:
    """On the left the score by period, on the right the mean score against the seconds that were spent."""
    drawn = figure(
        11,
        4.8,
        f"{metric} by period, and what it cost",
        f"{direction(metric)}. Marks: a new champion for the next period, by a search (square), a fine-tuning (circle)",
    )
    left, right = drawn.subplots(1, 2, width_ratios=(2.2, 1))
    for n, one in enumerate(standings):
        own = [step for step in steps if step.policy == one.policy]
        _lines(left, own, n)
        right.plot(one.seconds, one.score, "D", color=SERIES[n % len(SERIES)], markersize=8, markeredgecolor="white")
        text = f"{printable(one.policy)} {number(one.score, 4)}"
        right.annotate(text, (one.seconds, one.score), (0, 8), textcoords="offset points", fontsize=8.5, ha="center")
    left.tick_params(axis="x", labelrotation=60)
    left.set_ylabel(metric)
    right.set_xlabel("seconds after the first model")
    right.set_ylabel(f"{metric}, mean of the periods")
    right.margins(0.25, 0.15)
    left.legend(frameon=False)
    for axes in (left, right):
        grid(axes)
    return drawn


def _lines(axes: Axes, own: Sequence[Step], n: int) -> None:
    colour = SERIES[n % len(SERIES)]
    scores = [step.score for step in own]
    axes.plot(range(len(own)), scores, DASHES[n % len(DASHES)], color=colour, linewidth=1.6, label=own[0].policy)
    for action, mark in MARKS.items():
        at = [k for k, step in enumerate(own) if step.action == action and step.outcome in ("first", "promoted")]
        axes.plot(at, [scores[k] for k in at], mark, color=colour, markersize=6, markeredgecolor="white")
    every = max(1, len(own) // 24)
    axes.set_xticks(range(0, len(own), every), [step.period for step in own][::every])
