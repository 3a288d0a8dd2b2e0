"""What the monitor is told of scored batches: how their columns and predictions are spread, and what was predicted for
which key, so that labels which come later find their prediction.

    data/monitor/NAME/VERSION/reference.json                        of the rows that the version was trained on
    data/monitor/NAME/VERSION/20261126T053000.123456Z-ID/summary.json        of one scored batch, in the same bins
                                                        predictions.parquet  a line for each scored row

`predictions.parquet` has a column `key` (uint64, `key_hashes` of the row's key columns; 0 for a batch without a key),
`known` (whether the model was trained on the row; older batches lack it), `prediction` in the target's own values, and
for classes `probability_<class>` each. A batch that has been scored is there whole or not at all, once, however often
it was interrupted. A version's reference travels with it as `reference.json` beside the model's files; versions that
were registered before there was one have none, and the summaries of theirs are without histograms.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from tasks import parquet
from tasks.histogram import Histogram, Kind, kind_of
from tasks.records import Problem
from tasks.row_hash import Hashes, row_hashes
from tasks.store import write_folder

MONITOR = Path("data") / "monitor"
REFERENCE, SUMMARY, PREDICTIONS = "reference.json", "summary.json", "predictions.parquet"
REFERENCE_CELLS = 1 << 23  # 64 MiB of float64: of training rows so many cells are read, evenly
REFERENCE_ROWS = 100_000
KEYS_AT_ONCE = 1 << 22  # 32 MiB
COUNTED = 1 << 13  # rows of a chunk that are counted, evenly; a chunk has up to sixteen times as many


@dataclass(frozen=True)
class Summary:
    """Rows of one version of a model, by its typed features (`Schema.features`) and by its predictions.

    begun, ended: UTC in ISO 8601. n_rows: that were scored; of many, some are counted, evenly (`Histogram.n_rows`).
    predictions: `prediction`, and for classes `probability_<class>` each; of a reference the predictions of its
    holdout, which it was not trained on. keys: the columns that name a row. source: a name of the table. n_known: of
    n_rows those that the model was trained on, which are in no histogram.
    """

    model_name: str
    version: int
    begun: str
    ended: str
    n_rows: int
    n_rejected: int
    columns: tuple[Histogram, ...]
    predictions: tuple[Histogram, ...]
    keys: tuple[str, ...] = ()
    source: str = ""
    n_known: int = 0

    def counted(self, typed: pd.DataFrame, predicted: pd.DataFrame) -> Summary:
        """Of other rows, in the same bins. typed: (n_rows, n_features); predicted: as `Predictor.predict` gives it."""
        step = max(1, -(-len(typed) // COUNTED))
        typed, some = typed.iloc[::step], predicted.iloc[::step]
        columns = tuple(one.counted(typed[one.name]) for one in self.columns)
        predictions = tuple(one.counted(_as_counted(some[one.name], one.kind)) for one in self.predictions)
        return replace(self, n_rows=len(predicted), n_rejected=0, columns=columns, predictions=predictions)

    def __add__(self, other: Summary) -> Summary:
        """Of the rows of both. Raises ValueError where they were counted in other bins."""
        return replace(
            self,
            begun=min(self.begun, other.begun),
            ended=max(self.ended, other.ended),
            n_rows=self.n_rows + other.n_rows,
            n_rejected=self.n_rejected + other.n_rejected,
            n_known=self.n_known + other.n_known,
            columns=_summed(self.columns, other.columns),
            predictions=_summed(self.predictions, other.predictions),
        )

    def thinned(self, share: float) -> Summary:
        """As if only this share of the rows had been counted."""
        columns, predictions = (tuple(one.thinned(share) for one in side) for side in (self.columns, self.predictions))
        return replace(self, columns=columns, predictions=predictions)

    def as_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Summary:
        kept = json.loads(text)
        histograms = {part: tuple(map(_histogram, kept[part])) for part in ("columns", "predictions")}
        return cls(**{**kept, **histograms, "keys": tuple(kept["keys"])})


@dataclass(frozen=True)
class Batch:
    """A batch that was scored."""

    folder: Path
    summary: Summary

    def predictions(self) -> Iterator[pd.DataFrame]:
        """Part by part, in the order of the input, of the rows that the model was not trained on."""
        for part in parquet.frames(self.folder / PREDICTIONS):
            yield part if "known" not in part else part[~part["known"]].reset_index(drop=True)


def independent(batches: Sequence[Batch]) -> float:
    """The share of the batches' rows that they are worth as evidence, where rows with a key come again and again: of n
    rows of which key k has n_k, n / sum(n_k^2 / n) (Kish 1965, for weights), so that of a table that is scored each
    hour each row counts once. Of many rows from some keys alone, drawn by their hashes."""
    n_rows = sum(one.summary.n_rows for one in batches)
    n_parts = np.uint64(max(1, -(-n_rows // KEYS_AT_ONCE)))
    parts = (part["key"].to_numpy() for one in batches if one.summary.keys for part in one.predictions())
    keys = np.concatenate([np.zeros(0, dtype=np.uint64), *(part[part % n_parts == 0] for part in parts)])
    times = np.unique(keys, return_counts=True)[1]
    return float(times.sum() / (times**2).sum()) if len(times) else 1.0


def merged(summaries: Iterable[Summary], empty: Summary | None = None) -> Summary:
    """Of the rows of all; of none `empty`. Raises ValueError where they were counted in other bins."""
    every = iter(summaries)
    first = next(every, empty)
    if first is None:
        raise ValueError("there is nothing to merge")
    return reduce(Summary.__add__, every, first)


def write(summary: Summary, predictions: Path, name: str, root: Path = MONITOR) -> Path:
    """The batch's folder; one of the same name is the same batch, and stays. predictions: a file that is taken over."""

    def fill(folder: Path) -> None:
        (folder / SUMMARY).write_text(summary.as_json(), encoding="utf-8")
        try:
            os.link(predictions, folder / PREDICTIONS)
        except OSError:  # another disk, or one without links
            shutil.copyfile(predictions, folder / PREDICTIONS)

    return write_folder(_place(summary.model_name, summary.version, root) / name, fill)


