"""Folders and files are whole or not there."""

from __future__ import annotations

import errno
from pathlib import Path

import pandas as pd
import pytest

from tasks.refusal import Refusal
from tasks.store import check_writable, locked, remove_folder, write_file, write_folder, write_frame


def full(path: Path) -> None:
    """What a disk does that fills up after the first file."""
    target = path / "half" if path.is_dir() else path
    target.write_text("half")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_folder_that_could_not_be_filled_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        write_folder(tmp_path / "made", full)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_removed_whole_also_after_a_kill_and_where_there_is_none(tmp_path: Path) -> None:
    for name in ("a/b/file", ".a-removed/left"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    for _ in range(2):
        remove_folder(tmp_path / "a")
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_not_filled_again(tmp_path: Path) -> None:
    made = write_folder(tmp_path / "made", lambda folder: (folder / "a").touch())
    assert write_folder(made, full) == made
    assert [path.name for path in made.iterdir()] == ["a"]


def test_a_file_that_could_not_be_written_leaves_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("earlier")
    with pytest.raises(OSError, match="No space left"):
        write_file(path, full)
    assert [found.read_text() for found in tmp_path.iterdir()] == ["earlier"]


def test_the_same_frame_is_written_once(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2], 3: ["x", None]})
    path = write_frame(frame, tmp_path)
    assert write_frame(frame.copy(), tmp_path) == path
    assert write_frame(frame.iloc[:1], tmp_path) != path
    assert list(pd.read_parquet(path).columns) == ["a", "3"]


def test_a_check_leaves_nothing_behind(tmp_path: Path) -> None:
    check_writable(tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(Refusal, match="is a file where a folder is needed"):
        check_writable(tmp_path / "data")


def test_a_locked_folder_is_refused_until_it_is_let_go(tmp_path: Path) -> None:
    with locked(tmp_path / "made", "mine"), pytest.raises(Refusal, match="wait"), locked(tmp_path / "made", "wait"):
        pass
    with locked(tmp_path / "made", "wait"):
        pass
