"""How many rows are done, in a terminal and elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from flows import screen
from flows.rows_seen import RowsSeen

BAR = """
import time
from flows.rows_seen import RowsSeen
with RowsSeen(1_000) as seen:
    seen.told(250, True)
    seen.told(500, False)
    time.sleep(0.3)
"""


def test_lines_count_rows_and_take_none_of_before_for_speed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(screen, "SECONDS_BETWEEN_LINES", -1.0)
    with RowsSeen(1_000) as seen:
        seen.told(100, True)
        seen.told(200, False)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "100 of 1,000 rows at 0 a second, 100 of them before"
    assert second.startswith("300 of 1,000 rows at ")
    assert seen.n_before == 100


def test_a_terminal_has_a_bar() -> None:
    terminal, end = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", BAR], stdout=end, stderr=end, env=environment) as process:
        assert process.wait() == 0
    os.close(end)
    said = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert "scored" in said
    assert "━" in said
    assert "750 rows at" in said
    assert "250 of them before" in said
