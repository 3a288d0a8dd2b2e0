"""Rows as a file for another process, and what it answers. Knows no library but NumPy."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[Any]]
BATCH, BATCH_OF_TEXTS = 1024, 32  # an encoder's attention takes memory with the square of a text's length
MASK = " mask"  # after a column's name: which of its tokens are none


def write(path: Path, inputs: Arrays, n_single: int) -> None:
    """n_single: of the rows, how many are predicted alone too, from the first on."""
    names = {f"input_{place}": values for place, values in enumerate(inputs.values())}
    np.savez(path, allow_pickle=False, names=np.array(json.dumps(list(inputs))), n_single=np.array(n_single), **names)


def read(path: Path) -> tuple[dict[str, npt.NDArray[Any]], int]:
    with np.load(path) as kept:
        names = json.loads(str(kept["names"]))
        return {name: kept[f"input_{place}"] for place, name in enumerate(names)}, int(kept["n_single"])


def answer(load: Callable[[str], Callable[[Arrays], dict[str, npt.NDArray[Any]]]]) -> None:
    """What `python -m ... MODEL ROWS ANSWERS` does. load: of the model's path, what predicts a batch."""
    model, rows, answers = sys.argv[1:4]
    inputs, n_single = read(Path(rows))
    predict = load(model)
    n_rows = len(next(iter(inputs.values())))
    batch = BATCH_OF_TEXTS if any(name.endswith(MASK) for name in inputs) else BATCH
    predict(_cut(inputs, 0, min(n_rows, batch)))  # what only the first call does is not timed
    begun = time.perf_counter()
    batches = [predict(_cut(inputs, begin, begin + batch)) for begin in range(0, n_rows, batch)]
    seconds = time.perf_counter() - begun
    singles = [predict(_cut(inputs, row, row + 1)) for row in range(n_single)]
    found = {f"batch_{name}": np.concatenate([one[name] for one in batches]) for name in batches[0]}
    found |= {f"single_{name}": np.concatenate([one[name] for one in singles]) for name in (singles or [{}])[0]}
    np.savez(answers, allow_pickle=False, seconds=np.array(seconds), **found)


def _cut(inputs: Arrays, begin: int, end: int) -> Arrays:
    """Some rows; tokens without the padding that only longer texts of other rows need."""
    some = {name: values[begin:end] for name, values in inputs.items()}
    for mask in [name for name in some if name.endswith(MASK) and some[name].ndim == 2]:
        ids, longest = f"{mask.removesuffix(MASK)} ids", max(1, int(some[mask].sum(axis=1).max()))
        some |= {mask: some[mask][:, :longest], ids: some[ids][:, :longest]}
    return some
