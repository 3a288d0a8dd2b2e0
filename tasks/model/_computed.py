"""Arrays that are computed once and kept by their content, for all trials, strategies and later runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.lib.format import open_memmap

from tasks.store import write_file

Singles = npt.NDArray[np.float32]
BYTES = 8 * 2**30  # of a folder: beyond it the files go that were used least recently


def computed(folder: Path | None, key: str, shape: tuple[int, int], fill: Callable[[Singles], None]) -> Singles:
    """What `fill` writes into an array of that shape: in a file that is named by the key and mapped into memory; in
    memory alone where there is no folder."""
    if folder is None:
        array = np.empty(shape, np.float32)
        fill(array)
        return array
    path = folder / f"{key}.npy"
    if not path.exists():
        _make_room(folder, 4 * shape[0] * shape[1])
        write_file(path, lambda beside: _write(beside, shape, fill))
    os.utime(path)
    mapped: Singles = np.load(path, mmap_mode="r")
    return mapped


def fits(n_bytes: int) -> bool:
    """Whether an array may take so much of what all may take together."""
    return n_bytes <= BYTES // 2


def _write(path: Path, shape: tuple[int, int], fill: Callable[[Singles], None]) -> None:
    array = open_memmap(path, "w+", np.float32, shape)
    fill(array)
    array.flush()


def _make_room(folder: Path, n_bytes: int) -> None:
    """Removes what was used least recently until so much more finds room. A file that another process still has mapped
    stays readable there."""
    files = sorted(folder.glob("[!.]*.npy"), key=lambda path: path.stat().st_mtime)
    left = sum(path.stat().st_size for path in files) + n_bytes - BYTES
    for path in files:
        if left <= 0:
            return
        left -= path.stat().st_size
        path.unlink(missing_ok=True)
