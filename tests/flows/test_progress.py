"""The table of the best trials as a person sees it."""

from __future__ import annotations

from typing import Any

from flows.progress import shown

ALIKE = {"folds": 5, "stopped early": False, "model": "lightgbm", "max_bin": 255}


def test_best_trials_are_shown_by_that_alone_in_which_they_differ() -> None:
    rows: list[dict[str, Any]] = [
        {"trial": 3, "roc_auc": 0.99515443816, "seconds": 1.25, **ALIKE, "lambda_l1": 8.66168e-06},
        {"trial": 0, "roc_auc": 0.9, "seconds": 1.25, **ALIKE, "lambda_l1": 1.0},
    ]
    assert shown(rows, "roc_auc") == [
        {"trial": 3, "roc_auc": 0.99515, "seconds": 1.25, "model": "lightgbm", "lambda_l1": 8.6617e-06},
        {"trial": 0, "roc_auc": 0.9, "seconds": 1.25, "model": "lightgbm", "lambda_l1": 1.0},
    ]


def test_trials_of_several_families_share_a_table() -> None:
    rows = [{"trial": 0, "rmse": 1.5, "model": "linear", "alpha": 0.1}, {"trial": 1, "rmse": 2.5, "model": "forest"}]
    assert shown(rows, "rmse")[1] == {"trial": 1, "rmse": 2.5, "model": "forest", "alpha": ""}
