"""What tests share: one real Prefect server for the session, away from the user's."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Iterator

import pytest

from flows import server
from tasks import tracking

with warnings.catch_warnings():
    # What MLflow 3.17 warns of while it is imported (SQLAlchemy's `noload`, type hints of its own) is not ours to mend.
    warnings.simplefilter("ignore")
    tracking.preload()


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Server]:
    """A healthy server on a free port with a database of its own; PREFECT_API_URL names it for the session."""
    with socket.socket() as probe, pytest.MonkeyPatch.context() as patch:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            patch.delenv(name)
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        patch.setenv("PREFECT_SERVER_API_PORT", port)
        probe.close()
        with server.start() as running:
            running.wait()
            yield running
