"""Versions of a name in a real registry, and processes that promote them at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

ROOT = Path(__file__).parent.parent.parent
PROMOTE = """
import sys, time
from pathlib import Path
from tasks import aliases, tracking
uri, name, number, place = sys.argv[1:]
client, uri = tracking.connect(uri)
(Path(place) / f"ready-{number}").touch()
while not (Path(place) / "go").exists():
    time.sleep(0.001)
while True:
    champion = aliases.settled(client, uri, name)[0].champion
    try:
        aliases.promote(client, uri, name, int(number), champion)
        break
    except aliases.MovedError:
        pass
"""


def versions(client: MlflowClient, name: str, n: int) -> None:
    """So many versions, of which the first is the champion."""
    client.create_registered_model(name)
    for _ in range(n):
        client.create_model_version(name, "s3://nowhere/model")
    client.set_registered_model_alias(name, "champion", "1")


def promote_at_once(uri: str, name: str, numbers: Sequence[int], place: Path) -> None:
    """Each version in a process of its own, all let go in one moment."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", PROMOTE, uri, name, str(number), str(place)], env=environment
        )
        for number in numbers
    ]
    while not all((place / f"ready-{number}").exists() for number in numbers):
        assert all(process.poll() is None for process in running)
        time.sleep(0.01)
    (place / "go").touch()
    assert [process.wait() for process in running] == [0] * len(numbers)
