"""Pictures of what checks found: drawn where something was measured, left out elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import optuna
import pytest

from tasks.plot import Material, more_labels, slices
from tasks.plot._canvas import RED, styled, write
from tasks.records import Problem, Proposal, Trained, Winner
from tasks.study import opened
from tasks.verdict import Finding, Number, Verdict

LABELS = Finding(
    "more_labels", "told", "", {"estimate_of_the_next_doubling": Number(0.02)},
    {
        "100 rows": {"rows": Number(100), "score": Number(0.80, 0.78, 0.82)},
        "200 rows": {"rows": Number(200), "score": Number(0.84)},
    },
)  # fmt: skip
SCORES = {"base": Number(0.9, 0.85, 0.95), "fine_tuned": Number(0.8, 0.7, 0.9)}
SLICES = Finding("slices", "failed", "", {}, {
    "town=$a": {"rows": Number(60), **SCORES, "worse": Number(0.1, 0.05, 0.15)},
    "town=b": {"rows": Number(70), **SCORES, "worse": Number(0.1, -0.05, 0.25)},
})  # fmt: skip


def material(folder: Path, findings: Sequence[Finding]) -> Material:
    with opened(folder, "digest", is_higher_better=True) as study:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        winner = Winner(Proposal(0, "linear", {}), 0.8, 0.1, (), None)
        return Material(
            folder, Problem("binary", "y", ("no", "yes")), study, (), winner, "roc_auc", "cross_entropy",
            Trained(str(folder), "linear", 1, None), folder, 0, Verdict.of(findings),
        )  # fmt: skip


def test_scores_on_fewer_rows_end_in_the_estimate_for_twice_as_many(tmp_path: Path) -> None:
    with styled():
        drawn = more_labels.draw(material(tmp_path, [LABELS]))
        assert drawn is not None
        measured, foreseen = drawn.axes[0].lines
        assert measured.get_xydata().tolist() == [[100, 0.80], [200, 0.84]]
        assert foreseen.get_xydata().tolist() == [[200, 0.84], [400, pytest.approx(0.86)]]
        assert write(drawn, tmp_path / "labels.png").stat().st_size > 5_000


def test_a_slice_that_got_worse_for_sure_is_red_and_another_is_not(tmp_path: Path) -> None:
    with styled():
        drawn = slices.draw(material(tmp_path, [SLICES]))
        assert drawn is not None
        marks = drawn.axes[0].lines
        assert [mark.get_color() == RED for mark in marks] == [False, True, False, False]
        assert [one.get_text() for one in drawn.axes[0].get_yticklabels()] == [r"town=\$a (60)", "town=b (70)"]
        assert write(drawn, tmp_path / "slices.png").stat().st_size > 5_000


def test_what_was_not_measured_has_no_picture(tmp_path: Path) -> None:
    nothing = material(tmp_path, [Finding("slices", "not_measurable", "", {})])
    assert slices.draw(nothing) is None
    assert more_labels.draw(nothing) is None
