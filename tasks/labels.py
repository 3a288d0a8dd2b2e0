"""Labels that come after the predictions: read by key, each once, and put beside the rows that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from tasks.cells import as_numbers, as_text
from tasks.metric import Floats
from tasks.records import Problem
from tasks.refusal import Refusal, did_you_mean
from tasks.source import Source

BETWEEN = "\x1f"  # the cells of a key, ASCII's own separator


@dataclass(frozen=True)
class Labels:
    """by_key: the target as text, by the text of its key. notes: what was found while they were read. met: the keys of
    those that a row was found for so far."""

    by_key: pd.Series[Any]
    notes: tuple[str, ...]
    met: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, source: Source, key: Sequence[str], target: str) -> Labels:
        """A label that is there twice counts once; where a key has two that differ, none of them does.

        Raises:
            Refusal: for a table without the columns of the key or of the target.
        """
        table = pd.concat([batch.to_pandas() for batch in source.batches()], ignore_index=True)
        names = [str(name) for name in table]
        if absent := [name for name in (*key, target) if name not in names]:
            near = did_you_mean(absent[0], names)
            raise Refusal(f"labels.path: its table lacks {', '.join(absent)}{near} It has {', '.join(names[:12])}.")
        found = pd.DataFrame({"key": keys_of(table, key), "label": as_text(table[target])})
        known = found.dropna()
        once = known.drop_duplicates()
        contradicting = once["key"].duplicated(keep=False)
        notes = _notes(len(found) - len(known), len(known) - len(once), once.loc[contradicting, "key"].nunique())
        kept = once[~contradicting]
        return cls(pd.Series(kept["label"].to_numpy(), index=kept["key"].to_numpy(), dtype="str"), notes)

    def of(self, raw: pd.DataFrame, key: Sequence[str]) -> pd.Series[Any]:
        """(n_rows,) the label of each row as text, NaN where none has come yet."""
        keys = keys_of(raw, key)
        found = pd.Series(self.by_key.reindex(keys.to_numpy()).to_numpy(), index=raw.index, dtype="str")
        self.met.update(keys[found.notna()])
        return found

    @property
    def unknown(self) -> int:
        """Labels of keys that no row had so far."""
        return len(self.by_key) - len(self.met)


def keys_of(table: pd.DataFrame, key: Sequence[str]) -> pd.Series[Any]:
    """(n_rows,) the cells of the key of each row as one text; NaN where one of them is missing.

    Raises:
        Refusal: where a column of the key isn't there.
    """
    if absent := [name for name in key if name not in table]:
        raise Refusal(f"source.key={absent[0]}: the table has no such column{did_you_mean(absent[0], map(str, table))}")
    joined = as_text(table[key[0]])
    for name in key[1:]:
        joined = joined + BETWEEN + as_text(table[name])
    return joined


def coded(labels: pd.Series[Any], problem: Problem) -> tuple[Floats, int]:
    """(n_rows,) codes of the classes, or numbers, NaN where there is no label; and how many labels are none that the
    model knows, which are NaN too."""
    if problem.is_classification:
        codes = {text: code for code, text in enumerate(as_text(pd.Series(list(problem.classes), dtype=object)))}
        y = as_text(labels).map(codes).to_numpy(dtype=np.float64, na_value=np.nan)
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
