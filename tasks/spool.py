"""Arrow arrays that are kept in memory while they are few, and in a temporary file beyond that."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

import pyarrow as pa

from tasks.refusal import Refusal

N_BYTES_IN_MEMORY = 64 << 20  # a file of this size takes a tenth of a second



@dataclass(frozen=True)
class Away:
    """Where an array lies in the file, in bytes, and its type."""

    offset: int
    length: int
    kind: pa.DataType


Kept: TypeAlias = pa.Array | Away


class Spool:
    """`put` gives a receipt, `get` the array for it. The file has no name, so that a kill leaves none behind; it is
    gone when the spool is closed, or at the end of `with Spool(folder) as spool`."""

    def __init__(self, folder: Path) -> None:
        """folder: of the file; made when the file is."""
        self._folder = folder
        self._file: BinaryIO | None = None
        self._n_bytes = 0

    def put(self, array: pa.Array) -> Kept:
        """Raises a Refusal where the disk is full or can't be written."""
        self._n_bytes += array.nbytes
        if self._n_bytes <= N_BYTES_IN_MEMORY:
            return array
        message = pa.record_batch([array], names=["values"]).serialize()
        try:
            file = self._opened()
            offset = file.seek(0, os.SEEK_END)
            file.write(message)
        except OSError as error:
            raise Refusal(
                f"{self._folder}/ can't hold the table while it is read: {error.strerror}; make room on its disk, or "
                "run in another folder."
            ) from error
        return Away(offset, len(message), array.type)

    def get(self, kept: Kept) -> pa.Array:
        if not isinstance(kept, Away):
            return kept
        file = self._opened()
        file.seek(kept.offset)
        message = pa.py_buffer(file.read(kept.length))
        return pa.ipc.read_record_batch(message, pa.schema([("values", kept.kind)])).column(0)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(self) -> BinaryIO:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed with the spool
        return self._file