def read(model_name: str, version: int, root: Path = MONITOR) -> list[Batch]:
    """Every batch that this version scored, the earliest first."""
    found = sorted(_place(model_name, version, root).glob(f"[!.]*/{SUMMARY}"))
    return [Batch(path.parent, Summary.from_json(path.read_text(encoding="utf-8"))) for path in found]


def versions(model_name: str, root: Path = MONITOR) -> list[int]:
    """Those that scored something, ascending."""
    return sorted(int(path.name) for path in (root / model_name).glob("*") if path.name.isdigit())


def reference_in(folder: Path, model_name: str, version: int) -> Summary | None:
    """That of the model whose files lie in the folder; None for one that was registered without."""
    path = folder / REFERENCE
    if not path.exists():
        return None
    return replace(Summary.from_json(path.read_text(encoding="utf-8")), model_name=model_name, version=version)


def write_reference(
    folder: Path, train_features: Path, text: Sequence[str], predictions: Path, problem: Problem
) -> None:
    """Into a model's folder: how the features of its training rows are spread, and its predictions for the holdout; of
    a model that writes, its prompts alone.

    train_features: Parquet, (n_train, n_features). text: the features that are prose, of which lengths are counted.
    predictions: of the holdout, as evaluation writes them, with codes for classes. It has no time in it, so that the
    same training leaves the same files.
    """
    file = pq.read_metadata(train_features)
    most = min(REFERENCE_ROWS, max(1, REFERENCE_CELLS // max(1, file.num_columns)))
    rows = np.unique(np.linspace(0, file.num_rows - 1, min(file.num_rows, most)).astype(np.int64))
    X = parquet.take(train_features, rows)
    predicted = pd.read_parquet(predictions).drop(columns="target")
    if problem.is_generation:
        X, predicted = X.iloc[:, :1], predicted.iloc[:, :0]
    if problem.is_classification:
        labels = np.array([str(label) for label in problem.classes], dtype=object)
        predicted["prediction"] = pd.Series(labels[predicted["prediction"].to_numpy(dtype=np.int64)], dtype="str")
    columns = tuple(Histogram.of(X[name], kind_of(X[name], text)) for name in X)
    of_holdout = tuple(Histogram.of(predicted[name], kind_of(predicted[name])) for name in predicted)
    made = Summary("", 0, "", "", file.num_rows, 0, columns, of_holdout)
    _write_text(folder / REFERENCE, made.as_json())


def key_hashes(frame: pd.DataFrame, keys: Sequence[str]) -> Hashes:
    """(n_rows,) by which a row is known again: the same for 7, 7.0 and "7"; the order of the columns is no matter.

    Of 20 million different keys two are taken for one with a chance of 1 in 90,000.
    """
    return row_hashes(frame[list(keys)], 0)


def _as_counted(values: pd.Series[Any], kind: Kind) -> pd.Series[Any]:
    """Classes may be numbers or booleans, and are levels of a prediction."""
    return values.astype("str") if kind == "level" else values


def _summed(one: tuple[Histogram, ...], other: tuple[Histogram, ...]) -> tuple[Histogram, ...]:
    return tuple(mine + theirs for mine, theirs in zip(one, other, strict=True))


def _histogram(kept: Mapping[str, Any]) -> Histogram:
    return Histogram(**{**kept, "bounds": tuple(kept["bounds"]), "counts": tuple(kept["counts"])})


def _place(model_name: str, version: int, root: Path) -> Path:
    return root / model_name / str(version)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
