"""Labels that come after the predictions: read by key, each once, and put beside the rows that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tasks.cells import as_numbers, as_text, as_truth
from tasks.metric import Floats
from tasks.records import Problem
from tasks.refusal import Refusal, did_you_mean
from tasks.row_hash import Hashes
from tasks.scored import key_hashes
from tasks.source import NoRowsYet, Source

MOST_NAMED = 12


@dataclass(frozen=True)
class Labels:
    """by_key: the target as text, by the hash of its key (`scored.key_hashes`). notes: what was found while they were
    read."""

    by_key: pd.Series[Any]
    notes: tuple[str, ...]

    @classmethod
    def read(cls, source: Source, key: Sequence[str], target: str) -> Labels:
        """A label that is there twice counts once; where a key has two that differ, none of them does. Of a file that
        isn't there yet, or has no rows yet, there are none, which is noted.

        Raises:
            Refusal: for a table that can't be read, or is without the columns of the key or of the target.
        """
        try:
            table = pd.concat([batch.to_pandas() for batch in source.batches()], ignore_index=True)
        except NoRowsYet as refusal:
            none = pd.Series([], index=np.zeros(0, dtype=np.uint64), dtype="str")
            return cls(none, (f"no labels have come yet: {_named(refusal.faults[0])}",))
        except Refusal as refusal:
            raise Refusal(*map(_named, refusal.faults)) from None
        check_columns(table, (*key, target), "labels.path")
        has_key = table[list(key)].notna().any(axis=1)
        found = pd.DataFrame({"key": key_hashes(table, key), "label": as_text(table[target])})
        known = found[has_key & found["label"].notna()]
        once = known.drop_duplicates()
        contradicting = once["key"].duplicated(keep=False)
        notes = _notes(len(found) - len(known), len(known) - len(once), once.loc[contradicting, "key"].nunique())
        kept = once[~contradicting]
        return cls(pd.Series(kept["label"].to_numpy(), index=kept["key"].to_numpy(), dtype="str"), notes)

    def of(self, keys: Hashes) -> pd.Series[Any]:
        """(n_rows,) the label of each row as text, NaN where none has come yet."""
        return pd.Series(self.by_key.reindex(keys).to_numpy(), dtype="str")


def _named(fault: str) -> str:
    """By the key that the user gave."""
    return fault.replace("source.", "labels.", 1)


def check_columns(table: pd.DataFrame, asked: Sequence[str], named: str) -> None:
    """
    Raises:
        Refusal: where columns are not in the table that is named by this key.
    """
    names = [str(name) for name in table]
    if absent := [name for name in asked if name not in names]:
        near, more = did_you_mean(absent[0], names), ", ..." * (len(names) > MOST_NAMED)
        raise Refusal(
            f"{named}: its table lacks {', '.join(absent)}{near} It has {', '.join(names[:MOST_NAMED])}{more}."
        )


def coded(labels: pd.Series[Any], problem: Problem) -> tuple[Floats, int]:
    """(n_rows,) codes of the classes, or numbers, NaN where there is no label; and how many labels are none that the
    model knows, which are NaN too."""
    if problem.is_classification:
        classes = as_text(pd.Series(list(problem.classes), dtype=object))
        y = as_text(labels).map({text: code for code, text in enumerate(classes)}).to_numpy(dtype=np.float64)
        if tuple(problem.classes) == (False, True):  # which each reader writes in its own way
            y = as_truth(labels).where(lambda truth: truth.isin([0, 1])).to_numpy(dtype=np.float64)
    else:
        y = as_numbers(labels).to_numpy(dtype=np.float64)
    return y, int((np.isnan(y) & as_text(labels).notna().to_numpy()).sum())


def _notes(missing: int, twice: int, contradicting: int) -> tuple[str, ...]:
    told = {
        f"{missing:,} labels without a key or a value are left out": missing,
        f"{twice:,} labels came twice and count once": twice,
        f"{contradicting:,} keys have labels that contradict each other; none of these counts": contradicting,
    }
    return tuple(text for text, n in told.items() if n)
