"""A LightGBM model: how many trees and leaves, how much text, how long the way of a row through them; and predictions,
of many trees a part of them at a time."""

from __future__ import annotations

from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from tasks.metric import Floats

Matrix = npt.NDArray[np.float32 | np.float64]
SAME = ("regression", "regression_l1", "huber", "fair", "quantile", "mape", "none")  # objectives by their link function
EXPONENTIAL = ("poisson", "gamma", "tweedie")
LARGE = 200_000  # leaves, from which on parts pay for their making, 4 to 8 microseconds a leaf, in 800 to 2,000 rows
LEAVES_AT_A_TIME = 8_000  # which stay in a core's cache while rows pass; 2,000 to 16,000 are as fast to a quarter
MANY_ROWS = 100  # fewer gain nothing
MANY_VISITS = 2_000_000  # rows x trees, for which it is worth it to count the leaves


@dataclass(frozen=True)
class Form:
    """A booster's trees, up to its best round: how many bytes of text they are, and what stands around them; how many a
    round grows, how many there are, and their leaves; n_visits: how many nodes, the leaf too, a row of the training
    table visits in all trees."""

    n_bytes: int
    n_bytes_around: int
    n_outputs: int
    n_trees: int
    n_leaves: int
    n_visits: float

    @classmethod
    def of(cls, booster: lgb.Booster) -> Form:
        """Read from the text that is saved: `dump_model` would take a second."""
        text = booster.model_to_string()
        leaves = leaf_counts(text)
        lines = (line.partition("=")[::2] for line in text.splitlines())
        counts = [list(map(int, value.split())) for key, value in lines if key == "internal_count"]
        n_visits = sum(sum(of_tree) / of_tree[0] for of_tree in counts if of_tree)
        n_bytes = text.find("\nend of trees") - text.find("\nTree=0")
        n_outputs = booster.num_model_per_iteration()
        return cls(n_bytes, len(text) - n_bytes, n_outputs, len(leaves), sum(leaves), n_visits + len(leaves))


@dataclass(frozen=True)
class Link:
    """What becomes of the sum of a row's leaves."""

    objective: str
    sigmoid: float
    is_of_roots: bool  # of a target of which the root was learned

    @classmethod
    def of(cls, booster: lgb.Booster) -> Link:
        objective, *settings = str(booster.dump_model(num_iteration=1)["objective"]).split()
        given = {key: value for key, _, value in (setting.partition(":") for setting in settings)}
        return cls(objective, float(given.get("sigmoid", 1)), "sqrt" in given)

    @property
    def is_known(self) -> bool:
        return self.objective in ("binary", "multiclass", *EXPONENTIAL, *SAME)

    def __call__(self, raw: Floats) -> Floats:
        """raw: (n,) or (n, n_classes)."""
        if self.objective == "binary":
            return np.asarray(expit(self.sigmoid * raw))
        if self.objective == "multiclass":
            return np.asarray(softmax(raw, axis=1))
        if self.objective in EXPONENTIAL:
            return np.exp(raw)
        return np.sign(raw) * raw**2 if self.is_of_roots else raw


@dataclass(frozen=True)
class InParts:
    """A large model as several of its trees each, which stay in the cache while many rows pass: LightGBM itself takes a
    row through all trees before the next one, and fetches them from memory for each. 2 to 10 times as fast, in twice
    the memory, and the same but for the order of the sums (`python -m benchmarks.trees_in_parts`)."""

    parts: tuple[lgb.Booster, ...]
    link: Link

    @classmethod
    def of(cls, booster: lgb.Booster) -> InParts | None:
        """None: of a model that is small, or whose trees aren't added up to what it predicts."""
        header = booster.model_to_string(num_iteration=1)
        link, n_leaves = Link.of(booster), sum(leaf_counts(booster.model_to_string()))
        if n_leaves < LARGE or "\naverage_output" in header or not link.is_known:
            return None
        n_iterations = booster.best_iteration if booster.best_iteration > 0 else booster.current_iteration()
        step = max(1, LEAVES_AT_A_TIME * n_iterations // n_leaves)
        starts = range(0, n_iterations, step)
        return cls(tuple(part(booster, start, min(step, n_iterations - start)) for start in starts), link)

    def predict(self, matrix: Matrix) -> Floats:
        return self.link(self.raw(matrix))

    def raw(self, matrix: Matrix) -> Floats:
        """(n,) or (n, n_classes)"""
        total = np.zeros(())
        for one in self.parts:
            total = total + np.asarray(one.predict(matrix, raw_score=True), dtype=np.float64)
        return total


def part(booster: lgb.Booster, start: int, n: int) -> lgb.Booster:
    """So many iterations of a model, from `start` on, as a model: asked to predict with some of its own, a booster
    notes which in itself, and disturbs other threads."""
    return lgb.Booster(model_str=booster.model_to_string(start_iteration=start, num_iteration=n))


def many(booster: lgb.Booster, n_rows: int) -> bool:
    """Whether so many rows are worth a look at how large the model is."""
    return n_rows >= MANY_ROWS and n_rows * booster.num_trees() >= MANY_VISITS


def leaf_counts(text: str) -> list[int]:
    """How many leaves each tree of a model's text has."""
    return [int(line[11:]) for line in text.splitlines() if line[:11] == "num_leaves="]
