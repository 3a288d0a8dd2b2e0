"""Queries on SQLite and on a real PostgreSQL arrive whole, and no message holds the password."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from omegaconf import OmegaConf
from postgresql import postgresql
from pydantic import TypeAdapter

from tasks.refusal import Refusal
from tasks.source import load
from tasks.source.sql import Sql

_PASSWORD = "p@ss/w:rd%21?"
_ESCAPED = "p%40ss%2Fw%3Ard%2521%3F"


def source(url: str, query: str = "SELECT * FROM people ORDER BY id", chunk_rows: int = 1000) -> Sql:
    return Sql(url=url, query=query, chunk_rows=chunk_rows)


def refusal(of: Sql) -> str:
    with pytest.raises(Refusal) as refused:
        load(of)
    return str(refused.value)


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    path = tmp_path / "people.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE people (id INTEGER, name TEXT, score, mixed)")
        rows = [(row, f"name {row}", None if row < 5 else row / 2, "odd" if row == 7 else row) for row in range(10)]
        database.executemany("INSERT INTO people VALUES (?, ?, ?, ?)", rows)
    return f"sqlite:///{path}"


@pytest.mark.parametrize("chunk_rows", [1, 3, 10, 1000])
def test_all_chunks_have_one_schema_whatever_comes_first(sqlite: str, chunk_rows: int) -> None:
    table = load(source(sqlite, chunk_rows=chunk_rows))
    assert table.schema.types == [pa.int64(), pa.string(), pa.float64(), pa.string()]
    assert table["score"].to_pylist() == [None] * 5 + [2.5, 3.0, 3.5, 4.0, 4.5]
    assert table["mixed"].to_pylist()[6:8] == ["6", "odd"]
    assert len({batch.schema for batch in source(sqlite, chunk_rows=chunk_rows).batches()}) == 1


def test_whole_numbers_before_fractions_are_floats(sqlite: str) -> None:
    query = "SELECT CASE WHEN id < 5 THEN id ELSE id / 2.0 END AS x FROM people ORDER BY id"
    assert load(source(sqlite, query, chunk_rows=2))["x"].to_pylist() == [0, 1, 2, 3, 4, 2.5, 3, 3.5, 4, 4.5]


def test_percent_signs_colons_and_semicolons_mean_themselves(sqlite: str) -> None:
    query = "SELECT id, ' :x %s' AS text FROM people WHERE name LIKE 'name%' AND id % 5 = 0;"
    assert load(source(sqlite, query)).to_pylist() == [{"id": 0, "text": " :x %s"}, {"id": 5, "text": " :x %s"}]


def test_a_query_may_stand_in_a_file(sqlite: str, tmp_path: Path) -> None:
    file = tmp_path / "young.sql"
    file.write_text("-- the young\nSELECT * FROM people\nWHERE id < 3\n")
    assert load(source(sqlite, f"@{file}")).num_rows == 3
    assert source(sqlite, f"@{file}").name == "young"
    assert "did you mean 'young.sql'?" in refusal(source(sqlite, f"@{tmp_path / 'yung.sql'}"))


def test_the_name_is_the_database(sqlite: str) -> None:
    assert source(sqlite).name == "people"


def test_a_misspelt_database_file_is_refused_and_not_made(sqlite: str, tmp_path: Path) -> None:
    assert "did you mean 'people.db'?" in refusal(source(f"sqlite:///{tmp_path}/peple.db"))
    assert [file.name for file in tmp_path.iterdir()] == ["people.db"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT * FROM peple", "no such table: peple"),
        ("SELEC 1", "syntax error"),
        ("SELECT * FROM people WHERE id > 99", "no rows"),
        ("SELECT id, name AS id FROM people", "'id' occurs more than once"),
        ("UPDATE people SET name = 'x'", "must be a SELECT"),
        ("", "must be a SELECT"),
    ],
)
def test_a_query_without_a_table_is_refused_in_the_databases_words(sqlite: str, query: str, words: str) -> None:
    message = refusal(source(sqlite, query))
    assert message.startswith(f"source.query={query}: ")
    assert words in message
    assert load(source(sqlite))["name"].to_pylist()[0] == "name 0"


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b\n" * 1000)
    assert "not a database" in refusal(source(f"sqlite:///{tmp_path}/table.csv"))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "no database URL"),
        (f"postgresql+psycopg://me:{_ESCAPED}@host:port/db", "no database URL"),
        (f"postgresql+psycopg://me:{_PASSWORD}@host/db", "%40 for an @"),
        (f"postgresql+psycopg://me:{_PASSWORD}@127.0.0.1:1/db?connect_timeout=2", "%40 for an @"),
        (f"postgresql+psycopg://me@there:{_ESCAPED}@127.0.0.1:1/db?connect_timeout=2", "can't connect"),
        (f"postgresq://me:{_ESCAPED}@host/db", "did you mean 'postgresql'?"),
        (f"mysql://me:{_ESCAPED}@host/db", "pip install mysqlclient"),
        (f"snowflake://me:{_ESCAPED}@host/db", "pip install snowflake-sqlalchemy"),
        (f"postgresql+psycopg://me:{_ESCAPED}@127.0.0.1:1/db?connect_timeout=2", "can't connect"),
        (f"postgresql+psycopg://127.0.0.1:1/db?user=me&password={_ESCAPED}", "can't connect"),
        (f"postgresql+psycopg://me@127.0.0.1:1/db?nonsense={_ESCAPED}", "nonsense"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused_without_its_password(url: str, words: str) -> None:
    message = refusal(source(url))
    assert message.startswith("source.url")
    assert words in message
    if "nonsense" not in url:
        assert not any(piece in message for piece in (_PASSWORD, _ESCAPED, "p@ss", "ss/w", "p%40ss"))


def test_the_repr_does_not_hold_the_address() -> None:
    assert _ESCAPED not in repr(source(f"postgresql+psycopg://me:{_ESCAPED}@host/db"))


def test_the_config_makes_the_source() -> None:
    node = OmegaConf.to_container(OmegaConf.load(Path(__file__).parents[3] / "conf/source/sql.yaml"), resolve=False)
    assert isinstance(node, dict)
    assert node.pop("_target_") == "tasks.source.sql.Sql"
    made = TypeAdapter(Sql).validate_python({**node, "url": "sqlite://", "query": "SELECT 1 AS one"})
    assert load(made).to_pylist() == [{"one": 1}]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of our own, with user, password and a table, stopped afterwards."""
    with postgresql(tmp_path_factory.mktemp("postgres"), _PASSWORD) as port:
        yield f"postgresql+psycopg://me:{_ESCAPED}@127.0.0.1:{port}/postgres"


