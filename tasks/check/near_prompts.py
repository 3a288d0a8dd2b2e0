"""Near prompts: prompts of the holdout, or of a fold's validation part, that are nearly ones that are trained on."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer

from tasks.check.duplicates import wilson
from tasks.divided import Divided, Rows, sampled
from tasks.verdict import Finding, Number

LETTERS = (3, 5)  # of the pieces that prompts are compared by, within words
MOST_FOLDS = 10
ROWS_AT_ONCE = 200
NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class NearPrompts:
    """A prompt has a twin where the cosine of the two, as counts of pieces of some letters, is `near` or more, whatever
    the case, and both name the same numbers, for one that asks of 3 is another than one that asks of 4; of plain texts
    the texts themselves are compared. Rows of one group are no twins.

    most: of the rows, from which on, surely (95 %), twins are suspected to flatter the scores. rows: of the holdout and
    of each fold that are compared with at most training_rows of what is trained on.
    """

    name: ClassVar[str] = "near_prompts"
    reads_pairs: ClassVar[bool] = True
    near: Annotated[float, Field(gt=0, le=1)]
    most: Annotated[float, Field(ge=0, lt=1)]
    rows: Annotated[int, Field(ge=50)]
    training_rows: Annotated[int, Field(ge=100)]

    def inspect(self, divided: Divided) -> Finding | None:
        if not divided.problem.is_generation:
            return None
        pool = sampled(len(divided.y), self.training_rows, divided.seed)
        asked = sampled(len(divided.hashes("holdout")), self.rows, divided.seed + 1)
        known, codes = _Prompts.of(divided.take("train", pool)), _groups(divided)
        mine = None if codes is None else codes[0][pool]
        theirs = None if codes is None or codes[1] is None else codes[1][asked]
        held = self._twins(_Prompts.of(divided.take("holdout", asked), theirs), replace(known, groups=mine))
        in_folds = [self._of_fold(divided, fold, pool, replace(known, groups=mine))
                    for fold in range(min(MOST_FOLDS, len(divided.folds)))]  # fmt: skip
        folds = np.concatenate([*in_folds, np.zeros(0, np.bool_)])
        numbers = {f"near_in_{where}": _share(one) for where, one in (("the_holdout", held), ("folds", folds))}
        what = "prompts" if len(divided.text) > 1 else "texts"
        reason = "; ".join(
            f"{one.value:.1%} of the {what} in {where.removeprefix('near_in_').replace('_', ' ')} are nearly ones that "
            "are trained on, which flatters what they score" for where, one in numbers.items() if one.low > self.most
        )  # fmt: skip
        reason += "; source.group keeps rows together that belong together" if reason else ""
        return Finding(self.name, "told" if reason else "passed", reason, numbers, is_suspected=bool(reason))

    def _of_fold(self, divided: Divided, fold: int, pool: Rows, known: _Prompts) -> npt.NDArray[np.bool_]:
        """Of those of the pool that a fold validates, whether they have a twin among those that it trains on."""
        train, valid = (np.flatnonzero(np.isin(pool, rows)) for rows in divided.folds[fold])
        asked = valid[sampled(len(valid), max(50, self.rows // MOST_FOLDS), divided.seed + 2)]
        return self._twins(known.take(asked), known.take(train))

    def _twins(self, asked: _Prompts, known: _Prompts) -> npt.NDArray[np.bool_]:
        """(n_asked,) whether there is one."""
        found = np.zeros(len(asked.numbers), dtype=np.bool_)
        for begin in range(0, len(found), ROWS_AT_ONCE):
            some = asked.take(np.arange(begin, min(len(found), begin + ROWS_AT_ONCE)))
            near = sparse.coo_array(some.pieces @ known.pieces.T)
            here, there = near.coords
            is_twin = (near.data >= self.near) & (some.numbers[here] == known.numbers[there])
            if some.groups is not None and known.groups is not None:
                is_twin &= some.groups[here] != known.groups[there]
            found[begin + np.unique(here[is_twin])] = True
        return found


@dataclass(frozen=True)
class _Prompts:
    """pieces: sparse (n, 2^20), each row of length 1. numbers: (n,) those in the text. groups: (n,) or None."""

    pieces: Any
    numbers: npt.NDArray[np.object_]
    groups: Rows | None = None

    @classmethod
    def of(cls, X: pd.DataFrame, groups: Rows | None = None) -> _Prompts:
        texts = [" ".join(text.casefold().split()) for text in X.iloc[:, 0].fillna("")]
        pieces = HashingVectorizer(analyzer="char_wb", ngram_range=LETTERS, alternate_sign=False).transform(texts)
        return cls(pieces, np.array([" ".join(NUMBER.findall(text)) for text in texts], dtype=object), groups)

    def take(self, places: Rows) -> _Prompts:
        groups = None if self.groups is None else self.groups[places]
        return _Prompts(self.pieces[places], self.numbers[places], groups)


def _groups(divided: Divided) -> tuple[Rows, Rows | None] | None:
    """(n_train,) and, where they are known, (n_holdout,) numbers of the groups; None without groups."""
    if divided.groups is not None:
        return divided.groups
    roles = divided.train_roles
    return (pd.factorize(roles["group"])[0], None) if "group" in roles else None


def _share(is_twin: npt.NDArray[np.bool_]) -> Number:
    n = max(1, len(is_twin))
    return Number(float(is_twin.sum() / n), *wilson(int(is_twin.sum()), n))
