"""What the doctor finds, and the command that mends it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from packaging.requirements import Requirement
from postgresql import postgresql

from flows import doctor
from flows.servers import MlflowServer, PrefectServer, Servers
from flows.status import Part


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Servers:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    return Servers("mlruns", "finefold", None, PrefectServer(None, None), MlflowServer(5000, None, None))


def test_a_missing_and_an_outdated_package_are_told_apart() -> None:
    assert doctor.fault_in(Requirement("no-such-package>=1")) == "no-such-package is missing"
    assert doctor.fault_in(Requirement("numpy<1")).endswith("needed is <1")
    assert doctor.fault_in(Requirement("numpy>=1")) == ""


def test_an_extra_is_asked_for_by_its_own_requirements_alone() -> None:
    own, extra = Requirement("numpy"), Requirement('dask; extra == "dask"')
    assert [doctor.is_meant(own, ""), doctor.is_meant(extra, "")] == [True, False]
    assert [doctor.is_meant(own, "dask"), doctor.is_meant(extra, "dask")] == [False, True]


def test_a_folder_that_cant_be_written_is_wrong_and_one_that_isnt_there_yet_is_not(servers: Servers) -> None:
    Path("mlruns").write_text("a file where a folder is needed")
    found = list(doctor.writable(servers))
    assert [one.state for one in found] == ["ok", "wrong", "ok"]
    assert "mlruns is a file" in found[1].said
    assert found[1].mend


def test_a_database_of_another_version_is_wrong_with_the_command_that_upgrades_it(servers: Servers) -> None:
    Path("mlruns").mkdir()
    with closing(sqlite3.connect("mlruns/mlflow.db")) as connection:
        connection.executescript("create table alembic_version (version_num); insert into alembic_version values ('0')")
    (found,) = doctor.databases(servers)
    assert found.state == "wrong"
    assert found.mend.endswith("mlflow db upgrade sqlite:///mlruns/mlflow.db")


def test_a_file_that_is_no_database_is_wrong(servers: Servers) -> None:
    Path("mlruns").mkdir()
    Path("mlruns/mlflow.db").write_text("no database, and longer than the header of one" * 10)
    (found,) = doctor.databases(servers)
    assert (found.state, found.mend) == ("wrong", "mv mlruns/mlflow.db mlruns/mlflow.db.broken")


def test_a_locked_database_is_told_with_how_to_see_who_holds_it(servers: Servers) -> None:
    Path("mlruns").mkdir()
    with closing(sqlite3.connect("mlruns/mlflow.db", isolation_level=None)) as connection:
        connection.execute("create table alembic_version (version_num)")
        connection.execute("begin exclusive")
        (found,) = doctor.databases(servers)
    assert "database is locked" in found.said
    assert found.mend == "fuser --verbose mlruns/mlflow.db"


def test_a_locked_database_of_prefects_is_told_too(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "home_folder", lambda: Path("home"))
    Path("home").mkdir()
    with closing(sqlite3.connect("home/prefect.db", isolation_level=None)) as connection:
        connection.executescript("create table alembic_version (version_num); insert into alembic_version values ('0')")
        (found,) = doctor.databases(servers)
        assert (found.state, found.said) == ("ok", "home/prefect.db can be read")
        connection.execute("begin exclusive")
        (found,) = doctor.databases(servers)
    assert found.mend == "fuser --verbose home/prefect.db"


def test_the_tables_of_another_version_in_postgresql_are_wrong(
    servers: Servers, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy import create_engine, text

    pytest.importorskip("psycopg")
    with postgresql(tmp_path_factory.mktemp("postgresql"), "pass-4711") as port:
        monkeypatch.setenv("PGPASSWORD", "pass-4711")
        url = f"postgresql://me@127.0.0.1:{port}/postgres"
        given = replace(servers, mlflow=replace(servers.mlflow, database=url))
        assert [one.state for one in doctor.databases(given)] == ["ok", "ok"]
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            connection.execute(text("create table alembic_version (version_num text)"))
            connection.execute(text("insert into alembic_version values ('0')"))
        engine.dispose()
        answers, tables = doctor.databases(given)
    assert (answers.state, tables.state) == ("ok", "wrong")
    assert tables.mend.startswith("mlflow db upgrade postgresql+psycopg")


class Guarded(BaseHTTPRequestHandler):
    """Prefect's API at an older version, for `me:right` alone."""

    def do_GET(self) -> None:
        is_known = self.headers["Authorization"] == "Basic bWU6cmlnaHQ="
        self.send_response(200 if is_known else 401)
        self.end_headers()
        self.wfile.write(b'"2.0.0"' if is_known else b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's name
        pass


@pytest.fixture
def guarded() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Guarded) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_missing_login_and_another_version_are_told(guarded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    part = Part("Prefect", True, guarded, "")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "me:wrong")
    refused = doctor.version_there(part, "/api/admin/version")
    assert (refused.state, refused.mend) == ("wrong", "export PREFECT_API_AUTH_STRING=USER:PASSWORD")
    assert "wrong" not in refused.said
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "me:right")
    outdated = doctor.version_there(part, "/api/admin/version")
    assert (outdated.state, outdated.mend) == ("wrong", "finefold down; finefold up")
