"""Each row of a table is delivered once with its key, or rejected with the reason, whatever happens on the way."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tasks import score_chunk, scored, seen
from tasks.chunks import Chunk
from tasks.deliver import Delivered, Output
from tasks.histogram import Histogram
from tasks.interval import Residuals
from tasks.model import Floats
from tasks.predictor import Predictor
from tasks.records import Problem
from tasks.refusal import Refusal
from tasks.row_hash import row_hashes
from tasks.schema import Column, Schema
from tasks.score import deliver, predict
from tasks.score_chunk import Champion, check_columns
from tasks.score_job import Job, ended
from tasks.scored import Summary
from tasks.source.file import File
from tasks.source.sql import Sql
from tasks.table_sql import SqlTable

SCHEMA = Schema((
    Column("a", "numeric", "double"), Column("c", "categorical", "string"),
    Column("when", "time", "string", "ISO8601", ("hour",)), Column("is", "boolean", "string"),
))  # fmt: skip
N = 25


@dataclass
class Rule:
    """A family of one rule: the probability of the second class is the column a. ends_at: a value of it at which it
    ends as a killed process does, with whatever was finished."""

    ends_at: float = np.inf
    n_parameters: int = 0
    n_predicted: int = 0

    def predict(self, X: pd.DataFrame) -> Floats:
        a = X["a"].fillna(0).to_numpy(dtype=np.float64)
        if (a == self.ends_at).any():
            raise KeyboardInterrupt
        self.n_predicted += len(a)
        return np.column_stack([1 - a, a])


class Values(Rule):
    def predict(self, X: pd.DataFrame) -> Floats:
        return super().predict(X)[:, 1]


def champion(fitted: Rule, keys: tuple[str, ...] = ("id",)) -> Champion:
    predictor = Predictor(SCHEMA, fitted, Problem("binary", "y", ("no", "yes")))  # type: ignore[arg-type]
    return Champion("sold", 3, predictor, None, keys, None, ())


def rows(n: int = N) -> pd.DataFrame:
    return pd.DataFrame({
        "id": np.arange(100, 100 + n), "a": np.arange(n) / n, "c": "x", "when": "2026-01-02 03:04", "is": "true",
        "y": "no", "more": 1,
    })  # fmt: skip


@dataclass
class Scoring:
    """One table, output and folder of jobs; `score` is one command."""

    folder: Path
    said: list[str]
    rules: list[Rule]
    if_exists: Any = "fail"
    suffix: str = ".parquet"
    table: SqlTable | None = None

    @property
    def output(self) -> Output:
        path = None if self.table is not None else self.folder / f"out{self.suffix}"
        return Output(path, self.table, self.folder / f"out.rejects{self.suffix}", self.if_exists)

    def job(self, asked: Any = None) -> Job:
        (self.folder / "job").mkdir(exist_ok=True)
        job, said = Job.of(self.folder / "job", {"asked": asked})
        self.said += [said]
        return job

    def score(self, table: Any, rule: Rule | None = None, keys: tuple[str, ...] = ("id",)) -> Delivered:
        self.rules.append(rule or Rule())
        model, job, source = champion(self.rules[-1], keys), self.job(), self.source(table)
        self.output.check(job)
        n_rows = predict.fn(source, model, job, lambda n_rows, was_done: None, self.said.append)
        done = deliver.fn(job, model, self.output, n_rows, "table")
        job.end("a run", asdict(done))
        return done

    def source(self, table: Any) -> Any:
        if not isinstance(table, pd.DataFrame):
            return table
        table.to_parquet(self.folder / "in.parquet")
        return File(str(self.folder / "in.parquet"), None, None, None)

    def read(self, what: str = "out") -> pd.DataFrame:
        path = self.folder / f"{what}{self.suffix}"
        return pd.read_parquet(path) if self.suffix == ".parquet" else pd.read_csv(path)


@pytest.fixture
def scoring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scoring:
    """Chunks of eight rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(score_chunk, "ROWS", 8)
    return Scoring(tmp_path, [], [])


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_each_row_comes_out_with_its_key_prediction_version_and_time(scoring: Scoring, suffix: str) -> None:
    scoring.suffix = suffix
    done = scoring.score(rows())
    out = scoring.read()
    assert list(out) == ["id", "prediction", "probability_no", "probability_yes", "model_name", "model_version",
                         "scored_at"]  # fmt: skip
    assert out["id"].tolist() == rows()["id"].tolist()
    assert out["prediction"].tolist() == ["yes" if a > 0.5 else "no" for a in rows()["a"]]
    np.testing.assert_allclose(out["probability_yes"], rows()["a"])
    assert set(out["model_version"]) == {3}
    assert out["scored_at"].nunique() == 1
    assert (done.n_scored, done.n_rejected, done.n_repeated, done.rejects) == (N, 0, 0, "")
    assert "y, the target, is in the table and is ignored" in scoring.said
    assert "ignored, for the model knows no such columns: more" in scoring.said
    assert [path.name for path in (scoring.folder / "job").iterdir()] == ["ended.json"]


