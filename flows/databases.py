"""Databases of the servers: whether one answers, before a server is started on it."""

from __future__ import annotations

from pathlib import Path

from tasks.tracking import said_by

SECONDS = 5


def fault_of(url: str, key: str) -> str:
    """'' where the database answers, else what is wrong with it and what to do, without its password.

    url: SQLAlchemy's, with the driver that a server uses; key: where it was given.
    """
    if url.startswith("sqlite"):
        folder = Path(url.partition(":///")[2]).parent
        return "" if folder.is_dir() else f"{key}: there is no folder {folder}; make it first."
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        parsed = make_url(url).set(drivername="postgresql+psycopg")
        engine = create_engine(parsed, connect_args={"connect_timeout": SECONDS})
        with engine.connect():
            pass
        engine.dispose()
    except ModuleNotFoundError:
        return f'{key} needs psycopg: pip install "finefold[postgresql]".'
    except (SQLAlchemyError, ValueError) as error:
        cause = getattr(error, "orig", None) or error
        return f"{key} does not answer: {said_by(cause).rstrip('.')}. Start that database, or mend its address."
    return ""
