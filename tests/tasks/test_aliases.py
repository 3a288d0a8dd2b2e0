"""One version is the champion, and the one that it replaced the previous one, whoever promotes and whatever dies."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST, MlflowException
from mlflow.tracking import MlflowClient
from registering import promote_at_once, versions
from serving import wait_for

from tasks import aliases, tracking
from tasks.aliases import MovedError, Standing
from tasks.refusal import Refusal


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[MlflowClient, str, Path]:
    place = tmp_path_factory.mktemp("store")
    client, uri = tracking.connect(None, place / "mlruns")
    return client, uri, place / "mlruns" / "mlflow.db"


@contextmanager
def stopped_before_the_champion_is_set(database: Path) -> Iterator[None]:
    """The database refuses that one step, as a kill between two steps leaves it undone."""
    with sqlite3.connect(database) as connection:
        for event in ("INSERT", "UPDATE"):
            connection.execute(
                f"CREATE TRIGGER stop_{event} BEFORE {event} ON registered_model_aliases WHEN NEW.alias = 'champion' "
                "BEGIN SELECT RAISE(ABORT, 'stopped'); END"
            )
    yield
    with sqlite3.connect(database) as connection:
        for event in ("INSERT", "UPDATE"):
            connection.execute(f"DROP TRIGGER stop_{event}")


def test_a_promotion_keeps_the_previous_champion_and_a_rollback_undoes_it_once(
    store: tuple[MlflowClient, str, Path],
) -> None:
    client, uri, _ = store
    versions(client, "undone", 2)
    client.set_registered_model_alias("undone", "challenger", "2")
    aliases.promote(client, uri, "undone", 2, 1)
    assert aliases.standing(client, "undone") == Standing(2, None, 1)
    done = aliases.roll_back(client, uri, "undone")
    assert (done.champion, done.undone) == (1, 2)
    assert aliases.standing(client, "undone") == Standing(1, None, None)
    with pytest.raises(Refusal, match=r"no previous_champion to go back to \(version 2 was rolled back already\)"):
        aliases.roll_back(client, uri, "undone")
    assert aliases.standing(client, "undone").champion == 1


def test_the_newest_version_that_is_not_the_champion_is_the_challenger(store: tuple[MlflowClient, str, Path]) -> None:
    client, uri, _ = store
    versions(client, "challenged", 3)
    for number, expected in ((1, None), (3, 3), (2, 3)):  # 1 is the champion; 2 comes late
        aliases.challenge(client, uri, "challenged", number)
        assert aliases.standing(client, "challenged") == Standing(1, expected, None)


def test_nobody_becomes_the_challenger_in_the_middle_of_a_move(store: tuple[MlflowClient, str, Path]) -> None:
    client, uri, _ = store
    versions(client, "busy", 2)
    late = Thread(target=aliases.challenge, args=(client, uri, "busy", 2))
    with aliases.alone(client, uri, "busy"):
        late.start()
        late.join(0.5)
        assert aliases.standing(client, "busy").challenger is None
    late.join()
    assert aliases.standing(client, "busy").challenger == 2


def test_a_description_is_no_longer_than_any_database_takes(store: tuple[MlflowClient, str, Path]) -> None:
    client, _, _ = store
    versions(client, "told", 1)
    aliases.describe(client, "told", 1, {}, "a line of evidence\n" * 1_000)
    told = client.get_model_version("told", "1").description
    assert 4_900 < len(told) <= 5_000
    assert told.endswith("a line of evidence\n\nAll of it is in promotion.json of the version's run.")


def test_a_champion_that_was_moved_meanwhile_is_not_replaced(store: tuple[MlflowClient, str, Path]) -> None:
    client, uri, _ = store
    versions(client, "moved", 3)
    client.set_registered_model_alias("moved", "champion", "2")
    with pytest.raises(MovedError):
        aliases.promote(client, uri, "moved", 3, 1)
    assert aliases.standing(client, "moved") == Standing(2, None, None)


def test_an_interrupted_promotion_is_taken_back_by_whoever_comes_next(store: tuple[MlflowClient, str, Path]) -> None:
    client, uri, database = store
    versions(client, "killed", 3)
    aliases.promote(client, uri, "killed", 2, 1)
    with stopped_before_the_champion_is_set(database), pytest.raises(Refusal, match="the same command goes on"), (
        tracking.refusing(uri)
    ):
        aliases.promote(client, uri, "killed", 3, 2)
    assert aliases.standing(client, "killed") == Standing(2, None, 2)  # half done: version 1 is named no more
    now, said = aliases.settled(client, uri, "killed")
    assert now == Standing(2, None, 1)
    assert said == "an interrupted promotion to version 3 was taken back: version 2 is the champion"
    aliases.promote(client, uri, "killed", 3, 2)
    assert aliases.standing(client, "killed") == Standing(3, None, 2)


def test_a_rollback_of_an_interrupted_promotion_takes_that_back_and_no_more(
    store: tuple[MlflowClient, str, Path],
) -> None:
    client, uri, database = store
    versions(client, "half", 3)
    aliases.promote(client, uri, "half", 2, 1)
    with stopped_before_the_champion_is_set(database), pytest.raises(Refusal), tracking.refusing(uri):
        aliases.promote(client, uri, "half", 3, 2)
    done = aliases.roll_back(client, uri, "half")
    assert (done.champion, done.undone) == (2, None)
    assert "interrupted promotion to version 3 was taken back" in done.mended
    assert aliases.standing(client, "half") == Standing(2, None, 1)


def test_two_processes_at_once_leave_one_champion_and_the_one_that_it_replaced(
    store: tuple[MlflowClient, str, Path], tmp_path: Path
) -> None:
    client, uri, _ = store
    versions(client, "both", 3)
    promote_at_once(uri, "both", (2, 3), tmp_path)
    check_one_after_the_other(client, "both")


def check_one_after_the_other(client: MlflowClient, name: str) -> None:
    now = aliases.standing(client, name)
    assert {now.champion, now.previous} == {2, 3}
    assert now.champion is not None
    assert now.previous is not None
    replaced = [aliases.version_tags(client, name, one)["finefold.replaced"] for one in (now.previous, now.champion)]
    assert replaced == ["1", str(now.previous)]
    assert [found.name for found in client.search_registered_models() if found.name.startswith(f"{name} (")] == []
    assert aliases.MOVE_TAG not in client.get_registered_model(name).tags


@pytest.mark.slow
def test_on_a_server_too_and_while_it_is_down_nothing_is_half_promoted(tmp_path: Path) -> None:
    local, uri = tracking.connect(None, tmp_path / "mlruns")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "mlflow", "server", "--backend-store-uri", uri, "--workers", "1",
               "--host", "127.0.0.1", "--port", str(port), "--artifacts-destination", str(tmp_path)]  # fmt: skip
    with (tmp_path / "server.log").open("w") as log:
        serving = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(f"http://127.0.0.1:{port}/health")
        client, address = tracking.connect(f"http://127.0.0.1:{port}")
        versions(client, "served", 4)
        promote_at_once(address, "served", (2, 3), tmp_path)
        check_one_after_the_other(client, "served")
        before = aliases.standing(client, "served")
        client.create_registered_model("served (its alias is being moved)", {aliases.OWNER_TAG: dead_owner()})
        assert aliases.settled(client, address, "served")[0] == before  # a lock of a process that died is no hindrance
        for kind in (AskingAgain, LateToLook, LetGoWhileRead):
            assert aliases.settled(kind(address), address, "served")[0] == before
    finally:
        os.killpg(serving.pid, signal.SIGKILL)
        serving.wait(20)
    with pytest.raises(Refusal, match="the same command goes on"), tracking.refusing(address):
        aliases.promote(client, address, "served", 4, before.champion)
    assert aliases.standing(local, "served") == before
    aliases.promote(local, uri, "served", 4, before.champion)
    assert aliases.standing(local, "served").champion == 4


class AskingAgain(MlflowClient):
    """As MLflow's own, where a server did what it was asked to and was killed before it said so."""

    def create_registered_model(self, *args: Any, **kwargs: Any) -> Any:
        super().create_registered_model(*args, **kwargs)
        return super().create_registered_model(*args, **kwargs)


class LateToLook(MlflowClient):
    """Of a server that finds a name taken, and the one who took it gone when it looks who that was, once."""

    has_looked = False

    def create_registered_model(self, *args: Any, **kwargs: Any) -> Any:
        if self.has_looked:
            return super().create_registered_model(*args, **kwargs)
        self.has_looked = True
        raise MlflowException("Registered Model with name=... not found", RESOURCE_DOES_NOT_EXIST)


class LetGoWhileRead(MlflowClient):
    """Of a server that finds a name taken, reads it, and finds its tags gone with it a moment later, once."""

    has_read = False

    def create_registered_model(self, *args: Any, **kwargs: Any) -> Any:
        if self.has_read:
            return super().create_registered_model(*args, **kwargs)
        raise MlflowException("Registered Model with name=... already exists", RESOURCE_ALREADY_EXISTS)

    def get_registered_model(self, name: str) -> Any:
        if self.has_read or not name.endswith("(its alias is being moved)"):
            return super().get_registered_model(name)
        self.has_read = True
        return RegisteredModel(name, creation_timestamp=1)


def dead_owner() -> str:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return f"{socket.gethostname()} {ended.pid} 0"
