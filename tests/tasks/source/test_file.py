"""What a file may look like and still be read without a loss, and how it is refused where it can't be."""

from __future__ import annotations

import gzip
import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from omegaconf import OmegaConf
from pydantic import TypeAdapter

from tasks.refusal import Refusal
from tasks.source import _large_csv, load
from tasks.source.file import File

_ROWS = [{"age": 39, "city": "Köln", "share": 0.5}, {"age": 50, "city": "Paris", "share": 2.0}]
_CSV = "age,city,share\n39,Köln,0.5\n50,Paris,2\n"


def source(path: Path | str, **knobs: Any) -> File:
    return File(**{"path": str(path), "columns": None, "delimiter": None, "encoding": None, **knobs})


def written(folder: Path, content: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(folder: Path, content: str | bytes, name: str = "table.csv", **knobs: Any) -> pa.Table:
    return load(source(written(folder, content, name), **knobs))


def refusal(of: File) -> str:
    with pytest.raises(Refusal) as refused:
        load(of)
    return str(refused.value)


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


def parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink)
    return bytes(sink.getvalue())


def feather(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pyarrow.feather.write_feather(table, sink)
    return bytes(sink.getvalue())


def stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


_TABLE = pa.Table.from_pylist(_ROWS)
_CONTENTS = {
    "table.csv": _CSV.encode(),
    "table.tsv": _CSV.replace(",", "\t").encode(),
    "table.txt": _CSV.replace(",", "|").encode(),
    "table.parquet": parquet(_TABLE),
    "table.feather": feather(_TABLE),
    "table.arrow": feather(_TABLE),
    "stream.arrow": stream(_TABLE),
    "table.jsonl": "\n".join(json.dumps(row) for row in _ROWS).encode(),
    "table.ndjson": "\n\n".join(json.dumps(row, ensure_ascii=False) for row in _ROWS).encode() + b"\n",
    "lines.json": "\r\n".join(json.dumps(row) for row in _ROWS).encode(),
    "array.json": json.dumps(_ROWS, indent=2).encode(),
}
_TEXTS = [name for name in _CONTENTS if not name.endswith(("parquet", "feather", "arrow"))]


@pytest.mark.parametrize("name", _CONTENTS)
def test_every_kind_of_file_gives_the_same_table(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, _CONTENTS[name], name).to_pylist() == _ROWS


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("name", _TEXTS)
def test_every_kind_of_text_may_be_compressed(tmp_path: Path, name: str, suffix: str) -> None:
    compressed = gzip.compress(_CONTENTS[name]) if suffix == ".gz" else zstd(_CONTENTS[name])
    assert read(tmp_path, compressed, name + suffix).to_pylist() == _ROWS


@pytest.mark.parametrize("name", _CONTENTS)
def test_the_kind_is_found_without_a_suffix(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, _CONTENTS[name], "table").to_pylist() == _ROWS


def test_the_name_is_the_stem_without_compression(tmp_path: Path) -> None:
    assert source("data/train.csv.gz").name == "train"
    assert source("s3://bucket/my.data.parquet?versionId=3").name == "my.data"


def test_urls_of_fsspec_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, _CSV, "My data (1) [a],b=c.csv")
    assert load(source(f"file://{path}")).to_pylist() == _ROWS
    fsspec.filesystem("memory").pipe("/folder/table.csv", _CSV.encode())
    assert load(source("memory://folder/table.csv")).to_pylist() == _ROWS
    assert "did you mean 'table.csv'?" in refusal(source("memory://folder/tabel.csv"))


def test_a_protocol_without_its_package_names_the_package() -> None:
    from fsspec.registry import known_implementations, register_implementation

    lost = {"class": "no_such_package.Files", "err": "Install no_such_package to read lost files"}
    register_implementation("lost", "no_such_package.Files", errtxt=lost["err"])
    try:
        assert "pip install no_such_package" in refusal(source("lost://bucket/table.csv"))
    finally:
        del known_implementations["lost"]
    assert "did you mean 'memory'?" in refusal(source("memry://table.csv"))


