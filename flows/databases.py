"""Databases of the servers: whether one answers, before a server is started on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.tracking import said_by

if TYPE_CHECKING:
    from sqlalchemy import Connection

SECONDS = 5


def fault_of(url: str, key: str) -> str:
    """'' where the database answers, else what is wrong with it and what to do, without its password.

    url: SQLAlchemy's, with the driver that a server uses; key: where it was given.
    """
    if url.startswith("sqlite"):
        folder = Path(url.partition(":///")[2]).parent
        return "" if folder.is_dir() else f"{key}: there is no folder {folder}; make it first."
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with _connected(url):
            pass
    except ModuleNotFoundError:
        return f'{key} needs psycopg: pip install "finefold[postgresql]".'
    except (SQLAlchemyError, ValueError) as error:
        cause = getattr(error, "orig", None) or error
        return f"{key} does not answer: {said_by(cause).rstrip('.')}. Start that database, or mend its address."
    return ""


def schema_of(url: str) -> str | None:
    """The revision of the tables that MLflow made in a database which answers; None where it has none of them."""
    from sqlalchemy import inspect, text

    if url.startswith("sqlite"):
        return None  # a file of the user's, which `mlflow db upgrade` would make
    with _connected(url) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("select version_num from alembic_version")).scalar()


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    from sqlalchemy import create_engine, make_url

    parsed = make_url(url).set(drivername="postgresql+psycopg")
    engine = create_engine(parsed, connect_args={"connect_timeout": SECONDS})
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
