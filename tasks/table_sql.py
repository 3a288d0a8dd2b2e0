"""A table into a database, all of its rows in one transaction.

A new table is filled under a name of its own and renamed in the same transaction, so that nobody sees half of it: with
SQLite and PostgreSQL, where a transaction holds such changes too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tasks.refusal import Refusal
from tasks.source import masked

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Select, Table

WHEN = "scored_at"  # a column of every table of predictions
ROWS_AT_ONCE = 10_000  # of an INSERT; as Python objects some 10 MB


@dataclass(frozen=True)
class SqlTable:
    """url: SQLAlchemy's, with its password; no message or repr holds it."""

    url: str = field(repr=False)
    name: str

    @property
    def shown(self) -> str:
        return f"predictions.table={self.name} of predictions.url={masked(self.url, self.url)}"

    def columns(self) -> list[str] | None:
        """Those of the table that is there, or None."""
        from sqlalchemy import inspect

        with self._engine() as engine:
            known = inspect(engine)
            return [str(one["name"]) for one in known.get_columns(self.name)] if known.has_table(self.name) else None

    def is_another_s(self) -> bool:
        """Whether it is a table that no scoring made."""
        known = self.columns()
        return known is not None and WHEN not in known

    def has(self, when: datetime) -> bool:
        """Whether the table has rows that were scored at this time."""
        from sqlalchemy import column, select, table

        if WHEN not in (self.columns() or ()):
            return False
        asked: Select[Any] = select(column(WHEN)).select_from(table(self.name))
        asked = asked.where(column(WHEN) == _plain(when))
        with self._engine() as engine, engine.connect() as connection:
            return connection.execute(asked.limit(1)).first() is not None

    def write(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema, *, append: bool, beside: str) -> None:
        """All rows or none; without `append` in place of those that are there. beside: a name for a new table."""
        with self._engine() as engine:
            is_new = not append or self.columns() is None
            table = _table(beside if is_new else self.name, schema)
            if is_new:
                table.drop(engine, checkfirst=True)  # of a process that was killed
                table.create(engine)
            try:
                with engine.begin() as connection:
                    for batch in batches:
                        _insert(connection, table, batch)
                    if is_new:
                        self._take_place(connection, beside)
            except BaseException:
                if is_new:
                    with suppress(Exception):  # what went wrong is told
                        table.drop(engine, checkfirst=True)
                raise

    def _take_place(self, connection: Connection, beside: str) -> None:
        """After the first INSERT: Python's driver of SQLite begins its transaction there."""
        from sqlalchemy import MetaData, Table, text

        quote = connection.dialect.identifier_preparer.quote
        Table(self.name, MetaData()).drop(connection, checkfirst=True)
        connection.execute(text(f"ALTER TABLE {quote(beside)} RENAME TO {quote(self.name)}"))

    @contextmanager
    def _engine(self) -> Iterator[Engine]:
        from sqlalchemy import create_engine
        from sqlalchemy.exc import ArgumentError, SQLAlchemyError

        engine = None
        try:
            engine = create_engine(self.url)
            yield engine
        except OverflowError:
            raise Refusal(
                f"{self.shown}: a key is too large a number for a column of it; give it as text, and the same command "
                "goes on."
            ) from None
        except (SQLAlchemyError, ArgumentError, ImportError) as error:
            said = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
            fault = masked(said[0], self.url)
            raise Refusal(f"{self.shown}: {fault}; mend it, and the same command goes on.") from None
        finally:
            if engine is not None:
                engine.dispose()


def _insert(connection: Connection, table: Table, batch: pa.RecordBatch) -> None:
    for begin in range(0, batch.num_rows, ROWS_AT_ONCE):
        rows = batch.slice(begin, ROWS_AT_ONCE).to_pylist()
        zoned = [one.name for one in batch.schema if pa.types.is_timestamp(one.type) and one.type.tz]
        for row in rows:
            row.update({name: _plain(row[name]) for name in zoned if row[name] is not None})
        connection.execute(table.insert(), rows)


def _plain(when: datetime) -> datetime:
    """In UTC, without its zone: SQLite knows none."""
    return when.astimezone(UTC).replace(tzinfo=None)


def _table(name: str, schema: pa.Schema) -> Table:
    from sqlalchemy import Column, MetaData, Table

    return Table(name, MetaData(), *(Column(one.name, _type(one.type)) for one in schema))


def _type(kind: pa.DataType) -> Any:
    from sqlalchemy import BigInteger, Boolean, Date, DateTime, Float, Text

    for test, made in (
        (pa.types.is_boolean, Boolean),
        (pa.types.is_integer, BigInteger),
        (pa.types.is_floating, lambda: Float(53)),
        (pa.types.is_date, Date),
        (pa.types.is_timestamp, DateTime),
    ):
        if test(kind):
            return made()
    return Text()
