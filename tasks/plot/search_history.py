"""Search history: the value of every trial in the order in which they were proposed, and the best so far."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tasks.evidence import rung_of
from tasks.metric import METRICS
from tasks.plot._canvas import (
    INK,
    MUTED,
    ORANGE,
    PALE,
    RED,
    SERIES,
    direction,
    figure,
    grid,
    limits,
    number,
    printable,
)
from tasks.plot._material import Material
from tasks.records import TrialResult
from tasks.search.genetic import generation

MAX_GENERATIONS_NAMED = 12


def draw(material: Material) -> Figure | None:
    """Left out for a single trial. The band below the winner is one standard error of its mean over the folds: a
    trial within it may owe its place to the draw of the folds."""
    if len(material.results) < 2:
        return None
    finished = [result for _, result in material.finished()]
    n_failed = len(material.results) - len(finished)
    drawn = figure(
        9,
        4.4,
        f"Search history: {len(material.results)} trials",
        f"mean {material.metric} over the folds of each trial; {direction(material.metric)}",
    )
    axes = drawn.subplots()
    _shade_generations(axes, material)
    _show_trials(axes, finished, material)
    _show_best(axes, finished, material)
    if n_failed:
        failed = [result.proposal.number for result in material.results if result.error is not None]
        axes.plot(
            failed,
            np.full(n_failed, 0.015),
            "x",
            color=RED,
            markersize=6,
            markeredgewidth=1.6,
            clip_on=False,
            transform=axes.get_xaxis_transform(),
            label=f"failed ({n_failed})",
            linestyle="none",
        )
    last = max(result.proposal.number for result in material.results)
    axes.set_xlim(-0.02 * last - 0.5, last * 1.02 + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    axes.set_ylabel(f"{material.metric} (validation)")
    grid(axes, "y")
    drawn.legend(loc="outside lower center", ncols=3, frameon=False)
    return drawn


def _show_trials(axes: Axes, finished: list[TrialResult], material: Material) -> None:
    low, high = limits([result.score for result in finished], material.metric)
    axes.set_ylim(low, high)
    for family, colour in zip(material.families, SERIES * 9, strict=False):
        own = [result for result in finished if result.proposal.family == family]
        numbers, values = [result.proposal.number for result in own], np.array([result.score for result in own])
        is_inside = (values >= low) & (values <= high)
        was_stopped = np.array([result.estimate is not None for result in own], dtype=bool)
        name = printable(family) if len(material.families) > 1 else "trial"
        for shown, filling, label in (
            (~was_stopped, colour, name),
            (was_stopped, "none", f"{name}, stopped early (an estimate)"),
        ):
            if shown.any():
                axes.plot(
                    np.array(numbers)[is_inside & shown],
                    values[is_inside & shown],
                    "o",
                    color=colour,
                    markerfacecolor=filling,
                    markersize=4.5,
                    alpha=0.9,
                    label=label,
                )
        is_better_below = not METRICS[material.metric].is_higher_better
        if not is_inside.all():
            axes.plot(
                np.array(numbers)[~is_inside],
                np.full((~is_inside).sum(), high if is_better_below else low),
                "^" if is_better_below else "v",
                color=colour,
                markersize=6,
                clip_on=False,
                alpha=0.9,
                label="far off, beyond the axis",
            )


def _show_best(axes: Axes, finished: list[TrialResult], material: Material) -> None:
    sign = METRICS[material.metric].sign
    # What racing ended early, was judged on less evidence than the winner, or exceeds a limit, can't be the best.
    rung = rung_of(material.results[material.winner.proposal.number].proposal)  # the winner was then judged on all
    rivals = [result for result in finished if result.estimate is None and rung_of(result.proposal) == rung]
    rivals = [result for result in rivals if result.is_feasible]
    best = sign * np.maximum.accumulate([sign * result.score for result in rivals])
    numbers = [result.proposal.number for result in rivals]
    axes.step(
        [*numbers, len(material.results) - 1],
        [*best, best[-1]],
        where="post",
        color=INK,
        linewidth=1.4,
        label="best so far",
    )
    winner = material.winner
    if len(winner.folds) > 1:
        axes.axhspan(
            winner.mean - sign * winner.standard_error,
            winner.mean,
            color=ORANGE,
            alpha=0.13,
            linewidth=0,
            label="within one standard error of the winner",
        )
    axes.plot(
        winner.proposal.number,
        winner.mean,
        "*",
        color=ORANGE,
        markersize=15,
        markeredgecolor="white",
        label=f"winner: trial {winner.proposal.number}, {number(winner.mean, 4)}",
        linestyle="none",
    )


def _shade_generations(axes: Axes, material: Material) -> None:
    """Generations of a genetic search; with several workers the first of one may come before the last of another."""
    ordinals = [generation(trial) for trial in material.study.trials()[: len(material.results)]]
    starts: dict[int, int] = {}
    for trial, ordinal in enumerate(ordinals):
        if ordinal is not None and ordinal > max(starts, default=-1):
            starts[ordinal] = trial
    edges = [start - 0.5 for start in starts.values()] + [len(ordinals) - 0.5]
    for ordinal, (begin, end) in zip(starts, pairwise(edges), strict=True):
        if ordinal % 2 == 0:
            axes.axvspan(begin, end, color=PALE, zorder=0, linewidth=0)
        if len(starts) <= MAX_GENERATIONS_NAMED:
            axes.text(
                (begin + end) / 2,
                1.01,
                f"gen. {ordinal}",
                transform=axes.get_xaxis_transform(),
                ha="center",
                va="bottom",
                color=MUTED,
                fontsize=8,
            )
