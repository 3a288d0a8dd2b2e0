"""Learning curve: the score that early stopping watched, round by round, in each fold of the winner."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tasks.course import watched_by
from tasks.plot._canvas import BLUE, INK, SERIES, figure, grid
from tasks.plot._material import Material
from tasks.study import FoldRecord, fold_file, read_fold


def draw(material: Material) -> Figure | None:
    """Left out for a family that has no rounds, and where the curves have less than two points."""
    winner = material.winner
    stored = [read_fold(fold_file(material.study.folder, winner.proposal, fold.fold)) for fold in winner.folds]
    records = [record for record in stored if record is not None and record.score.rounds is not None]
    if not records or max(len(record.curve) for record in records) < 2:
        return None
    drawn = figure(
        9,
        4.4,
        f"Learning curve of the winner, trial {winner.proposal.number}",
        "● the round that each fold chose; the dashed line: what all training rows ask for",
    )
    axes = drawn.subplots()
    are_named = len(records) <= len(SERIES)
    for record, colour in zip(records, SERIES if are_named else len(records) * [BLUE], strict=False):
        name = f"fold {record.score.fold}: {record.score.rounds:,}" if are_named else None
        _show(axes, record, colour, name)
    if winner.rounds is not None:
        axes.axvline(
            winner.rounds, color=INK, linestyle="--", linewidth=1.3, label=f"for all training rows: {winner.rounds:,}"
        )
    _fit(axes, records)
    axes.set_xlabel("round")
    axes.set_ylabel(_watched(records, material))
    grid(axes)
    drawn.legend(
        loc="outside right upper",
        frameon=False,
        title="chosen round" if are_named else f"{len(records)} folds",
        alignment="left",
    )
    return drawn


def _show(axes: Axes, record: FoldRecord, colour: str, name: str | None) -> None:
    rounds, values = zip(*record.curve, strict=True)
    chosen = record.score.rounds or 0
    axes.plot(rounds, values, color=colour, linewidth=1.5, alpha=0.85, label=name)
    at = np.interp(chosen, rounds, values)
    axes.plot(chosen, at, "o", color=colour, markersize=7.5, markeredgecolor="white", zorder=3)


def _fit(axes: Axes, records: list[FoldRecord]) -> None:
    """Shows the later 80 % of the rounds in full: the first rounds may lie so far off that nothing else is seen."""
    late = np.concatenate([[value for _, value in record.curve[len(record.curve) // 10 :]] for record in records])
    margin = 0.06 * (late.max() - late.min()) or 0.05 * abs(late.max()) or 1.0
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, late.min() - margin), min(high, late.max() + margin))


def _watched(records: list[FoldRecord], material: Material) -> str:
    shown = {"metric": material.metric, "cost": f"cost ({material.loss})", None: "watched score"}
    return f"{shown[watched_by(records)]} on the validation rows"
