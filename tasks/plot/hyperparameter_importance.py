"""Hyperparameter importance: how much of the difference between trials each searched hyperparameter explains."""

from __future__ import annotations

import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from tasks.plot._canvas import BLUE, figure, grid, printable
from tasks.plot._material import Material

MIN_TRIALS = 8  # fewer than some ten random points hardly tell two hyperparameters apart


def draw(material: Material) -> Figure | None:
    """By functional ANOVA (Hutter et al. 2014), one panel for each family with enough trials. It describes the trials
    that were made: a search that stays where it is good sees little of the effect that led it there."""
    shares = {family: _shares(material, family) for family in material.families}
    shown = {family: share for family, share in shares.items() if share}
    if not shown:
        return None
    n_bars = [len(share) for share in shown.values()]
    drawn = figure(
        8,
        1.3 + 0.3 * sum(n_bars) + 0.45 * len(shown),
        "Hyperparameter importance",
        f"how much each explains of the differences of {material.metric} between trials (fANOVA)",
    )
    panels = np.atleast_1d(drawn.subplots(len(shown), 1, sharex=True, height_ratios=n_bars))
    for axes, (family, share) in zip(panels, shown.items(), strict=True):
        _bars(axes, share)
        axes.set_title(f"{printable(family)}, {len(material.finished(family))} trials")
    panels[-1].set_xlim(0, 112 * max(max(share.values()) for share in shown.values()))
    panels[-1].set_xlabel("share of the explained variance (%)")
    return drawn


def _shares(material: Material, family: str) -> dict[str, float]:
    """Hyperparameter to share, the largest first; empty where there is too little to learn from."""
    trials = [trial for trial, _ in material.finished(family)]
    names = material.searched(family)
    if len(trials) < MIN_TRIALS or len(names) < 2 or len({trial.value for trial in trials}) < 2:
        return {}
    study = optuna.create_study(direction=material.study.optuna.direction)
    study.add_trials(
        [
            create_trial(
                value=trial.value,
                params={name: trial.params[name] for name in names},
                distributions={name: trial.distributions[name] for name in names},
            )
            for trial in trials
        ]
    )
    n_trees = max(4, min(64, 4_000 // len(trials)))  # 0.4 s for 200 trials and for 1,000
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(n_trees=n_trees, seed=material.seed))
    return {names[name]: float(share) for name, share in sorted(found.items(), key=lambda item: -item[1])}


def _bars(axes: Axes, share: dict[str, float]) -> None:
    percent = 100 * np.array(list(share.values()))
    bars = axes.barh(range(len(share)), percent, color=BLUE, height=0.66)
    axes.bar_label(
        bars, [f"{value:.1f}" if value < 10 else f"{value:.0f}" for value in percent], padding=4, fontsize=8.5
    )
    axes.set_yticks(range(len(share)), [printable(name) for name in share])
    axes.invert_yaxis()
    axes.spines["left"].set_visible(False)
    grid(axes, "x")
    axes.tick_params(axis="y", length=0)
