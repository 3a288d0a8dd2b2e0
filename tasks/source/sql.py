"""The rows of a query on any database that SQLAlchemy reaches."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from tasks.refusal import Refusal, did_you_mean
from tasks.source._secret import masked
from tasks.source._table import Unreadable, column, common_type, plain, refuse_duplicates, refused
from tasks.spool import Kept, Spool

if TYPE_CHECKING:
    from sqlalchemy import URL, CursorResult, Engine

_PACKAGES = {  # where the module that a dialect imports, or the dialect, isn't called like its package
    "MySQLdb": "mysqlclient",
    "psycopg2": "psycopg2-binary",
    "snowflake": "snowflake-sqlalchemy",
    "bigquery": "sqlalchemy-bigquery",
    "redshift": "sqlalchemy-redshift",
    "databricks": "databricks-sqlalchemy",
    "duckdb": "duckdb-engine",
}


@dataclass(frozen=True)
class Sql:
    """The result of one query, as a table. No message, repr or traceback of it holds the password.

    url: SQLAlchemy's database URL, `dialect+driver://user:password@host/database`.
    query: one SELECT as the database speaks it, or `@file.sql`.
    chunk_rows: rows fetched at a time.
    """

    url: str = field(repr=False)
    query: str
    chunk_rows: int

    @property
    def name(self) -> str:
        if self.query.startswith("@"):
            return Path(self.query[1:]).stem
        return Path(self._address.database or self._address.get_backend_name()).stem

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in the database's order, fetched in chunks; types are decided over all chunks.

        Decimals are floats; a column that mixes kinds of values is text.

        Raises:
            Refusal: a bad URL, a missing driver, no connection, a query that fails or gives no rows, no `@file`.
        """
        yield from self._read()

    def notes(self) -> list[str]:
        """Nothing: a database declares its types."""
        return []

    def _read(self) -> Iterator[pa.RecordBatch]:
        from sqlalchemy.exc import SQLAlchemyError

        query, engine = self._text(), self._engine()
        try:
            with engine.connect() as connection:
                connection = connection.execution_options(no_parameters=True, yield_per=self.chunk_rows)
                try:
                    yield from _batches(connection.exec_driver_sql(query), self.chunk_rows)
                except (SQLAlchemyError, Unreadable) as error:
                    raise self._refusal("query", self.query, _reason(error)) from None
        except SQLAlchemyError as error:
            fault = f"can't connect: {_reason(error)}; check the address, the user, and that the server runs"
            raise self._refusal("url", self._shown, fault) from None
        finally:
            engine.dispose()

    def _text(self) -> str:
        if not self.query.startswith("@"):
            return self.query
        path = Path(self.query[1:]).expanduser()
        try:
            return path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            near = _nearest(path) or "; check the path"
            raise self._refusal("query", self.query, f"no such file in {path.parent.absolute()}{near}") from None
        except (OSError, UnicodeError) as error:
            raise self._refusal("query", self.query, f"the file can't be read: {error}") from None

    @cached_property
    def _address(self) -> URL:
        """The URL in its parts; a fault in it is never quoted, for any part may hold a piece of the password."""
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError

        form = "it must be dialect+driver://user:password@host:port/database"
        try:
            address = make_url(self.url)
        except (ArgumentError, ValueError):
            raise Refusal(
                f"source.url is no database URL: {form}, with %40 %2F %3A for @ / : in the password."
            ) from None
        after_user = self.url.partition("://")[2].partition(":")[2]
        if address.password is not None and after_user.count("@") > 1:
            raise Refusal(f"source.url holds an @ too many: {form}, with %40 for an @ in the password.")
        return address

    @property
    def _shown(self) -> str:
        return self._address.render_as_string(hide_password=True)

    def _engine(self) -> Engine:
        from sqlalchemy import create_engine, dialects
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError

        self._check_file()
        try:
            return create_engine(self._address)
        except NoSuchModuleError:
            dialect = self._address.get_backend_name()
            package = f"; run: pip install {_PACKAGES[dialect]}" if dialect in _PACKAGES else ""
            known = f". Known without a further package: {', '.join(dialects.__all__)}"
            fault = f"no dialect or driver {self._address.drivername!r}"
            near = did_you_mean(dialect, [one for one in dialects.__all__ if one != dialect])
            raise self._refusal("url", self._shown, fault + (package or near + known)) from None
        except ImportError as error:
            package = _PACKAGES.get(error.name or "", error.name or "")
            raise self._refusal("url", self._shown, f"its driver is missing; run: pip install {package}") from None
        except (ArgumentError, TypeError, ValueError) as error:
            raise self._refusal("url", self._shown, f"can't be used: {error}") from None

    def _check_file(self) -> None:
        """SQLite would make an empty database of a misspelt name."""
        file = self._address.database or ""
        if self._address.get_backend_name() != "sqlite" or file in {"", ":memory:"} or file.startswith("file:"):
            return
        if not Path(file).is_file():
            near = _nearest(Path(file)) or "; check the path (four slashes for an absolute one)"
            raise self._refusal("url", self._shown, f"no such database file{near}")

    def _refusal(self, key: str, value: str, fault: str) -> Refusal:
        return refused(key, masked(value, self.url), masked(fault, self.url))


def _nearest(path: Path) -> str:
    return did_you_mean(path.name, [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else [])


def _batches(result: CursorResult[tuple[object, ...]], chunk_rows: int) -> Iterator[pa.RecordBatch]:
    if not result.returns_rows:
        raise Unreadable("the query gives no table; it must be a SELECT")
    names = list(result.keys())
    refuse_duplicates(names, "name one of them otherwise: SELECT ... AS ...")
    with Spool(Path(tempfile.gettempdir())) as spool:
        types: list[set[pa.DataType]] = [set() for _ in names]
        chunks: list[list[Kept]] = []
        for rows in result.partitions(chunk_rows):
            read = [column(values) for values in zip(*rows, strict=True)]
            for known, values in zip(types, read, strict=True):
                known.add(values.type)
            chunks.append([spool.put(values) for values in read])
        if not chunks:
            raise Unreadable("the query gives no rows; widen its conditions")
        common = [common_type(known) for known in types]
        for chunk in chunks:
            arrays = [spool.get(kept).cast(kind, safe=False) for kept, kind in zip(chunk, common, strict=True)]
            yield from plain([pa.record_batch(arrays, names=names)])


def _reason(error: Exception) -> str:
    """The database's own words, without SQLAlchemy's frame around them."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return " ".join(line.strip() for line in lines[:3] if line.strip(" ^")) or type(error).__name__
