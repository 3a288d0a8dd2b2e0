"""A report that can't be made is a warning, and the run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from flows.report import MORE, beside, ladder, told
from tasks.climb import Climb, Rung
from tasks.comparison import Interval
from tasks.page import Section, Table, Text
from tasks.report import Reported
from tasks.tracking import Tracker

TRACKER = Tracker(cast(Any, None), "sqlite:///x.db", "1", "run", is_resumed=False)


def test_a_report_that_cannot_be_made_is_told_and_has_no_path(capsys: pytest.CaptureFixture[str]) -> None:
    def make() -> Reported:
        raise OSError(28, "No space left on device")

    assert told(TRACKER, make) == ""
    assert "the report: OSError: [Errno 28] No space left on device; all else of the run is there" in (
        capsys.readouterr().out
    )


def test_a_section_that_failed_is_told_and_the_report_has_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    made = Reported(tmp_path / "report.html", "", ("The section data could not be made: [red]KeyError: 'x'",))
    assert told(TRACKER, lambda: made) == "report.html"
    assert "[red]KeyError: 'x'; the rest of the report is there" in capsys.readouterr().out


def test_a_section_beside_is_of_the_reports_within_the_block_alone() -> None:
    section = Section("ladder", "The ladder", [Text("chosen: full")])
    with beside(section):
        assert MORE.get() == (section,)
    assert MORE.get() == ()


def test_the_ladder_has_a_line_for_every_rung_that_was_reached_and_why_others_were_not() -> None:
    score, folds = Interval(0.8, 0.7, 0.9), {0: 0.8}
    rungs = (
        Rung("as_is", score=score, folds=folds, seconds=0.5),
        Rung("full", score=score, folds=folds, difference=Interval(0.01, -0.02, 0.03), seconds=9.0),
        Rung("lora", "strategy=lora: <b>not</b> of this family"),
    )
    made = Climb("binary", "roc_auc", "x", 1, 0.25, "models:/x/1", rungs, "full", "as_is", "", None, "", "run", "http://x")
    section = ladder(made)
    table, points = section.blocks
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["as_is", "full"]
    assert table.strong == {0}
    assert {len(row) for row in table.rows} == {len(table.head)} == {len(table.align)}
    assert points.items[1:] == ["lora: <b>not</b> of this family"]  # type: ignore[union-attr]
