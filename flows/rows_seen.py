"""How many rows are done: a progress bar in a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from flows import screen


class RowsSeen:
    """Counts rows; those that an interrupted command had done already are no measure of speed."""

    def __init__(self, n_rows: int | None) -> None:
        """n_rows: of the table; None where that isn't known before it is read."""
        self._n_rows = n_rows
        self._n_done = self._n_before = 0
        self._begun = self._last_line = time.monotonic()
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        if sys.stdout.isatty():
            text = TextColumn("{task.completed:,.0f} rows {task.fields[note]}")
            columns = (TextColumn("scored"), BarColumn(), text, TimeElapsedColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=screen.console(), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("rows", total=self._n_rows, note="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def told(self, n_rows: int, was_done: bool) -> None:
        """So many more are done."""
        self._n_done += n_rows
        self._n_before += n_rows if was_done else 0
        if self._bar is not None:
            self._bar.update(self._task, completed=self._n_done, note=self._note())
        elif time.monotonic() - self._last_line > screen.SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            of = "" if self._n_rows is None else f" of {self._n_rows:,}"
            screen.say(f"{self._n_done:,}{of} rows {self._note()}")

    @property
    def n_before(self) -> int:
        return self._n_before

    def _note(self) -> str:
        passed = time.monotonic() - self._begun
        before = f", {self._n_before:,} of them before" if self._n_before else ""
        return f"at {(self._n_done - self._n_before) / max(passed, 1e-9):,.0f} a second{before}"
