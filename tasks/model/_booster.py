"""The form of a LightGBM model: how many trees and leaves, how much text, how long the way of a row through them."""

from __future__ import annotations

from dataclasses import dataclass

import lightgbm as lgb


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
        lines = [line.partition("=")[::2] for line in text.splitlines()]
        leaves = [int(value) for key, value in lines if key == "num_leaves"]
        counts = [list(map(int, value.split())) for key, value in lines if key == "internal_count"]
        n_visits = sum(sum(of_tree) / of_tree[0] for of_tree in counts if of_tree)
        n_bytes = text.find("\nend of trees") - text.find("\nTree=0")
        n_outputs = booster.num_model_per_iteration()
        return cls(n_bytes, len(text) - n_bytes, n_outputs, len(leaves), sum(leaves), n_visits + len(leaves))