def test_a_password_in_a_url_is_never_shown() -> None:
    assert "hunter2" not in refusal(source("memory://user:hunter2@host/none.csv"))


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8-sig", []),
        ("utf-16", ["encoding utf-16"]),
        ("utf-16-le", ["encoding utf-16-le"]),
        ("utf-16-be", ["encoding utf-16-be"]),
        ("cp1252", ["encoding cp1252"]),
    ],
)
def test_encodings_are_found_out_and_said(tmp_path: Path, encoding: str, said: list[str]) -> None:
    file = source(written(tmp_path, _CSV.encode(encoding)))
    assert load(file).to_pylist() == _ROWS
    assert file.notes() == said


def test_bytes_that_cp1252_lacks_are_latin_1(tmp_path: Path) -> None:
    file = source(written(tmp_path, b"a,b\n\xe9\x81,1\n"))
    assert load(file).to_pylist() == [{"a": "\xe9\x81", "b": 1}]
    assert file.notes() == ["encoding latin-1"]


def test_an_encoding_may_be_named(tmp_path: Path) -> None:
    assert read(tmp_path, "miasto,n\nŁódź,1\n".encode("cp1250"), encoding="cp1250")["miasto"].to_pylist() == ["Łódź"]
    assert "source.encoding=utf-8 " in refusal(source(written(tmp_path, b"a\n\xff\n"), encoding="utf-8"))
    assert "source.encoding=utf8x" in refusal(source(written(tmp_path, b"a\n1\n"), encoding="utf8x"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found_out_and_said(tmp_path: Path, delimiter: str) -> None:
    file = source(written(tmp_path, _CSV.replace(",", delimiter)))
    assert load(file).to_pylist() == _ROWS
    assert file.notes() == ([] if delimiter == "," else [f"delimiter {delimiter!r}"])


def test_sentences_are_not_cut_at_their_commas(tmp_path: Path) -> None:
    rows = "it 's , well , good\t1\nbad\t0\nno , not 'good' ; bad\t0\n"
    assert read(tmp_path, rows, columns=["text", "label"]).num_rows == 3
    assert read(tmp_path, "text\nwell, good\nbad\n").to_pylist() == [{"text": "well, good"}, {"text": "bad"}]


def test_a_delimiter_may_be_named(tmp_path: Path) -> None:
    assert read(tmp_path, "a:b\n1:2\n", delimiter=":").to_pylist() == [{"a": 1, "b": 2}]
    assert "source.delimiter='::'" in refusal(source(written(tmp_path, "a::b\n"), delimiter="::"))


def test_a_file_without_a_header_takes_the_names_given(tmp_path: Path) -> None:
    rows = "39, State-gov, 77516\n50, Private, 1\n"
    assert read(tmp_path, rows, columns=["age", "work", "weight"]).to_pylist() == [
        {"age": 39, "work": "State-gov", "weight": 77516},
        {"age": 50, "work": "Private", "weight": 1},
    ]


def test_spaces_after_delimiters_belong_to_nothing(tmp_path: Path) -> None:
    table = read(tmp_path, 'age, work , note\n39, State-gov, "a, b"\n 50 , Private, "said ""x"""\n')
    assert table.to_pylist() == [
        {"age": 39, "work": "State-gov", "note": "a, b"},
        {"age": 50, "work": "Private", "note": 'said "x"'},
    ]


def test_quoted_newlines_stay_in_their_value(tmp_path: Path) -> None:
    table = read(tmp_path, 'a,b\r\n"one\ntwo",1\r\n"x,""y""",2\r\n')
    assert table.to_pylist() == [{"a": "one\ntwo", "b": 1}, {"a": 'x,"y"', "b": 2}]


def test_a_quote_that_never_closes_swallows_no_row(tmp_path: Path) -> None:
    file = source(written(tmp_path, 'text\tlabel\n"great movie\t1\nbad\t0\n"so so\t0\nfine\t1\n', "reviews.tsv"))
    assert load(file)["text"].to_pylist() == ['"great movie', "bad", '"so so', "fine"]
    assert any("quotes" in note for note in file.notes())


def test_the_last_line_needs_no_end_and_blank_lines_are_none(tmp_path: Path) -> None:
    assert read(tmp_path, "\na,b\n\n1,2\n\n3,4").to_pylist() == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    assert read(tmp_path, "a,b\r1,2\r3,4\r").num_rows == 2


@pytest.mark.parametrize(
    "values",
    [
        ["00501", "10001"],
        ["0x1F", "0x20"],
        ["12345678901234567890", "1"],
        ["12345678901234567", "1.5"],
        ["1,234", "5,678"],
        ["1_000", "2"],
        ["2024-01-31", "2024-02-01"],
        ["TRUE", "false"],
        ["1", "?"],
        ["NA", "1"],
    ],
)
def test_what_a_number_would_lose_stays_text(tmp_path: Path, values: list[str]) -> None:
    table = read(tmp_path, "a;b\n" + "".join(f"{value};x\n" for value in values))
    assert table["a"].to_pylist() == values


def test_numbers_are_numbers_and_their_blanks_are_missing(tmp_path: Path) -> None:
    file = source(written(tmp_path, "a,b,c,d\n1,1.5,-1e5, \n,inf,nan,2\n-3,,7,3\n"))
    table = load(file)
    assert table.schema.types == [pa.int64(), pa.float64(), pa.float64(), pa.int64()]
    assert table["a"].to_pylist() == [1, None, -3]
    assert table["b"].to_pylist() == [1.5, float("inf"), None]
    assert file.notes() == ["values of only spaces among the numbers of 'd' are missing"]


def test_decimal_commas_are_numbers_where_they_can_be_nothing_else(tmp_path: Path) -> None:
    file = source(written(tmp_path, "price;amount\n3,14;1\n1000,5;2\n;3\n"))
    assert load(file)["price"].to_pylist() == [3.14, 1000.5, None]
    assert file.notes() == ["delimiter ';'", "decimal comma in 'price'"]


def test_a_late_odd_value_makes_its_column_text_and_loses_nothing(tmp_path: Path) -> None:
    n_rows = 300_000
    lines = [f"{row},{row / 4}" for row in range(n_rows)] + ["n/a,1"]
    table = read(tmp_path, "a,b\n" + "\n".join(lines))
    assert table["a"].to_pylist()[-2:] == [str(n_rows - 1), "n/a"]
    assert table.schema.types == [pa.string(), pa.float64()]


_JUNK = random.Random(0).randbytes(5000)
_REFUSED: dict[str, tuple[str, bytes, dict[str, Any], list[str]]] = {
    "empty": ("t.csv", b"", {}, ["empty"]),
    "blank": ("t.csv", b"\n \n", {}, ["empty"]),
    "empty gzip": ("t.csv.gz", gzip.compress(b""), {}, ["empty"]),
    "header only": ("t.csv", b"a,b\n", {}, ["no rows"]),
    "header only, unended": ("t.csv", b"a,b", {}, ["no rows"]),
    "no json rows": ("t.json", b"[]", {}, ["no rows"]),
    "no parquet rows": ("t.parquet", parquet(_TABLE.slice(0, 0)), {}, ["no rows"]),
    "junk": ("t.csv", _JUNK, {}, ["no text"]),
    "junk json": ("t.jsonl", _JUNK, {}, ["no text"]),
    "junk parquet": ("t.parquet", _JUNK, {}, ["parquet", "damaged"]),
    "junk without suffix": ("t", _JUNK, {}, ["no text"]),
    "spreadsheet": ("t.xlsx", b"PK\x03\x04" + _JUNK, {}, ["no text", "save the sheet as CSV"]),
    "cut parquet": ("t.parquet", _CONTENTS["table.parquet"][:-20], {}, ["parquet", "cut short"]),
    "cut feather": ("t.feather", _CONTENTS["table.feather"][:-20], {}, ["feather", "cut short"]),
    "cut stream": ("t.arrow", _CONTENTS["stream.arrow"][:-60], {}, ["stream", "cut short"]),
    "cut gzip": ("t.csv.gz", gzip.compress(_CSV.encode() * 99)[:-9], {}, ["gzip", "damaged"]),
    "cut zstd": ("t.csv.zst", zstd(_CSV.encode() * 99)[:-9], {}, ["zstd", "damaged"]),
    "long line": ("t.csv", b'a,b\n"x\ny",2\n1,2,3\n1\n', {}, ["line 4 has 3 fields", "2 are expected", "1 more"]),
    "short line": ("t.csv", b"a,b,c\n1,2,3\n\n1,2\n", {}, ["line 4 has 2 fields where 3 are expected"]),
    "long line without header": ("t.csv", b"1,2\n1,2,3\n", {"columns": ["a", "b"]}, ["line 2 has 3"]),
    "unclosed quote": ("t.csv", b'a,b\n1,2\n"x,3\n4,5,6\n', {}, ["line 4 has 3 fields"]),
    "double names": ("t.csv", b"a,b, a\n1,2,3\n", {}, ["'a' occurs more than once", "source.columns"]),
    "double names in parquet": ("t.parquet", parquet(pa.table([[1], [2]], names=["a", "a"])), {}, ["'a' occurs"]),
    "broken json line": ("t.jsonl", b'{"a": 1}\n{"a": \n', {}, ["line 2 is no JSON"]),
    "json of numbers": ("t.jsonl", b"1\n2\n", {}, ["line 1 is no JSON object"]),
    "json array of numbers": ("t.json", b'[{"a": 1}, 2]', {}, ["element 2"]),
    "broken json array": ("t.json", b'[{"a": 1},', {}, ["no JSON"]),
    "columns for parquet": ("t.parquet", _CONTENTS["table.parquet"], {"columns": ["a"]}, ["leave source.columns out"]),
}


_LARGE = {
    "numbers": "a,b\n" + "".join(f"{row},{row / 4}\n" for row in range(3_000)),
    "a late odd value": "a,b\n" + "".join(f"{row},{row / 4}\n" for row in range(3_000)) + "n/a,1",
    "quoted names and values": '"a","b"\n' + '"x, y",1\n' * 3_000,
    "quoted newlines": 'a,b\n"x\ny",1\n' * 1_000,
    "quotes after spaces": 'a,b\n1, "x, y"\n' * 1_000,
    "a quote that never closes": "a\tb\n" + 'great\t1\n"so so\t2\n' * 999,
    "blanks and decimal commas": "a;b; c\n" + "1,5; ;x \n;2;y\n" * 999,
    "blank lines, no last end": "a,b\r\n\r\n" + "1,2\r\n" * 3_000 + "3,",
    "a row longer than a block": "a,b\n" + "x" * 9_000 + ",1\n" + "y,2\n" * 999,
    "late bytes of another code page": "a,b\n" + "x,1\n" * 3_000 + "\xe9,2\n",
}


@pytest.mark.parametrize("case", _LARGE)
def test_a_large_text_is_the_table_that_it_would_be_if_it_were_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    path = written(tmp_path, _LARGE[case].encode("cp1252"))
    whole = source(path)
    expected = load(whole)
    monkeypatch.setattr(_large_csv, "LARGE_BYTES", 1_000)
    monkeypatch.setattr(_large_csv, "BLOCK_BYTES", 4_000)
    parts = source(path)
    assert load(parts).equals(expected)
    assert parts.notes() == whole.notes()


@pytest.mark.parametrize("case", [case for case in _REFUSED if "line" in case or "names" in case or "quote" in case])
def test_a_large_text_is_refused_as_a_small_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    name, content, knobs, _ = _REFUSED[case]
    path = written(tmp_path, content, name)
    expected = refusal(source(path, **knobs))
    monkeypatch.setattr(_large_csv, "LARGE_BYTES", 0)
    assert refusal(source(path, **knobs)) == expected


def test_a_row_may_be_longer_than_a_block(tmp_path: Path) -> None:
    document = "word " * 4_000_000
    assert read(tmp_path, f'text,n\n"{document}",1\nb,2\n')["n"].to_pylist() == [1, 2]


def test_a_quoted_newline_may_fall_anywhere_in_a_large_file(tmp_path: Path) -> None:
    rows = '"one\n' + "x" * 1000 + '",1\n'
    assert read(tmp_path, "text,n\n" + rows * 40_000)["n"].to_pylist() == [1] * 40_000


def test_ten_thousand_columns_are_read_in_seconds(tmp_path: Path) -> None:
    n_columns = 10_000
    header = ",".join(f"column {place}" for place in range(n_columns))
    row = ",".join("1.5" if place % 2 else "x" for place in range(n_columns))
    path = written(tmp_path, "\n".join([header, *[row] * 50]))
    started = time.perf_counter()
    assert load(source(path)).shape == (50, n_columns)
    assert time.perf_counter() - started < 10


def test_names_of_any_characters_are_kept(tmp_path: Path) -> None:
    names = ['a "b"', "c:d", "e,f", "[g]", "ünï", "h" * 300, "x\ny"]
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    assert read(tmp_path, f"{header}\n1,2,3,4,5,6,7\n").column_names == names


def test_a_column_without_a_name_is_called_by_its_place(tmp_path: Path) -> None:
    file = source(written(tmp_path, ",a,\n0,1,2\n"))
    assert load(file).column_names == ["column_1", "a", "column_3"]
    assert file.notes() == ["columns without a name are called 'column_1', 'column_3'"]


def test_a_header_of_numbers_is_questioned_aloud(tmp_path: Path) -> None:
    assert "source.columns" in " ".join(source(written(tmp_path, "39,work\n50,Private\n")).notes())


def test_nested_and_mixed_json_becomes_text(tmp_path: Path) -> None:
    lines = ['{"a": {"x": [1, "é"]}, "b": 1, "c": true}', '{"a": [2], "b": "one", "d": 1.5}', '{"b": false, "d": 2}']
    assert read(tmp_path, "\n".join(lines), "t.jsonl").to_pylist() == [
        {"a": '{"x": [1, "é"]}', "b": "1", "c": True, "d": None},
        {"a": "[2]", "b": "one", "c": None, "d": 1.5},
        {"a": None, "b": "false", "c": None, "d": 2.0},
    ]


def test_json_integers_beyond_64_bits_keep_their_digits(tmp_path: Path) -> None:
    assert read(tmp_path, '{"id": 123456789012345678901}\n{"id": 1}\n', "t.jsonl")["id"].to_pylist() == [
        "123456789012345678901",
        "1",
    ]


def test_parquet_columns_arrive_plain(tmp_path: Path) -> None:
    table = pa.table(
        {
            "category": pa.array(["a", "b", "a"]).dictionary_encode(),
            "price": pa.array([Decimal("1.50"), None, Decimal("2.25")]),
            "nested": [{"x": 1}, None, {"x": 2}],
            "bytes": [b"\x00\xff", None, b""],
            "day": [date(2024, 1, 31), None, date(2024, 2, 1)],
        }
    )
    plain = read(tmp_path, parquet(table), "t.parquet")
    assert [str(kind) for kind in plain.schema.types] == ["string", "double", "string", "string", "date32[day]"]
    assert plain["nested"].to_pylist() == ['{"x": 1}', None, '{"x": 2}']
    assert plain["bytes"].to_pylist() == ["00ff", None, ""]


def large(folder: Path, kind: str, n_rows: int = 300_000) -> Path:
    """A table of several batches, each of which differs from the first in what it lacks."""
    columns = {
        "number": [float(row) for row in range(n_rows)],
        "nested": pa.array([[1, row] if row == 0 else None for row in range(n_rows)], pa.list_(pa.int64())),
        "category": pa.array(["a" if row < n_rows // 2 else None for row in range(n_rows)]).dictionary_encode(),
    }
    table = pa.table(columns)
    if kind == "parquet":
        pyarrow.parquet.write_table(table, folder / "t", row_group_size=100_000)
    elif kind == "feather":
        pyarrow.feather.write_feather(table, folder / "t", chunksize=50_000)
    else:
        with pa.ipc.new_stream(folder / "t", table.schema) as writer:
            writer.write_table(table, max_chunksize=50_000)
    return folder / "t"


@pytest.mark.parametrize("kind", ["parquet", "feather", "stream"])
def test_large_files_arrive_in_batches_of_one_schema(tmp_path: Path, kind: str) -> None:
    batches = list(source(large(tmp_path, kind)).batches())
    assert max(batch.num_rows for batch in batches) <= 1 << 17
    assert {str(batch.schema) for batch in batches} == {"number: double\nnested: string\ncategory: string"}
    table = pa.Table.from_batches(batches)
    assert table["number"].to_pylist() == [float(row) for row in range(300_000)]
    assert (table["nested"].null_count, table["category"].null_count) == (299_999, 150_000)


@pytest.mark.parametrize("kind", ["parquet", "feather", "stream"])
def test_damage_far_down_in_a_file_is_refused_when_it_is_come_to(tmp_path: Path, kind: str) -> None:
    path = large(tmp_path, kind)
    content = bytearray(path.read_bytes())
    content[-len(content) // 3 : -len(content) // 4] = random.Random(0).randbytes(len(content) // 3 - len(content) // 4)
    path.write_bytes(content)
    batches = source(path).batches()
    next(batches)
    with pytest.raises(Refusal, match="is damaged or cut short"):
        list(batches)


def test_no_table_is_kept_by_its_source(tmp_path: Path) -> None:
    before = pa.total_allocated_bytes()
    sources = [source(large(tmp_path, "parquet")), source(written(tmp_path, _CSV * 1_000))]
    for one in sources:
        assert sum(batch.num_rows for batch in one.batches()) > 1_000
    assert pa.total_allocated_bytes() - before < 100_000


def test_the_config_makes_the_source_and_holds_its_defaults() -> None:
    node = OmegaConf.to_container(OmegaConf.load(Path(__file__).parents[3] / "conf/source/file.yaml"), resolve=False)
    assert isinstance(node, dict)
    assert node.pop("_target_") == "tasks.source.file.File"
    assert node["path"] == "???"
    assert TypeAdapter(File).validate_python({**node, "path": "x.csv"}) == source("x.csv")


@pytest.mark.parametrize("case", _REFUSED)
def test_what_is_no_table_is_refused_by_key_value_and_reason(tmp_path: Path, case: str) -> None:
    name, content, knobs, words = _REFUSED[case]
    path = written(tmp_path, content, name)
    message = refusal(source(path, **knobs))
    assert message.startswith(f"source.path={path}: ")
    assert all(word in message for word in words), message
    assert message.endswith((".", "?"))
    assert "\n" not in message


def test_a_missing_file_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    written(tmp_path, _CSV, "customers.csv")
    assert "did you mean 'customers.csv'?" in refusal(source(tmp_path / "custmers.csv"))
    assert "check the path" in refusal(source(tmp_path / "nowhere" / "customers.csv"))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "is a folder" in refusal(source(tmp_path))


@contextmanager
def an_ordinary_user() -> Iterator[None]:
    """Root may read everything; nobody may not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, _CSV)
    path.chmod(0)
    with an_ordinary_user():
        assert "permission denied" in refusal(source(path))


def test_columns_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "1,x\n2,y\n")
    assert "names 3 columns, but the first line of the file has 2 fields" in refusal(source(path, columns=["a"] * 3))
    assert "'a' more than once" in refusal(source(path, columns=["a", "a"]))
    assert "repeats the header line" in refusal(source(written(tmp_path, "a,b\n1,2\n"), columns=["a", "b"]))


def test_the_same_file_gives_the_same_batches_of_one_schema_twice(tmp_path: Path) -> None:
    path = written(tmp_path, _CSV)
    first, second = list(source(path).batches()), list(source(path).batches())
    assert first == second
    assert len({batch.schema for batch in first}) == 1