def test_the_monitor_finds_the_batch_with_hashed_keys(scoring: Scoring) -> None:
    scoring.score(rows())
    (batch,) = scored.read("sold", 3)
    assert (batch.summary.n_rows, batch.summary.keys) == (N, ("id",))
    kept = pd.concat(batch.predictions())
    assert kept["key"].tolist() == scored.key_hashes(rows(), ["id"]).tolist()
    assert list(kept) == ["key", "known", "prediction", "probability_no", "probability_yes"]


def test_a_row_that_does_not_fit_is_rejected_with_every_reason(scoring: Scoring) -> None:
    table = rows().astype({"a": "str"})
    table.loc[3, ["a", "when"]] = ["many", "soon"]
    table.loc[10, "is"], table.loc[20, "id"], table.loc[21, "a"], table.loc[22, "c"] = "maybe", np.nan, " ", "new"
    done = scoring.score(table)
    rejected = scoring.read("out.rejects")
    assert rejected["rejected_row"].tolist() == [4, 11, 21]
    assert rejected["rejected_because"].tolist() == [
        "a='many' is no number; when='soon' is no time", "is='maybe' is no truth value", "id, the key, is missing",
    ]  # fmt: skip
    assert rejected["a"].tolist()[0] == "many"  # as it was
    assert sorted([*scoring.read()["id"], 103, 110, 120]) == rows()["id"].tolist()
    assert (done.n_scored, done.n_rejected) == (N - 3, 3)


