"""Comparison: what each choice had reached by the time that so much was spent, with a band over the folds.

    n   points of a course        k   folds        m   choices
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tasks.course import Course, Floats
from tasks.plot._canvas import SERIES, figure, grid, number, printable

DASHES = ("-", "--", "-.", ":")
MARKS = "osD^vPX*"


@dataclass(frozen=True)
class Compared:
    """The courses of all choices. score and budget: labels of the axes. is_higher_better: of the score. reached: what a
    point stands for."""

    courses: Sequence[Course]
    score: str
    is_higher_better: bool
    reached: str
    budget: str


def draw(compared: Compared) -> Figure:
    """The mean over the folds, within a band of one standard error of it.

    What a fold has in common for all choices (some are harder than others) is taken out of the band, which would
    otherwise hide every difference: each fold's scores less its mean over the choices' ends, errors times m / (m - 1)
    under the root (Cousineau 2005; Morey 2008). No band where choices have other folds.
    """
    which = "higher" if compared.is_higher_better else "lower"
    drawn = figure(
        9,
        4.8,
        f"{compared.score} against the budget that was spent",
        f"{compared.reached}; {which} is better. Band: one standard error over the folds, without what a fold has in "
        "common for all",
    )
    axes = drawn.subplots()
    common = _common(compared.courses)
    lines = []
    for n, course in enumerate(compared.courses):
        mean = course.scores.mean(axis=1)
        error = _error(course, common, len(compared.courses))
        lines.append((course, mean, error))
        _show(axes, course, mean, error, n)
    _fit(axes, lines)
    axes.set_xlim(left=0)
    axes.set_xlabel(compared.budget)
    axes.set_ylabel(f"{compared.score}, mean of the folds")
    grid(axes)
    drawn.legend(loc="outside right center", frameon=False, title="at the end", alignment="left")
    return drawn


def _common(courses: Sequence[Course]) -> Floats | None:
    """(k,): by how much each fold's scores lie off the mean for all choices, as these end; None for unequal folds."""
    if len({course.scores.shape[1] for course in courses}) > 1 or courses[0].scores.shape[1] < 2:
        return None
    ends = np.stack([course.scores[-1] for course in courses])
    return np.asarray(ends.mean(axis=0) - ends.mean())


def _error(course: Course, common: Floats | None, m: int) -> Floats | None:
    """(n,): the standard error of the mean; of a single choice with all that its folds differ by."""
    if common is None:
        return None
    k = course.scores.shape[1]
    if m == 1:
        return np.asarray(course.scores.std(axis=1, ddof=1) / np.sqrt(k))
    return np.asarray((course.scores - common).std(axis=1, ddof=1) / np.sqrt(k) * np.sqrt(m / (m - 1)))


def _show(axes: Axes, course: Course, mean: Floats, error: Floats | None, n: int) -> None:
    colour, dash = SERIES[n % len(SERIES)], DASHES[n % len(DASHES)]
    name = f"{printable(course.name, 40)}: {number(float(mean[-1]), 4)}"
    if course.is_flat:
        axes.axhline(mean[0], color=colour, linestyle=dash, linewidth=1.6, label=f"{name} (no rounds)")
        if error is not None:
            axes.axhspan(mean[0] - error[0], mean[0] + error[0], color=colour, alpha=0.12, linewidth=0)
        return
    axes.step(course.spent, mean, where="post", color=colour, linestyle=dash, linewidth=1.6, label=name)
    axes.plot(course.spent[-1], mean[-1], MARKS[n % len(MARKS)], color=colour, markersize=6, markeredgecolor="white")
    if error is not None:
        axes.fill_between(
            course.spent, mean - error, mean + error, step="post", color=colour, alpha=0.12, linewidth=0
        )


def _fit(axes: Axes, lines: Sequence[tuple[Course, Floats, Floats | None]]) -> None:
    """Shows all that was reached after the first tenth of the budget: what was before may lie so far off that nothing
    else is seen."""
    last = max((course.spent[-1] for course, _, _ in lines if not course.is_flat), default=0.0)
    shown = []
    for course, mean, error in lines:
        is_late = np.ones(1, bool) if course.is_flat else course.spent >= 0.1 * last
        is_late[-1] = True
        reach = np.zeros(len(mean)) if error is None else error
        shown += [(mean - reach)[is_late], (mean + reach)[is_late]]
    values = np.concatenate(shown)
    margin = 0.06 * float(values.max() - values.min()) or 0.05 * abs(float(values.max())) or 1.0
    axes.set_ylim(float(values.min()) - margin, float(values.max()) + margin)
