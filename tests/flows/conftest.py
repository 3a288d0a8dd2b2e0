"""What each file of tests has for itself: a current folder for whole runs, with MLflow's client, or studies on iris."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import mlflow
import optuna
import pytest
from on_iris import NETS, experiment
from searching import Searching

from flows.server import Server


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, prefect_server: Server) -> Iterator[Path]:
    """A folder that the runs of a file share, and that is the current one."""
    folder = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def client(place: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(f"sqlite:///{place}/mlruns/mlflow.db")


@pytest.fixture(scope="module")
def on_iris(tmp_path_factory: pytest.TempPathFactory, prefect_server: Server) -> Iterator[Searching]:
    folder = tmp_path_factory.mktemp("iris")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield Searching(folder / "studies", experiment())


@pytest.fixture(scope="module")
def nets_on_iris(on_iris: Searching) -> Searching:
    if find_spec("torch") is None:
        pytest.skip('needs torch: pip install "finefold[neural]"')
    return Searching(on_iris.studies, experiment(*NETS), NETS)
