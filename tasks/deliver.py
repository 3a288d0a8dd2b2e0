"""What a finished scoring leaves: its output, the rows that didn't fit, and a summary for the monitor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from tasks import parquet, scored, table_file
from tasks.refusal import Refusal
from tasks.score_chunk import KEY, KNOWN, Champion
from tasks.score_job import REJECTED, SCORED, Job
from tasks.scored import Summary
from tasks.table_sql import SqlTable

HASHES_AT_ONCE = 1 << 20  # 8 MiB
IfExists = Literal["fail", "append", "replace"]


@dataclass(frozen=True)
class Output:
    """Where predictions go: a file or a table of a database. rejects: a file for the rows that don't fit."""

    path: Path | None
    table: SqlTable | None
    rejects: Path
    if_exists: IfExists

    @property
    def shown(self) -> str:
        return str(self.path) if self.table is None else self.table.shown

    def check(self, job: Job) -> None:
        """
        Raises:
            Refusal: where something is there that isn't this job's, and is to stay, or can't be replaced.
        """
        files = [path for path in (self.path, self.rejects) if path is not None]
        if folders := [path for path in files if path.is_dir()]:
            raise Refusal(*(f"{one} is a folder; name a file." for one in folders))
        if self.table is not None and self.if_exists == "replace" and self.table.is_another_s():
            raise Refusal(f"{self.table.shown} holds no predictions, and is not replaced; name another table.")
        if self.if_exists != "fail":
            return
        there = [str(path) for path in files if path.exists() and not job.has_placed(path)]
        if self.table is not None and self.table.columns() is not None and not self.table.has(job.begun):
            there.append(self.table.shown)
        if there:
            remedy = "name another place, or predictions.if_exists=replace or append"
            raise Refusal(*(f"{one} is there already; {remedy}." for one in there))

    def check_append(self, schema: pa.Schema, job: Job) -> None:
        """
        Raises:
            Refusal: where the rows to come have other columns than those that are there.
        """
        if self.if_exists != "append":
            return
        fault = ""
        if self.path is not None and self.path.exists() and not job.has_placed(self.path):
            fault = table_file.unlike(self.path, schema)
        elif self.table is not None and (known := self.table.columns()) is not None and known != schema.names:
            fault = f"has the columns {', '.join(known)}, and these predictions {', '.join(schema.names)}"
        if fault:
            raise Refusal(f"{self.shown} can't be appended to: it {fault}; name another place.")


@dataclass(frozen=True)
class Delivered:
    """n_repeated: rows whose key another row before has too. rejects, monitored: '' where there are none."""

    n_scored: int
    n_rejected: int
    n_repeated: int
    rejects: str
    monitored: str


def delivered(job: Job, champion: Champion, output: Output, n_rows: int, source_name: str) -> Delivered:
    """Puts everything in its place; whatever is there already from this job stays.

    Raises:
        Refusal: where it can't be written, or has come to be there meanwhile; where every row was rejected, and what
            was predicted before stays.
        RuntimeError: where rows of the table are neither scored nor rejected, before anything is put in place.
    """
    n_rejected = sum(record.n_rejected for record in job.records())
    n_scored = sum(batch.num_rows for batch in job.read(SCORED))
    if n_scored + n_rejected != n_rows:
        raise RuntimeError(f"{n_rows:,} rows were read, {n_scored:,} scored and {n_rejected:,} rejected")
    rejects = _place_rejects(job, output, n_rejected)
    if not n_scored and n_rejected:
        job.end()
        raise Refusal(f"none of {n_rows:,} rows could be scored: {rejects} has them with the reasons; {output.shown} "
                      "stays as it was.")  # fmt: skip
    _place_output(job, output)
    summary = _summary(job, champion, n_scored, n_rejected, source_name)
    predictions = job.folder / scored.PREDICTIONS
    parquet.write(predictions, _for_monitor(job))
    n_repeated = _repeated(predictions, n_scored) if champion.keys else 0
    monitored = scored.write(summary, predictions, job.name)
    predictions.unlink()
    return Delivered(n_scored, n_rejected, n_repeated, rejects, str(monitored))


def output_schema(job: Job) -> pa.Schema:
    """Of the rows that were scored."""
    return next(_outputs(job)).schema


def _outputs(job: Job) -> Iterator[pa.RecordBatch]:
    for batch in job.read(SCORED):
        yield batch.drop_columns([KEY, KNOWN])


def _place_output(job: Job, output: Output) -> None:
    schema = output_schema(job)
    output.check_append(schema, job)
    if output.path is not None:
        path = output.path
        after = path if output.if_exists == "append" and path.exists() else None
        job.place(
            path,
            lambda beside: table_file.write(beside, _outputs(job), schema, after),
            only_new=output.if_exists == "fail",
        )
    elif output.table is not None and not output.table.has(job.begun):
        beside = f"finefold_{job.name[-8:]}"
        output.table.write(_outputs(job), schema, append=output.if_exists == "append", beside=beside)


def _place_rejects(job: Job, output: Output, n_rejected: int) -> str:
    """The path of the file; one of an earlier scoring that is to be replaced goes."""
    path = output.rejects
    if output.if_exists == "append":
        path = path.with_name(f"{path.stem}-{job.name}{path.suffix}")
    if not n_rejected:
        if output.if_exists == "replace":
            path.unlink(missing_ok=True)
        return ""
    first = next(job.read(REJECTED))
    rows = job.read(REJECTED)
    job.place(path, lambda beside: table_file.write(beside, rows, first.schema), only_new=output.if_exists == "fail")
    return str(path)


def _for_monitor(job: Job) -> Iterator[pa.RecordBatch]:
    for batch in job.read(SCORED):
        kept = [name for name in batch.schema.names if name == "prediction" or name.startswith("probability_")]
        own = {"key": batch.column(KEY), "known": batch.column(KNOWN)}
        yield pa.record_batch(own | {name: batch.column(name) for name in kept})


def _summary(job: Job, champion: Champion, n_scored: int, n_rejected: int, source_name: str) -> Summary:
    empty = champion.reference or Summary(champion.name, champion.version, "", "", 0, 0, (), ())
    made = scored.merged((Summary.from_json(one.summary) for one in job.records() if one.summary), empty)
    return replace(
        made,
        begun=job.begun.isoformat(),
        ended=datetime.now(UTC).isoformat(),
        n_rows=n_scored,
        n_rejected=n_rejected,
        keys=champion.keys,
        source=source_name,
    )


def _repeated(path: Path, n_rows: int) -> int:
    """Of the hashes some at a time, by their remainder, so that memory doesn't grow with the rows."""
    n_parts, n = max(1, -(-n_rows // HASHES_AT_ONCE)), 0
    for part in range(n_parts):
        some = [one[one % np.uint64(n_parts) == part] for one in _hashes(path)]
        hashes = np.concatenate([np.zeros(0, dtype=np.uint64), *some])
        hashes.sort()
        n += int((hashes[1:] == hashes[:-1]).sum())
    return n


def _hashes(path: Path) -> Iterator[np.typing.NDArray[np.uint64]]:
    for batch in parquet.batches(path, ["key"]):
        yield batch.column(0).to_numpy()
