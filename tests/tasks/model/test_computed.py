"""Arrays are computed once for a key, and together never take more than their share of a disk."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tasks.model import _computed as its
from tasks.model._computed import Singles, computed


def test_an_array_is_computed_once_and_mapped_from_its_file_afterwards(tmp_path: Path) -> None:
    calls = list[int]()

    def fill(array: Singles) -> None:
        calls.append(1)
        array[:] = np.arange(6).reshape(2, 3)

    first, again = (computed(tmp_path, "key", (2, 3), fill) for _ in range(2))
    assert calls == [1]
    assert first.tobytes() == again.tobytes() == computed(None, "key", (2, 3), fill).tobytes()
    assert isinstance(again, np.memmap)
    assert [path.name for path in tmp_path.iterdir()] == ["key.npy"]


def test_what_was_used_least_recently_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(its, "BYTES", 3 * 4_200)
    for age, key in enumerate(("old", "older", "used")):
        computed(tmp_path, key, (10, 100), lambda array: array.fill(1))
        os.utime(tmp_path / f"{key}.npy", (1_000 - age, 1_000 - age))
    computed(tmp_path, "used", (10, 100), lambda array: array.fill(1))
    computed(tmp_path, "new", (10, 100), lambda array: array.fill(1))
    assert {path.stem for path in tmp_path.iterdir()} == {"old", "used", "new"}


def test_a_fill_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fill(array: Singles) -> None:
        raise OSError(28, "no space left")

    with pytest.raises(OSError, match="no space"):
        computed(tmp_path, "key", (2, 3), fill)
    assert not list(tmp_path.iterdir())
