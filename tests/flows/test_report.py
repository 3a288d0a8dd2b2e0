"""A report that can't be made is a warning, and the run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from flows.report import MORE, beside, told
from tasks.page import Section, Text
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
