"""Duplicates: rows of the holdout, or of a fold's validation part, that are nearly rows of what is trained on.

    q, t    rows asked of and rows of training        gap    of two numbers, in units of the column's spread
    pair    a row that is asked of and one of its nearest training rows
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from sklearn.neighbors import NearestNeighbors

from tasks.divided import Divided, Rows, sampled
from tasks.model import Floats
from tasks.row_hash import Hashes
from tasks.verdict import Finding, Number

NEAREST = 10          # training rows that each row asked of is compared with
FAR = 8.0             # spreads beyond which numbers are no farther apart, so that one column hides no other
WIDTH = 4             # random numbers that stand for a level where neighbours are looked for
CERTAIN = 0.5         # of the holdout's rows are exact copies: then its scores tell nothing
BY_CHANCE = 0.05      # at most, for that
DOUBT = 3             # times what is expected by chance: what was extrapolated was half to 1.6 times what tables
                      # without copies had (telco, adult)
MOST_FOLDS = 10


@dataclass(frozen=True)
class Duplicates:
    """A row has a twin in training where every level is the same and no number is more than `near` spreads (between
    the quartiles) away. Exact twins are counted among all rows by their hash; others among `rows` rows of either kind
    and at most `training_rows` of training, scaled up where these are a sample. Rows of one group are no twins.

    Twins by chance, as few columns with few values have them, are estimated from the same pairs, see `by_chance`.
    Suspected is what is sure (95 %) to be more than `most` of the rows beyond DOUBT times that; certain (failed) only a
    holdout of which half are exact copies.
    """

    name: ClassVar[str] = "duplicates"
    near: Annotated[float, Field(ge=0)]
    most: Annotated[float, Field(ge=0, lt=1)]
    rows: Annotated[int, Field(ge=50)]
    training_rows: Annotated[int, Field(ge=100)]

    def inspect(self, divided: Divided) -> Finding:
        pool = sampled(len(divided.y), self.training_rows, divided.seed)
        space = Space.of(divided.take("train", pool))
        hashes = {"train": divided.hashes("train"), "holdout": divided.hashes("holdout")}
        numbers: dict[str, Number] = {}
        held = self._of_holdout(divided, pool, space, hashes, numbers)
        folds = self._of_folds(divided, pool, space, hashes["train"], numbers)
        exact, chance = numbers["exact_in_the_holdout"].value, numbers["by_chance_in_the_holdout"].value
        reason = "; ".join(filter(None, (held, folds)))
        if exact >= CERTAIN and chance <= BY_CHANCE:
            return Finding(self.name, "failed", reason, numbers)
        return Finding(self.name, "told" if reason else "passed", reason, numbers, is_suspected=bool(reason))

    def _of_holdout(
        self, divided: Divided, pool: Rows, space: Space, hashes: dict[str, Hashes], numbers: dict[str, Number]
    ) -> str:
        groups = (None, None) if divided.groups is None else divided.groups
        is_exact = has_twin(hashes["holdout"], hashes["train"], groups[1], groups[0])
        asked = sampled(len(is_exact), self.rows, divided.seed + 1)
        pairs = space.pairs(divided.take("holdout", asked), NEAREST, self.near)
        is_other = np.ones(pairs.places.shape, dtype=np.bool_)
        if groups[0] is not None and groups[1] is not None:
            is_other = groups[0][pool[pairs.places]] != groups[1][asked][:, None]
        scale = len(hashes["train"]) / len(pool)
        numbers |= self._numbers("the_holdout", pairs, is_other, is_exact, is_exact[asked], scale)
        remedy = "name what tells which rows belong together, by source.group or source.key, or leave the copies out"
        return self._said("the_holdout", numbers, "rows of the holdout", f"scores flatter; {remedy}")

    def _of_folds(
        self, divided: Divided, pool: Rows, space: Space, hashes: Hashes, numbers: dict[str, Number]
    ) -> str:
        groups = None if divided.groups is None else divided.groups[0]
        fold_of, is_exact = _exact_in_folds(divided, hashes, groups)
        among = np.flatnonzero(fold_of[pool] >= 0)
        mine = among[sampled(len(among), self.rows, divided.seed + 2)]
        asked = pool[mine]
        pairs = space.pairs(space.rows.iloc[mine], NEAREST + 1, self.near)
        is_other = np.zeros(pairs.places.shape, dtype=np.bool_)
        for fold, (train, _) in enumerate(divided.folds):
            is_in = np.zeros(len(hashes), dtype=np.bool_)
            is_in[train] = True
            of_fold = fold_of[asked] == fold
            is_other[of_fold] = is_in[pool[pairs.places[of_fold]]]
        if groups is not None:
            is_other &= groups[pool[pairs.places]] != groups[asked][:, None]
        scale = len(hashes) / len(pool)
        numbers |= self._numbers("folds", pairs, is_other, is_exact[fold_of >= 0], is_exact[asked], scale)
        remedy = "folds=grouped with source.group keeps rows together that belong together"
        return self._said("folds", numbers, "rows that folds validate", f"what is selected flatters; {remedy}")

    def _numbers(
        self, where: str, pairs: Pairs, is_other: npt.NDArray[np.bool_], all_exact: npt.NDArray[np.bool_],
        is_exact: npt.NDArray[np.bool_], scale: float,
    ) -> dict[str, Number]:  # fmt: skip
        """scale: training rows for each one that was compared."""
        n, exact = max(1, len(is_exact)), float(all_exact.mean()) if len(all_exact) else 0.0
        n_near = int(((pairs.is_twin & is_other).any(axis=1) & ~is_exact).sum())
        low, high = wilson(n_near, n)
        near = Number(*(min(1.0, exact + scale * share) for share in (n_near / n, low, high)))
        chance = min(1.0, scale * by_chance(pairs, is_other, self.near) / n)
        return {f"exact_in_{where}": Number(exact), f"near_in_{where}": near, f"by_chance_in_{where}": Number(chance)}

    def _said(self, where: str, numbers: dict[str, Number], rows: str, what: str) -> str:
        near, exact = numbers[f"near_in_{where}"], numbers[f"exact_in_{where}"].value
        chance = numbers[f"by_chance_in_{where}"].value
        if near.low - DOUBT * chance <= self.most:
            return ""
        return (
            f"{near.value:.1%} of the {rows} are nearly rows that are trained on ({exact:.1%} exactly; by chance some "
            f"{chance:.1%}): {what}"
        )


@dataclass(frozen=True)
class Pairs:
    """places: (q, k) of training rows. n_apart: (q, k) columns in which the two differ. widest: (q, k) the largest gap,
    infinite where a level differs. n_columns: of the table."""

    places: Rows
    n_apart: Rows
    widest: Floats
    n_columns: int

    @property
    def is_twin(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.n_apart == 0)


@dataclass(frozen=True)
class Space:
    """Training rows where neighbours are looked for: numbers, each with its centre and its spread, and levels as random
    numbers, each with its code."""

    rows: pd.DataFrame
    numbers: dict[str, tuple[float, float]]
    levels: dict[str, dict[Any, int]]
    index: Any

    @classmethod
    def of(cls, X: pd.DataFrame) -> Space:
        X = X.reset_index(drop=True)
        numbers = {str(name): _middle(X[name]) for name in X.select_dtypes("number").columns}
        named = (name for name in map(str, X.columns) if name not in numbers)
        levels = {name: {level: code for code, level in enumerate(X[name].dropna().unique())} for name in named}
        made = cls(X, numbers, levels, NearestNeighbors(algorithm="brute"))
        made.index.fit(made._embedded(X))
        return made

    def pairs(self, X: pd.DataFrame, n_nearest: int, near: float) -> Pairs:
        """Each row of X with its nearest training rows."""
        k = min(n_nearest, len(self.rows))
        places = self.index.kneighbors(self._embedded(X), n_neighbors=k, return_distance=False).astype(np.int64)
        n_apart, widest = np.zeros(places.shape, np.int64), np.zeros(places.shape)
        for gap in self._gaps(X, places):
            n_apart += gap > near
            np.maximum(widest, gap, out=widest)
        return Pairs(places, n_apart, widest, self.rows.shape[1])

    def _gaps(self, X: pd.DataFrame, places: Rows) -> Iterator[Floats]:
        """(q, k) for each column how far the pairs are apart in it; infinitely in a level, or where one is missing."""
        for name in self.levels:
            code, other = self._codes(name, X), self._codes(name, self.rows)[places]
            yield np.where(other == code[:, None], 0.0, np.inf)
        for name, (_, spread) in self.numbers.items():
            mine, theirs = (frame[name].to_numpy(dtype=np.float64) / spread for frame in (X, self.rows))
            with np.errstate(invalid="ignore"):
                gap = np.abs(theirs[places] - mine[:, None])
            is_same = (theirs[places] == mine[:, None]) | (np.isnan(theirs[places]) & np.isnan(mine)[:, None])
            yield np.where(is_same, 0.0, np.where(np.isnan(gap), np.inf, gap))

    def _codes(self, name: str, X: pd.DataFrame) -> Rows:
        """(n_rows,) -1 where missing; levels that no training row has get codes that none of these have."""
        codes: Floats = X[name].map(self.levels[name]).to_numpy(dtype=np.float64)
        new = -2.0 - np.arange(len(X))
        return np.where(X[name].isna(), -1.0, np.where(np.isnan(codes), new, codes)).astype(np.int64)

    def _embedded(self, X: pd.DataFrame) -> npt.NDArray[np.float32]:
        """(n_rows, n_numbers + WIDTH * n_levels)."""
        parts = []
        for name, (centre, spread) in self.numbers.items():
            scaled = np.clip((X[name].to_numpy(dtype=np.float64) - centre) / spread, -FAR, FAR)
            parts.append(np.where(np.isnan(scaled), FAR, scaled)[:, None])
        for place, (name, known) in enumerate(self.levels.items()):
            vectors = np.random.default_rng(place).normal(size=(len(known) + 2, WIDTH))
            parts.append(vectors[np.maximum(self._codes(name, X), -2)])
        return np.concatenate(parts, axis=1).astype(np.float32)


def _middle(values: pd.Series[Any]) -> tuple[float, float]:
    """The median, and between the quartiles the spread; of a column that is mostly one value its deviation."""
    numbers = values.to_numpy(dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return 0.0, 1.0
    low, middle, high = (float(one) for one in np.quantile(numbers, [0.25, 0.5, 0.75]))
    return middle, high - low or float(numbers.std()) or 1.0


def by_chance(pairs: Pairs, is_other: npt.NDArray[np.bool_], near: float) -> float:
    """How many pairs would be twins if nothing had been copied, by extrapolation from pairs that are almost twins.

    Of levels and whole numbers: with n1 pairs apart in one column and n2 in two, n1^2 / n2 (d - 1) / (2 d) in none, as
    for d columns that agree independently of each other. Of numbers: with a pairs apart by 1 to 2 times `near` and b by
    2 to 4 times, a^2 / (b - a), as where their number grows with a power of the distance (Grassberger and Procaccia
    1983). The larger of the two. Copies are in none of these.
    """
    n_apart, d = pairs.n_apart[is_other], pairs.n_columns
    n1, n2 = int((n_apart == 1).sum()), int((n_apart == 2).sum())
    of_levels = n1**2 / n2 * (d - 1) / (2 * d) if n2 else float(n1)
    widest = pairs.widest[is_other]
    a = int(((widest > near) & (widest <= 2 * near)).sum())
    b = int(((widest > 2 * near) & (widest <= 4 * near)).sum())
    of_numbers = a**2 / (b - a) if b > a else float(a)
    return max(of_levels, of_numbers)


def has_twin(asked: Hashes, among: Hashes, own: Rows | None, groups: Rows | None) -> npt.NDArray[np.bool_]:
    """(q,) whether a training row has the same hash, and, where groups are known, is of another group."""
    n = _counted(asked, among)
    if own is not None and groups is not None:
        n = n - _counted(_with_group(asked, own), _with_group(among, groups))
    return np.asarray(n > 0)


def wilson(n_hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    z, p = 1.96, n_hits / n
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    return max(0.0, float((middle - half) / scale)), min(1.0, float((middle + half) / scale))


def _counted(asked: Hashes, among: Hashes) -> Rows:
    ordered = np.sort(among)
    return np.searchsorted(ordered, asked, "right") - np.searchsorted(ordered, asked, "left")


def _with_group(hashes: Hashes, groups: Rows) -> Hashes:
    return hashes ^ (groups.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))


def _exact_in_folds(divided: Divided, hashes: Hashes, groups: Rows | None) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """(n_train,) the first fold that validates each row, -1 where none does, and whether the row has an exact twin in
    that fold's training part."""
    fold_of, is_exact = np.full(len(hashes), -1, np.int64), np.zeros(len(hashes), np.bool_)
    for fold, (train, valid) in enumerate(divided.folds):
        new = valid[fold_of[valid] < 0]
        if fold >= MOST_FOLDS or not len(new):
            continue
        fold_of[new] = fold
        own, others = (None, None) if groups is None else (groups[new], groups[train])
        is_exact[new] = has_twin(hashes[new], hashes[train], own, others)
    return fold_of, is_exact