_EVERY_TYPE = """
SELECT i AS id,
       CASE WHEN i > 3 THEN 'text ' || i END AS text,
       CASE WHEN i > 3 THEN (i * 1.25)::numeric(10, 2) END AS price,
       i * 0.5::float8 AS ratio,
       i % 2 = 0 AS even,
       DATE '2024-01-31' + i AS day,
       TIMESTAMP '2024-01-31 12:00' + i * INTERVAL '1 hour' AS moment,
       TIMESTAMPTZ '2024-01-31 12:00+00' AS zoned,
       jsonb_build_object('i', i) AS nested,
       ARRAY[i, i + 1] AS list,
       '\\x00ff'::bytea AS bytes,
       '00000000-0000-0000-0000-000000000001'::uuid AS uuid,
       NULL::int AS nothing
FROM generate_series(1, 10) AS i WHERE 'a%b' LIKE 'a%' ORDER BY i;
"""


def test_every_type_of_postgresql_arrives_plain(postgres: str) -> None:
    table = load(source(postgres, _EVERY_TYPE, chunk_rows=3))
    assert table.num_rows == 10
    row = table.to_pylist()[9]
    assert row.pop("zoned").timestamp() == datetime.fromisoformat("2024-01-31T12:00+00:00").timestamp()
    assert row == {
        "id": 10,
        "text": "text 10",
        "price": 12.5,
        "ratio": 5.0,
        "even": True,
        "day": date(2024, 2, 10),
        "moment": datetime(2024, 1, 31, 22),
        "nested": '{"i": 10}',
        "list": "[10, 11]",
        "bytes": "00ff",
        "uuid": "00000000-0000-0000-0000-000000000001",
        "nothing": None,
    }
    assert table["price"].null_count == 3


def test_rows_stream_from_postgresql_in_their_order(postgres: str) -> None:
    query = "SELECT i FROM generate_series(1, 100000) AS i ORDER BY i"
    assert load(source(postgres, query, chunk_rows=7000))["i"].to_pylist() == list(range(1, 100_001))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT * FROM nowhere", 'relation "nowhere" does not exist'),
        ("SELECT 1 / (i - 5000) FROM generate_series(1, 10000) AS i", "division by zero"),
        ("SELECT 1 AS a WHERE false", "no rows"),
    ],
)
def test_postgresql_refuses_in_its_own_words(postgres: str, query: str, words: str) -> None:
    message = refusal(source(postgres, query))
    assert message.startswith(f"source.query={query}: ")
    assert words in message


def test_a_wrong_password_is_refused_and_not_shown(postgres: str) -> None:
    message = refusal(source(postgres.replace(_ESCAPED, "wrong-word")))
    assert "password authentication failed" in message
    assert "wrong-word" not in message
    assert "***" in message
