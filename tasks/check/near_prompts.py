"""Near prompts: prompts of the holdout, or of a fold's validation part, that are nearly ones that are trained on."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class NearPrompts:
    """A prompt has a twin where the cosine of the two, as counts of pieces of some letters, is `near` or more, whatever
    the case; of plain texts the texts themselves are compared. Rows of one group are no twins.

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
        asked = sampled(len(divided.holdout_roles), self.rows, divided.seed + 1)
        known = _pieces(divided.take("train", pool))
        groups = divided.groups
        of_pool = None if groups is None else groups[0][pool]
        held = self._twins(
            _pieces(divided.take("holdout", asked)), known, None if groups is None else groups[1][asked], of_pool
        )
        in_folds = [self._of_fold(divided, fold, pool, known) for fold in range(min(MOST_FOLDS, len(divided.folds)))]
        folds = np.concatenate([*in_folds, np.zeros(0, np.bool_)])
        numbers = {f"near_in_{where}": _share(one) for where, one in (("the_holdout", held), ("folds", folds))}
        reason = "; ".join(
            f"{one.value:.1%} of the prompts in {where.removeprefix('near_in_').replace('_', ' ')} are nearly prompts "
            "that are trained on: what they score flatters; source.group keeps rows together that belong together"
            for where, one in numbers.items() if one.low > self.most
        )  # fmt: skip
        return Finding(self.name, "told" if reason else "passed", reason, numbers, is_suspected=bool(reason))

    def _of_fold(self, divided: Divided, fold: int, pool: Rows, known: Any) -> npt.NDArray[np.bool_]:
        """Of those of the pool that a fold validates, whether they have a twin among those that it trains on."""
        train, valid = (np.flatnonzero(np.isin(pool, rows)) for rows in divided.folds[fold])
        asked = valid[sampled(len(valid), max(50, self.rows // MOST_FOLDS), divided.seed + 2)]
        roles = divided.train_roles
        codes = pd.factorize(roles["group"])[0][pool] if "group" in roles else None
        own, others = (None, None) if codes is None else (codes[asked], codes[train])
        return self._twins(known[asked], known[train], own, others)

    def _twins(self, asked: Any, known: Any, own: Rows | None, others: Rows | None) -> npt.NDArray[np.bool_]:
        """(n_asked,) whether one is there of another group. asked, known: sparse, of length 1 each."""
        found = np.zeros(asked.shape[0], dtype=np.bool_)
        for begin in range(0, len(found), ROWS_AT_ONCE):
            some = slice(begin, begin + ROWS_AT_ONCE)
            near = sparse.coo_array(asked[some] @ known.T)
            is_twin = near.data >= self.near
            if own is not None and others is not None:
                is_twin &= own[some][near.coords[0]] != others[near.coords[1]]
            found[begin + np.unique(near.coords[0][is_twin])] = True
        return found


def _pieces(X: Any) -> Any:
    """Sparse (n, 2^20), each row of length 1."""
    texts = [" ".join(text.casefold().split()) for text in X.iloc[:, 0].fillna("")]
    return HashingVectorizer(analyzer="char_wb", ngram_range=LETTERS, alternate_sign=False).transform(texts)


def _share(is_twin: npt.NDArray[np.bool_]) -> Number:
    n = max(1, len(is_twin))
    return Number(float(is_twin.sum() / n), *wilson(int(is_twin.sum()), n))
