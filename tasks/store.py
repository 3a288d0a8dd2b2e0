"""Folders and files that are either whole or not there, so that a kill or a full disk leaves nothing half written."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.refusal import Refusal

if TYPE_CHECKING:
    import pandas as pd


def check_writable(folder: Path) -> None:
    """Tries to write into the folder, or where it isn't there yet into the one that it would be made in.

    Raises:
        Refusal: when that can't be done.
    """
    if folder.exists() and not folder.is_dir():
        raise Refusal(f"{folder} is a file where a folder is needed; move it away or run in another folder.")
    try:
        with tempfile.TemporaryFile(dir=folder if folder.exists() else folder.parent) as file:
            file.write(b"1")
    except OSError as error:
        remedy = "make it writable, or run in another folder"
        raise Refusal(f"{folder}/ can't be written: {error.strerror}; {remedy}.") from error


@contextmanager
def locked(folder: Path, fault: str) -> Iterator[None]:
    """Holds the lock of a folder, which is made where it isn't there; a kill lets go of it.

    Raises:
        Refusal: with this fault, when another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal(fault) from None
        yield


def write_folder(folder: Path, fill: Callable[[Path], None]) -> Path:
    """A folder that is either whole or not there: filled beside its place, then moved into it."""
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        fill(beside)
        os.replace(beside, folder)
    except OSError:
        shutil.rmtree(beside, ignore_errors=True)
        if not folder.exists():  # another run may have written the same content meanwhile
            raise
    return folder


def remove_folder(folder: Path) -> None:
    """Removes a folder, where there is one; moved away first, so that a kill leaves no half of it in its place."""
    beside = folder.parent / f".{folder.name}-removed"
    shutil.rmtree(beside, ignore_errors=True)
    if folder.exists():
        os.replace(folder, beside)
        shutil.rmtree(beside, ignore_errors=True)


def write_file(path: Path, write: Callable[[Path], None]) -> None:
    """A file written beside its place, then moved into it; `write` is given the path to write to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    try:
        write(Path(beside))
        os.replace(beside, path)
    except OSError:
        Path(beside).unlink(missing_ok=True)
        raise


def write_frame(frame: pd.DataFrame, root: Path) -> Path:
    """A frame as Parquet in a folder named by its content; the same frame gives the same path."""
    content = io.BytesIO()
    frame.rename(columns=str).to_parquet(content, index=False)
    digest = hashlib.sha256(content.getbuffer()).hexdigest()[:16]
    folder = write_folder(root / digest, lambda path: _fill_with(path / "frame.parquet", content))
    return folder / "frame.parquet"


def _fill_with(path: Path, content: io.BytesIO) -> None:
    path.write_bytes(content.getbuffer())
