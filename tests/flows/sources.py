"""A broad source and a small target that differ, for tests of fine-tuning."""

from __future__ import annotations

import numpy as np
import pandas as pd

QUICK = ["search=none", "folds.n_splits=3", "model.lightgbm.rounds=15", "source.target=y"]


def table(n: int, seed: int, *, shift: float = 0.0, classes: str = "abc", towns: str = "xyz") -> pd.DataFrame:
    """A class that depends on a number and a town; `shift` moves where one class ends and the next begins."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"size": random.normal(size=n).round(6), "town": random.choice(list(towns), n)})
    place = frame["size"] + 0.5 * (frame["town"] == "x") + shift + random.normal(size=n) / 4
    codes = np.clip(np.digitize(place, np.linspace(-1, 1, len(classes) - 1)), 0, len(classes) - 1)
    return frame.assign(y=np.array(list(classes))[codes])