@pytest.mark.parametrize(("change", "said"), [
    (lambda t: t.drop(columns=["a", "c"]), "lack 2 of the columns that the model was trained on: a, c"),
    (lambda t: t.drop(columns="id"), "source.key=id: the table has no such column; did you mean 'is'?"),
    (lambda t: t.assign(a="many"), "a holds text (such as 'many') where the model knows numbers"),
    (lambda t: t.assign(when=5), "when holds numbers (such as '5') where the model knows times"),
    (lambda t: t.assign(**{"is": "x"}), "is holds text (such as 'x') where the model knows truth values"),
    (lambda t: t.head(0), "there are no rows in it"),
])  # fmt: skip
def test_a_table_that_does_not_fit_is_refused_and_leaves_nothing(
    scoring: Scoring, change: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    with pytest.raises(Refusal) as refused:
        scoring.score(change(rows()))
    assert said in str(refused.value)
    assert not list(scoring.folder.glob("out*"))


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_killed_scoring_goes_on_and_delivers_every_row_once(scoring: Scoring, suffix: str) -> None:
    scoring.suffix = suffix
    with pytest.raises(KeyboardInterrupt):
        scoring.score(rows(), Rule(ends_at=18 / N))
    assert not list(scoring.folder.glob("out*"))
    begun = scoring.job().begun
    scoring.score(rows())
    assert scoring.read()["id"].tolist() == rows()["id"].tolist()
    assert set(pd.to_datetime(scoring.read()["scored_at"])) == {pd.Timestamp(begun)}
    assert scoring.rules[1].n_predicted <= N - 8  # the first chunk was finished


def test_a_table_that_changed_meanwhile_is_scored_anew(scoring: Scoring) -> None:
    with pytest.raises(KeyboardInterrupt):
        scoring.score(rows(), Rule(ends_at=18 / N))
    scoring.score(rows().iloc[::-1])
    assert scoring.read()["id"].tolist() == rows()["id"].tolist()[::-1]
    assert scoring.rules[1].n_predicted == N
    assert "the table has changed since the interrupted scoring, which is given up" in scoring.said


def test_a_table_of_which_any_one_cell_changed_meanwhile_is_scored_anew(scoring: Scoring) -> None:
    many = 9_000
    score_chunk.ROWS = many // 2
    with pytest.raises(KeyboardInterrupt):
        scoring.score(rows(many), Rule(ends_at=0.9))
    changed = rows(many)
    changed.loc[1, "a"] = 0.5
    scoring.score(changed)
    assert scoring.rules[1].n_predicted == many


def test_another_command_into_the_same_place_takes_nothing_over(scoring: Scoring) -> None:
    with pytest.raises(KeyboardInterrupt):
        scoring.score(rows(), Rule(ends_at=18 / N))
    begun = scoring.job().begun
    assert scoring.job("another model").begun > begun
    assert scoring.job("another model").n_finished == 0
    assert "it is given up" in scoring.said[-2]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_an_output_that_exists_is_refused_appended_to_or_replaced(scoring: Scoring, suffix: str) -> None:
    scoring.suffix = suffix
    scoring.score(rows())
    with pytest.raises(Refusal, match=rf"out{suffix} is there already; name another place, or predictions\.if_exists"):
        scoring.score(rows())
    scoring.if_exists = "append"
    scoring.score(rows(5))
    assert scoring.read()["id"].tolist() == [*rows()["id"], *rows(5)["id"]]
    scoring.if_exists = "replace"
    scoring.score(rows(3))
    assert scoring.read()["id"].tolist() == rows(3)["id"].tolist()
    scoring.if_exists = "append"
    with pytest.raises(Refusal, match=r"can't be appended to: it has the columns .*id.*, and these predictions .*row"):
        scoring.score(rows(), keys=())
    assert scoring.read()["id"].tolist() == rows(3)["id"].tolist()


@pytest.mark.parametrize("if_exists", ["fail", "append"])
def test_a_kill_right_after_the_rename_delivers_nothing_twice(
    scoring: Scoring, monkeypatch: pytest.MonkeyPatch, if_exists: str
) -> None:
    scoring.if_exists = "append"
    scoring.score(rows(2))
    if if_exists == "fail":
        (scoring.folder / "out.parquet").unlink()
        scoring.if_exists = "fail"

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(scored, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            scoring.score(rows())
    before = [] if if_exists == "fail" else rows(2)["id"].tolist()
    assert scoring.read()["id"].tolist() == [*before, *rows()["id"]]
    scoring.score(rows())
    assert scoring.read()["id"].tolist() == [*before, *rows()["id"]]
    assert len(scored.read("sold", 3)) == 2
    assert not list(scoring.folder.glob(".2*"))


def test_a_run_that_is_killed_when_all_is_done_is_told_what_it_made_and_appends_nothing_again(scoring: Scoring) -> None:
    scoring.if_exists = "append"
    done = scoring.score(rows())
    assert ended(scoring.folder / "job", "a run") == json.loads(json.dumps(asdict(done)))
    assert ended(scoring.folder / "job", "another") is None
    assert ended(scoring.folder / "job", "") is None


def test_a_kill_within_the_end_leaves_a_job_that_is_over(scoring: Scoring, monkeypatch: pytest.MonkeyPatch) -> None:
    scoring.if_exists = "append"

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            scoring.job().end("a run", {})
    first = scoring.job()
    scoring.score(rows(5))
    assert first.name not in {path.name for path in scored.MONITOR.glob("sold/3/*")}
    assert scoring.read()["id"].tolist() == rows(5)["id"].tolist()


def test_a_command_that_was_refused_before_any_row_was_scored_leaves_no_time_behind(scoring: Scoring) -> None:
    refused = scoring.job()
    assert scoring.job().begun > refused.begun
    assert scoring.job("another model").begun > refused.begun
    assert set(scoring.said) == {""}


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_where_no_row_can_be_scored_the_predictions_of_before_stay(scoring: Scoring, suffix: str) -> None:
    scoring.suffix, scoring.if_exists = suffix, "replace"
    scoring.score(rows(3))
    without_key = rows(9).assign(id=pd.array([None] * 9, dtype="Int64"))
    with pytest.raises(Refusal, match=r"none of 9 rows could be scored: .*rejects.* has them with the reasons; .*out"):
        scoring.score(without_key)
    assert scoring.read()["id"].tolist() == rows(3)["id"].tolist()
    assert len(scoring.read("out.rejects")) == 9


@pytest.mark.parametrize(("name", "content", "said"), [
    ("out.parquet", b"no table", "can't be appended to: it is no Parquet file; name another place"),
    ("out.csv", b"id,pr\xe9diction\n", "can't be appended to: it is no text in UTF-8"),
    ("out.csv", None, "is a folder; name a file"),
])  # fmt: skip
def test_what_can_not_be_appended_to_is_refused_and_stays(
    scoring: Scoring, name: str, content: bytes | None, said: str
) -> None:
    place = scoring.folder / name
    if content is None:
        place.mkdir()
    else:
        place.write_bytes(content)
    scoring.suffix, scoring.if_exists = place.suffix, "append"
    with pytest.raises(Refusal, match=said):
        scoring.score(rows())
    assert place.is_dir() if content is None else place.read_bytes() == content
    assert not list(scoring.folder.glob(".*"))


def test_rows_are_appended_to_a_file_whose_last_line_has_no_end(scoring: Scoring) -> None:
    scoring.suffix = ".csv"
    scoring.score(rows(2))
    path = scoring.folder / "out.csv"
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    scoring.if_exists = "append"
    scoring.score(rows(3))
    assert scoring.read()["id"].tolist() == [*rows(2)["id"], *rows(3)["id"]]


def test_a_row_that_the_model_was_trained_on_is_scored_but_is_nothing_for_the_monitor(
    scoring: Scoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    was = rows().iloc[:10]
    known = np.unique(row_hashes(was[["id"]], 0) >> np.uint64(32)).astype(np.uint32)
    typed = np.unique(row_hashes(was[["a"]], 0) >> np.uint64(32)).astype(np.uint32)
    trained_on = (seen.Table(seen.Identity("key", ("id",)), ("a",), known, typed),)
    reference = Summary("sold", 3, "", "", 10, 0, (Histogram.of(was["a"], "number"),), ())
    model = replace(champion(Rule()), reference=reference, trained_on=trained_on)
    monkeypatch.setattr(sys.modules[__name__], "champion", lambda *_: model)
    done = scoring.score(rows())
    assert done.n_scored == N
    (batch,) = scored.read("sold", 3)
    assert (batch.summary.n_rows, batch.summary.n_known) == (N, 10)
    assert batch.summary.columns[0].n_rows == N - 10
    assert sum(len(part) for part in batch.predictions()) == N - 10


def test_a_key_that_comes_twice_has_both_predictions_and_is_told(
    scoring: Scoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.deliver.HASHES_AT_ONCE", 4)
    table = rows().assign(id=[7, 7, 7, *range(100, 100 + N - 3)])
    done = scoring.score(table)
    assert done.n_repeated == 2
    assert scoring.read()["id"].tolist() == table["id"].tolist()


def test_without_a_key_rows_are_named_by_their_number(scoring: Scoring) -> None:
    scoring.score(rows(), keys=())
    assert scoring.read()["row"].tolist() == list(range(1, N + 1))
    assert any("labels that come later find no prediction" in said for said in scoring.said)


def test_a_database_takes_and_gives_tables_all_rows_or_none(scoring: Scoring) -> None:
    url = f"sqlite:///{scoring.folder}/x.db"
    with sqlite3.connect(scoring.folder / "x.db") as connection:
        rows().to_sql("sold", connection, index=False)
    connection.close()
    source = Sql(url, "SELECT * FROM sold ORDER BY id", 7)
    scoring.table = SqlTable(url, "predicted table")

    def ids() -> list[int]:
        with sqlite3.connect(scoring.folder / "x.db") as connection:
            found = [row[0] for row in connection.execute('SELECT id FROM "predicted table" ORDER BY rowid')]
        connection.close()
        return found

    scoring.score(source)
    assert ids() == rows()["id"].tolist()
    with pytest.raises(Refusal, match=r"predictions\.table=predicted table of predictions\.url=.* is there already"):
        scoring.score(source)
    for if_exists, expected in (("append", 2), ("replace", 1)):
        scoring.if_exists = if_exists
        scoring.score(source)
        assert ids() == rows()["id"].tolist() * expected
    scoring.if_exists = "append"
    with pytest.raises(Refusal, match="can't be appended to"):
        scoring.score(source, keys=())
    scoring.table, scoring.if_exists = SqlTable(url, "sold"), "replace"
    with pytest.raises(Refusal, match=r"predictions\.table=sold of .* holds no predictions, and is not replaced"):
        scoring.score(source)


def test_a_key_too_large_for_a_database_is_refused_and_leaves_no_table_behind(scoring: Scoring) -> None:
    url = f"sqlite:///{scoring.folder}/x.db"
    scoring.table = SqlTable(url, "predicted")
    large = rows().assign(id=np.arange(N, dtype=np.uint64) + np.uint64(2**63))
    with pytest.raises(Refusal, match="a key is too large a number for a column of it; give it as text"):
        scoring.score(large)
    with sqlite3.connect(scoring.folder / "x.db") as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    connection.close()
    scoring.score(large.assign(id=large["id"].astype(str)))


def test_a_time_with_a_zone_is_in_utc_in_a_database(scoring: Scoring) -> None:
    scoring.table = SqlTable(f"sqlite:///{scoring.folder}/x.db", "predicted")
    there = pd.date_range("2020-01-01", periods=N, tz="Europe/Berlin")
    scoring.score(rows().assign(id=there))
    with sqlite3.connect(scoring.folder / "x.db") as connection:
        (first,) = connection.execute("SELECT id FROM predicted ORDER BY rowid").fetchone()
    connection.close()
    assert pd.Timestamp(first) == there[0].tz_convert("UTC").tz_localize(None)


def test_faults_of_a_database_are_refused_without_its_password(scoring: Scoring) -> None:
    scoring.table = SqlTable("sqlite:////nowhere/at/all.db", "x")
    with pytest.raises(Refusal, match="unable to open database file; mend it, and the same command goes on"):
        scoring.score(rows())
    with pytest.raises(Refusal) as refused:
        SqlTable("postgresql+psycopg://me:secret@127.0.0.1:9/x", "x").columns()
    assert "secret" not in str(refused.value)


def test_levels_that_lost_their_form_are_refused_and_new_ones_are_not(scoring: Scoring) -> None:
    levels = Histogram.of(pd.Series(["01", "02"], name="c", dtype="str"), "level")
    reference = Summary("sold", 3, "", "", 2, 0, (levels,), ())
    schema = Schema((Column("a", "numeric", "double"), Column("c", "categorical", "string")))
    predictor = replace(champion(Rule()).predictor, schema=schema)
    model = replace(champion(Rule()), predictor=predictor, reference=reference)

    def checked(cells: Any) -> list[str]:
        table = pa.RecordBatch.from_pandas(rows(2).assign(c=cells), preserve_index=False)
        return check_columns(Chunk(0, 1, table), model)

    with pytest.raises(Refusal, match=r"version 3: c has '1' and others where the model knows '01', '02'"):
        checked([1, 2])
    assert checked(["new", "newer"])


def test_intervals_come_where_the_model_can_tell_them(scoring: Scoring) -> None:
    residuals = Residuals.of(np.linspace(-1, 1, 99))
    predictor = Predictor(SCHEMA, Values(), Problem("regression", "y", ()), None, residuals)  # type: ignore[arg-type]
    model, job = replace(champion(Rule()), predictor=predictor, interval=0.9), scoring.job()
    n_rows = predict.fn(scoring.source(rows()), model, job, lambda n_rows, was_done: None, scoring.said.append)
    deliver.fn(job, model, scoring.output, n_rows, "table")
    out = scoring.read()
    assert list(out)[:4] == ["id", "prediction", "lower", "upper"]
    assert ((out["lower"] < out["prediction"]) & (out["prediction"] < out["upper"])).all()


FULL = """
import resource, sys
sys.path.insert(0, "TESTS")
from pathlib import Path
from test_score import Scoring
from tasks.refusal import Refusal
from tasks.source.file import File
resource.setrlimit(resource.RLIMIT_FSIZE, (BYTES, resource.RLIM_INFINITY))
try:
    Scoring(Path.cwd(), [], []).score(File("in.parquet", None, None, None))
except Refusal as refusal:
    print(refusal)
"""


@pytest.mark.slow
def test_a_full_disk_is_told_and_the_same_command_goes_on(scoring: Scoring) -> None:
    """As the system tells it where a file may have no more than so many bytes."""
    rows(5_000).to_parquet(scoring.folder / "in.parquet")
    program = FULL.replace("TESTS", str(Path(__file__).parent)).replace("BYTES", "100_000")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    said = subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=scoring.folder, env=environment,
                          capture_output=True, text=True, check=True).stdout  # fmt: skip
    assert "can't be written: File too large; mend it, and the same command goes on from here" in said
    assert not [path for path in scoring.folder.iterdir() if "out" in path.name]
    scoring.score(rows(5_000))
    assert len(scoring.read()) == 5_000


@dataclass
class Uneven:
    """A source whose batches have other sizes than chunks."""

    sizes: tuple[int, ...]
    name: str = "uneven"

    def batches(self) -> Iterator[pa.RecordBatch]:
        whole = pa.RecordBatch.from_pandas(rows(sum(self.sizes)), preserve_index=False)
        begin = 0
        for size in self.sizes:
            yield whole.slice(begin, size)
            begin += size


def test_chunks_are_the_same_whatever_batches_a_reader_makes(scoring: Scoring) -> None:
    scoring.if_exists = "replace"
    digests = []
    for sizes in ((25,), (1, 8, 7, 9), (24, 1)):
        with pytest.raises(KeyboardInterrupt):
            scoring.score(Uneven(sizes), Rule(ends_at=24 / N))
        digests.append([record.digest for record in scoring.job().records()])
        scoring.score(Uneven(sizes))
        assert scoring.read()["id"].tolist() == rows()["id"].tolist()
    assert digests[0] == digests[1] == digests[2]
    assert json.loads(json.dumps(digests[0])) == digests[0]
