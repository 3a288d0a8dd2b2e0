"""What tests of the search share: one folder of studies on iris for each file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import optuna
import pytest
from on_iris import experiment
from searching import Searching

from flows.server import Server


@pytest.fixture(scope="module")
def on_iris(tmp_path_factory: pytest.TempPathFactory, prefect_server: Server) -> Iterator[Searching]:
    folder = tmp_path_factory.mktemp("iris")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield Searching(folder / "studies", experiment())
