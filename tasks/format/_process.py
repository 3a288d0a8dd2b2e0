"""Processes of their own, with this package on their path."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tasks.refusal import Refusal

ROOT = Path(__file__).resolve().parent.parent.parent


def run(command: Sequence[str], key: str) -> None:
    """
    Raises:
        Refusal: where it fails, with the last line that it said and the key that asked for it.
    """
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    if ended.returncode:
        last = " ".join(ended.stderr.strip().splitlines()[-1:])
        raise Refusal(f"{key}: it can't be written or doesn't run ({last}); leave it out.")
