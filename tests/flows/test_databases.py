"""Whether a database answers, before a server is started on it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from flows.databases import fault_of


def test_a_database_that_does_not_answer_is_told_by_its_key_without_the_password() -> None:
    pytest.importorskip("psycopg")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # and never listens
        port = probe.getsockname()[1]
        fault = fault_of(f"postgresql+asyncpg://me:s3cret@127.0.0.1:{port}/db", "servers.prefect.database")
    assert fault.startswith("servers.prefect.database does not answer: ")
    assert str(port) in fault
    assert "s3cret" not in fault


def test_a_file_whose_folder_is_missing_is_told(tmp_path: Path) -> None:
    assert fault_of(f"sqlite:///{tmp_path}/mlflow.db", "servers.mlflow.database") == ""
    missing = fault_of(f"sqlite:///{tmp_path}/none/mlflow.db", "servers.mlflow.database")
    assert missing == f"servers.mlflow.database: there is no folder {tmp_path}/none; make it first."
