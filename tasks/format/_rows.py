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
BATCH = 1024


def write(path: Path, inputs: Arrays, n_single: int) -> None:
    """n_single: of the rows, how many are predicted alone too, from the first on."""
    names = {f"input_{place}": values for place, values in enumerate(inputs.values())}
    np.savez(path, names=np.array(json.dumps(list(inputs))), n_single=np.array(n_single), **names)


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
    predict(_cut(inputs, 0, min(n_rows, BATCH)))  # what only the first call does is not timed
    begun = time.perf_counter()
    batches = [predict(_cut(inputs, begin, begin + BATCH)) for begin in range(0, n_rows, BATCH)]
    seconds = time.perf_counter() - begun
    singles = [predict(_cut(inputs, row, row + 1)) for row in range(n_single)]
    found = {f"batch_{name}": np.concatenate([one[name] for one in batches]) for name in batches[0]}
    found |= {f"single_{name}": np.concatenate([one[name] for one in singles]) for name in (singles or [{}])[0]}
    np.savez(answers, seconds=np.array(seconds), **found)


def _cut(inputs: Arrays, begin: int, end: int) -> Arrays:
    return {name: values[begin:end] for name, values in inputs.items()}
