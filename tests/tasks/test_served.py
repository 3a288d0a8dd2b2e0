"""The MLflow server of `finefold up`, found by its record where it answers, and what runs make of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import mlflow
import pytest

from tasks import tracking
from tasks.served import RECORD, own_store, served


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"OK")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's name
        pass


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Something that answers as MLflow's server does."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def record(root: Path, url: str, store: str) -> None:
    (root / RECORD).write_text(json.dumps({"url": url, "store": store}))


def test_runs_write_into_the_folder_that_a_server_shows_and_link_to_it(url: str, tmp_path: Path) -> None:
    record(tmp_path, url, own_store(tmp_path))
    assert tracking.address(None, tmp_path) is None
    tracker = tracking.Tracker(mlflow.MlflowClient(url), f"sqlite:///{tmp_path}/mlflow.db", "1", "abc", False)
    assert tracker.url == f"{url}/#/experiments/1/runs/abc?workflowType=machine_learning"


def test_runs_go_through_a_server_that_keeps_them_elsewhere(url: str, tmp_path: Path) -> None:
    record(tmp_path, url, "postgresql+psycopg://host/mlflow /srv/artifacts")
    assert tracking.address(None, tmp_path) == url


def test_a_server_that_does_not_answer_or_a_torn_record_is_none(url: str, tmp_path: Path) -> None:
    assert served(tmp_path) is None
    record(tmp_path, "http://127.0.0.1:9", "elsewhere")
    assert served(tmp_path) is None
    assert tracking.address(None, tmp_path) is None
    (tmp_path / RECORD).write_text('{"url": "http://12')
    assert served(tmp_path) is None


def test_what_is_given_wins_over_what_is_up(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, url, "elsewhere")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://of.the.environment")
    assert tracking.address(None, tmp_path) == "http://of.the.environment"
    assert tracking.address("http://typed", tmp_path) == "http://typed"


def test_connecting_leaves_the_environment_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    _, uri = tracking.connect(None, tmp_path)
    assert uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert tracking.address(None, tmp_path) is None
    assert mlflow.get_tracking_uri() == uri
