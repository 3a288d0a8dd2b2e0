"""Where a benchmark runs: `finefold run` as a process with a working folder, PREFECT_HOME and port of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows import server
from flows.address import free_port

ROOT = Path(__file__).resolve().parent.parent
CREATED, STATE_SET = 4, 6  # operations of Optuna's journal: a trial was made; its state was set
COMPLETE = 1
KEEP = """
from flows import server
from flows.address import free_port
with server.start() as kept:
    kept.wait()
    print("answers", flush=True)
    input()
"""


@dataclass(frozen=True)
class Place:
    """`folder` gets data/ and mlruns/; `home` is PREFECT_HOME, which places may share; `port` is the server's."""

    folder: Path
    home: Path
    port: int

    def environment(self) -> dict[str, str]:
        """The user's, less what names a Prefect server or an MLflow server of theirs."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
        own = {"PREFECT_HOME": str(self.home), "PREFECT_SERVER_API_PORT": str(self.port), "PYTHONPATH": str(ROOT)}
        return kept | own

    def begin(self, overrides: Sequence[str], verb: str = "run") -> subprocess.Popen[str]:
        """`finefold VERB ... output=json`, begun. What it says goes to files, so that no full pipe can stop it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "flows.cli", verb, "output=json", *overrides]
        with self._said("out").open("w") as out, (self._said("err")).open("w") as error:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment(), stdout=out, stderr=error, text=True
            )

    def finish(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """The JSON object that a run ends with.

        Raises:
            RuntimeError: with what it said, when it ended with another status than 0.
        """
        if process.wait() != 0:
            raise RuntimeError(f"finefold ended with {process.returncode}:\n{self._said('err').read_text()}")
        result: dict[str, Any] = json.loads(self._said("out").read_text().strip().splitlines()[-1])
        return result

    def run(self, overrides: Sequence[str], verb: str = "run") -> dict[str, Any]:
        return self.finish(self.begin(overrides, verb))

    def study(self) -> Path | None:
        """The folder of the one study here, or None before there is one."""
        found = sorted(self.folder.glob("data/studies/*/*"))
        assert len(found) < 2, f"one search, several studies: {found}"
        return found[0] if found else None

    def n_asked(self) -> int:
        """How many trials all studies here have asked for; cheap, for polling."""
        journals = self.folder.glob("data/studies/*/*/journal.log")
        return sum(journal.read_bytes().count(b'{"op_code":%d,' % CREATED) for journal in journals)

    def trials(self) -> tuple[int, int]:
        """How many trials the journal knows, and how many of them are complete; a torn last record counts not."""
        study = self.study()
        if study is None or not (study / "journal.log").exists():
            return 0, 0
        whole, _, _ = (study / "journal.log").read_bytes().rpartition(b"\n")
        records = [json.loads(line) for line in whole.splitlines()]
        n_created = sum(record["op_code"] == CREATED for record in records)
        return n_created, sum(r["op_code"] == STATE_SET and r["state"] == COMPLETE for r in records)

    def stop_server(self) -> bool:
        """Stops the server of this PREFECT_HOME; whether there was one left."""
        record = self.home / "finefold-server.json"
        left = server.Process(**json.loads(record.read_text())) if record.exists() else None
        if left is None or not left.is_alive():
            return False
        left.stop()
        return True

    def _said(self, what: str) -> Path:
        return self.folder / f"finefold.{what}"


@contextmanager
def temporary() -> Iterator[Path]:
    """A folder for places; removed even while a server that ends still writes into it."""
    with tempfile.TemporaryDirectory(prefix="finefold-benchmark-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def fresh(root: Path, name: str, home: Path | None = None, port: int = 0) -> Place:
    """A place that nothing ran in yet; with `home` and `port` of another place it shares that one's server."""
    return Place(root / name, home or root / f"{name}-prefect", port or free_port(0))


@contextmanager
def kept_server(place: Place) -> Iterator[None]:
    """A server that answers before the block begins and that runs until the block has ended."""
    place.home.mkdir(parents=True, exist_ok=True)
    keeper = subprocess.Popen(
        [sys.executable, "-c", KEEP],
        cwd=place.home,
        env=place.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert keeper.stdout
        assert keeper.stdout.readline().strip() == "answers"
        yield
    finally:
        keeper.communicate("\n", timeout=60)
