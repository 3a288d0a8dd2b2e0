"""Where commands look for runs: at what is given, at a server that is up, or in the folder's own database."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from flows.clean import clean
from flows.monitor import monitor
from flows.rollback import rollback
from flows.runs import runs
from flows.score import score
from flows.tracked import is_somewhere
from tasks.refusal import Refusal

COMMANDS: dict[str, Callable[[], object]] = {
    "score": lambda: score(["model_name=sold", "source=file", "source.path=in.csv", "predictions.path=out.csv"]),
    "monitor": lambda: monitor(["model_name=sold"]), "rollback": lambda: rollback(["model_name=sold"]),
    "runs": lambda: runs([]), "clean": lambda: clean([]),
}  # fmt: skip


@contextmanager
def healthy() -> Iterator[str]:
    """The address of something that says that it is well, as MLflow's server does, and knows nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()
            self.wfile.write(b"OK")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_the_environment_names_is_asked_though_nothing_is_here(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refusal, match="here; go to the folder"):
        COMMANDS[command]()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(Refusal, match=r"http://127\.0\.0\.1:9 does not answer"):
        COMMANDS[command]()


def test_a_server_that_keeps_runs_elsewhere_is_found_by_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlruns").mkdir()
    with healthy() as url:
        record = {"url": url, "store": "postgresql+psycopg://me@127.0.0.1/mlflow /srv/artifacts"}
        (tmp_path / "mlruns" / "finefold-mlflow.json").write_text(json.dumps(record))
        assert is_somewhere(None)
    assert not is_somewhere(None)
