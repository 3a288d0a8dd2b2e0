"""The picture of a comparison: one line per choice, a band without what folds have in common, nothing far off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from tasks.course import Course
from tasks.plot import Compared, draw_comparison
from tasks.plot.comparison import draw

HARD = np.array([0.0, 0.1, -0.1])  # what folds differ by for all choices


def course(name: str, ends: list[float], n: int = 4) -> Course:
    scores = np.linspace(0.5, 1, n)[:, None] * np.array(ends) + HARD
    return Course(name, np.arange(1, n + 1) * 3.0, scores)


def compared(*courses: Course) -> Compared:
    return Compared(courses, "roc_auc", True, "best trial so far", "fold fits")


def test_every_choice_is_named_with_what_it_reached() -> None:
    drawn = draw(compared(course("search=a", [0.8, 0.8, 0.8]), course("search=$b", [0.9, 0.9, 0.9])))
    (legend,) = drawn.legends
    assert [text.get_text() for text in legend.get_texts()] == ["search=a: 0.8", r"search=\$b: 0.9"]


def test_the_band_holds_nothing_that_folds_have_in_common() -> None:
    axes = draw(compared(course("a", [0.8] * 3), course("b", [0.9] * 3))).axes[0]
    ends = [band.get_paths()[0].get_extents().height for band in axes.collections]
    assert axes.get_ylim()[1] - axes.get_ylim()[0] < 0.6
    assert max(ends) < 0.46  # the rise of the mean itself, and no spread of 0.1 on top of it


def test_the_band_of_differences_is_that_of_morey() -> None:
    a, b = course("a", [0.8, 0.82, 0.84]), course("b", [0.9, 0.9, 0.9])
    axes = draw(compared(a, b)).axes[0]
    ours = a.scores[-1] - (a.scores[-1] + b.scores[-1]) / 2 + (a.scores[-1].mean() + b.scores[-1].mean()) / 2
    error = ours.std(ddof=1) / np.sqrt(3) * np.sqrt(2 / 1)
    assert axes.collections[0].get_paths()[0].vertices[:, 1].max() == pytest.approx(a.scores[-1].mean() + error)


def test_choices_with_other_folds_have_no_band() -> None:
    single = Course("b", np.array([3.0]), np.array([[0.7]]))
    assert not draw(compared(course("a", [0.8, 0.9, 0.9]), single)).axes[0].collections


def test_a_start_that_is_far_off_does_not_press_the_rest_into_a_line() -> None:
    far = Course("a", np.array([1.0, 50, 100]), np.array([[-900.0] * 3, [0.8, 0.8, 0.8], [0.9, 0.8, 0.9]]))
    low, high = draw(compared(far)).axes[0].get_ylim()
    assert high - low < 1


def test_a_family_without_rounds_is_a_line_across(tmp_path: Path) -> None:
    flat = Course("model=linear", np.array([]), np.array([[0.8, 0.9, 0.7]]))
    path = draw_comparison(tmp_path / "some" / "comparison.png", compared(course("model=lightgbm", [0.8] * 3), flat))
    assert imread(path).std() > 0.05
    (legend,) = draw(compared(course("a", [0.8] * 3), flat)).legends
    assert legend.get_texts()[1].get_text() == "model=linear: 0.8 (no rounds)"
