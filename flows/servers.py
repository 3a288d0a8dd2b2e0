"""What `finefold up` is asked to start, and the records by which other commands find what it started."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from flows.build import resolve
from flows.process import Process, alive_in
from tasks.refusal import Refusal
from tasks.served import RECORD

ROOT = Path("mlruns")  # where the records lie: runs of this folder look here
Port = Annotated[int, Field(ge=1, le=65535)]
Program = Literal["up", "mlflow", "worker"]
Server = Literal["prefect", "mlflow"]
DRIVERS = {"prefect": "asyncpg", "mlflow": "psycopg"}  # of SQLAlchemy: what Prefect demands, and what finefold installs


@dataclass(frozen=True)
class PrefectServer:
    port: Port | None
    database: str | None


@dataclass(frozen=True)
class MlflowServer:
    port: Port
    database: str | None
    artifacts: str | None


@dataclass(frozen=True)
class Servers:
    """The section `servers` of the configuration. Secrets in it stay references until `database_of` is asked."""

    folder: Annotated[str, Field(min_length=1)]
    pool: Annotated[str, Field(min_length=1)]
    runs: Annotated[int, Field(ge=0)] | None
    prefect: PrefectServer
    mlflow: MlflowServer


def database_of(server: Server, asked: str | None) -> str:
    """The URL that the server is given, with its driver; '' where none was asked for.

    Raises:
        Refusal: when it names an environment variable that isn't set, or a kind of database that won't do.
    """
    key = f"servers.{server}.database"
    url = "" if asked is None else resolve(asked, key)
    scheme, slashes, rest = url.partition("://")
    kind = scheme.partition("+")[0]
    if url and kind not in ("postgresql", "sqlite"):
        raise Refusal(f"{key} must be postgresql://USER:PASSWORD@HOST/NAME, or left out for SQLite; got {scheme}://...")
    if kind == "postgresql":
        return f"postgresql+{DRIVERS[server]}{slashes}{rest}"
    return f"sqlite+aiosqlite{slashes}{rest}" if (server, kind) == ("prefect", "sqlite") else url


def record_of(program: Program) -> Path:
    return ROOT / (RECORD if program == "mlflow" else f"finefold-{program}.json")


def log_of(program: Program) -> Path:
    return record_of(program).with_suffix(".log")


def running(program: Program) -> Process | None:
    """What was started in this folder and still runs."""
    return alive_in(record_of(program))


def remember(program: Program, process: Process) -> Process:
    """Writes the record, whole or not at all."""
    path = record_of(program)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.stem}-", delete=False) as beside:
        json.dump(asdict(process), beside)
    os.replace(beside.name, path)
    return process


def forget(program: Program) -> None:
    record_of(program).unlink(missing_ok=True)


