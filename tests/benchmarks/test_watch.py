"""Processes of a benchmark are watched with all that they start."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil

from benchmarks import watch

CHILD = "import subprocess, sys, time; c = subprocess.Popen(['sleep', '60']); print(c.pid, flush=True); time.sleep(60)"


def test_what_runs_past_its_limit_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    log = tmp_path / "said.txt"
    watched = watch.run([sys.executable, "-c", CHILD], tmp_path, os.environ, log, 3.0)
    assert watched.was_killed
    assert watched.seconds < 10
    pid = int(log.read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_processor_time_of_children_counts_as_own(tmp_path: Path) -> None:
    spin = "import time; e = time.process_time() + 1.5\nwhile time.process_time() < e: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}])"
    watched = watch.run([sys.executable, "-c", parent], tmp_path, os.environ, tmp_path / "said.txt", 60.0)
    assert watched.status == 0
    assert watched.own_share * watched.seconds * (psutil.cpu_count() or 1) >= 1.5
