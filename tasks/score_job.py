"""A scoring on its way: its finished chunks, from which it goes on after a kill, and what it has put in place.

A chunk's rows lie in `000012.arrow`, those that didn't fit in `000012.rejected.arrow`; `000012.json` is written last
and makes the chunk count. A file that is put in place is known again by its inode, so that after a kill right behind
the rename it is neither written twice nor taken for another's.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.refusal import Refusal
from tasks.store import remove_folder, write_file

JOB, PLACED, ENDED = "job.json", "placed.json", "ended.json"
SCORED, REJECTED = ".arrow", ".rejected.arrow"


@dataclass(frozen=True)
class Record:
    """What became of a chunk. digest: by which it is known again. summary: as JSON, see `tasks.scored`."""

    digest: str
    n_rows: int
    n_rejected: int
    summary: str


@dataclass(frozen=True)
class Job:
    """folder: for this job's output alone, held by a lock. name: of the job, unique. begun: when it was first given."""

    folder: Path
    name: str
    begun: datetime

    @classmethod
    def of(cls, folder: Path, asked: Mapping[str, Any]) -> tuple[Job, str]:
        """The job that goes on in the folder, or where that asked for something else, or had finished nothing or all, a
        new one; and what is to be said. asked: all that decides what comes out, as JSON has it."""
        known = _read(folder / JOB)
        said = ""
        if known is not None and (not (folder / "parts").exists() or _is_ended(folder, known["name"])):
            known = None
        if known is not None and known["asked"] != asked:
            said = "an interrupted scoring into the same place was of another table, model or key; it is given up"
            known = None
        if known is None:
            remove_folder(folder / "parts")
            (folder / PLACED).unlink(missing_ok=True)
            begun = datetime.now(UTC)
            name = f"{begun:%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(4)}"
            known = {"asked": asked, "name": name, "begun": begun.isoformat()}
            write_text(folder / JOB, json.dumps(known))
        return cls(folder, known["name"], datetime.fromisoformat(known["begun"])), said

    @property
    def parts(self) -> Path:
        return self.folder / "parts"

    def record(self, number: int) -> Record | None:
        known = _read(self.parts / f"{number:06d}.json")
        return None if known is None else Record(**known)

    def records(self) -> Iterator[Record]:
        """Of all finished chunks, in their order; one at a time, for summaries of thousands are large."""
        return (Record(**json.loads(path.read_text())) for path in self._finished())

    @property
    def n_finished(self) -> int:
        """How many chunks."""
        return len(self._finished())

    def _finished(self) -> list[Path]:
        return sorted(self.parts.glob("[0-9]*.json"))

    def keep(self, number: int, record: Record, scored: pa.RecordBatch, rejected: pa.RecordBatch | None) -> None:
        """Raises a Refusal where the disk is full or can't be written."""
        with _writing(self.parts):
            self.parts.mkdir(exist_ok=True)
            for suffix, rows in ((SCORED, scored), (REJECTED, rejected)):
                if rows is not None:
                    _write_arrow(self.parts / f"{number:06d}{suffix}", rows)
            write_text(self.parts / f"{number:06d}.json", json.dumps(asdict(record)))

    def read(self, suffix: str) -> Iterator[pa.RecordBatch]:
        """All rows that were scored, or rejected, in their order."""
        for path in self._finished():
            file = path.with_suffix(suffix)
            if file.exists():
                with pa.OSFile(str(file)) as source, pa.ipc.open_file(source) as reader:
                    yield reader.get_batch(0)

    def clear(self) -> None:
        """Forgets all chunks."""
        remove_folder(self.parts)

    def end(self, run: str = "", made: Mapping[str, Any] | None = None) -> None:
        """Nothing more is to be done: the same command is a new job, but for this run of it, which `ended` tells what
        it made."""
        write_text(self.folder / ENDED, json.dumps({"job": self.name, "run": run, "made": made}))
        (self.folder / JOB).unlink()
        (self.folder / PLACED).unlink(missing_ok=True)
        remove_folder(self.parts)

    def has_placed(self, target: Path) -> bool:
        """Whether it is this job's file that is there."""
        return target.exists() and self._placed().get(str(target)) == _stamp(target)

    def place(self, target: Path, write: Callable[[Path], None], *, only_new: bool) -> None:
        """Puts a file in its place as a whole, once however often it is tried. write: makes it at a path.

        Raises:
            Refusal: where it can't be written; with `only_new`, where another one has come to be there.
        """
        beside = target.parent / f".{self.name}-{target.name}"
        if not self.has_placed(target):
            if not self._is_ready(target, beside):
                with _writing(target, beside):
                    write(beside)
                write_text(self.folder / PLACED, json.dumps({**self._placed(), str(target): _stamp(beside)}))
            if only_new:
                _link(beside, target)
            else:
                os.replace(beside, target)
        beside.unlink(missing_ok=True)

    def _is_ready(self, target: Path, beside: Path) -> bool:
        return beside.exists() and self._placed().get(str(target)) == _stamp(beside)

    def _placed(self) -> dict[str, list[int]]:
        return _read(self.folder / PLACED) or {}


def ended(folder: Path, run: str) -> dict[str, Any] | None:
    """What this run made, where it ended the last job of the folder, and was killed before anybody was told."""
    known = _read(folder / ENDED)
    return None if known is None or not run or known["run"] != run else known["made"]


def _is_ended(folder: Path, job: str) -> bool:
    known = _read(folder / ENDED)
    return known is not None and known["job"] == job


@contextmanager
def _writing(what: Path, beside: Path | None = None) -> Iterator[None]:
    """beside: half of a file, of which nothing stays."""
    try:
        yield
    except OSError as error:
        if beside is not None:
            beside.unlink(missing_ok=True)
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise Refusal(f"{what} can't be written: {reason}; mend it, and the same command goes on from here.") from error


def write_text(path: Path, text: str) -> None:
    write_file(path, lambda beside: _fill(beside, text))


def _fill(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _write_arrow(path: Path, rows: pa.RecordBatch) -> None:
    def fill(beside: Path) -> None:
        with pa.OSFile(str(beside), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
            writer.write(rows)

    write_file(path, fill)


def _link(beside: Path, target: Path) -> None:
    try:
        os.link(beside, target)
    except FileExistsError:
        raise Refusal(f"{target} has been written by somebody else meanwhile; name another file.") from None


def _stamp(path: Path) -> list[int]:
    """Which stays what it is when the file is renamed."""
    known = path.stat()
    return [known.st_ino, known.st_size, known.st_mtime_ns]


def _read(path: Path) -> dict[str, Any] | None:
    found: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    return found
