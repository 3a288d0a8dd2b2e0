"""Several models as one: the weighted mean of the trials of an ensemble, each the mean of the models of its folds
(Breiman 1996, Bagging predictors) or a model of all rows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from tasks import model as models
from tasks.model import Contributions, Explains, Fitted, Floats


@dataclass(frozen=True)
class Member:
    """The weight of one trial in the ensemble, and where its models lie, which count alike."""

    weight: float
    folders: tuple[Path, ...]


@dataclass(frozen=True)
class Bag:
    """Members of any family, whose weights sum to one. Their models are read when they are first needed; saving copies
    their files (a forest of 1.4 million parameters takes 1 s to read and 1 s to write)."""

    members: tuple[Member, ...]

    @cached_property
    def models(self) -> Sequence[tuple[float, Fitted]]:
        """Each model with its share of the prediction."""
        return [
            (member.weight / len(member.folders), models.load(folder))
            for member in self.members
            for folder in member.folders
        ]

    @property
    def n_parameters(self) -> int:
        return sum(fitted.n_parameters for _, fitted in self.models)

    @property
    def packages(self) -> tuple[str, ...]:
        return tuple(sorted({name for _, fitted in self.models for name in models.packages(fitted)}))

    def predict(self, X: pd.DataFrame) -> Floats:
        (share, first), *others = self.models
        total = share * first.predict(X)
        for share, fitted in others:
            total += share * fitted.predict(X)
        return total

    def importance(self) -> dict[str, float]:
        """The weighted mean of the shares that the models' own measures give."""
        found = [(share, fitted.importance()) for share, fitted in self.models]
        return {column: sum(share * of[column] for share, of in found) for column in found[0][1]}

    def explain(self, X: pd.DataFrame) -> Contributions | None:
        """The weighted mean of the models' own accounts where all have one of what they predict, as of numbers; a
        mean of probabilities is none of scores."""
        if self._are_classes(X):
            return None
        found = [(share, one.explain(X) if isinstance(one, Explains) else None) for share, one in self.models]
        if any(one is None for _, one in found):
            return None
        parts = [(share, one) for share, one in found if one is not None]
        columns = parts[0][1].columns
        if any(one.columns != columns for _, one in parts):
            return None
        values = sum(share * one.values for share, one in parts)
        bias = sum(share * one.bias for share, one in parts)
        return Contributions(columns, np.asarray(values), np.asarray(bias), "prediction")

    def _are_classes(self, X: pd.DataFrame) -> bool:
        return self.models[0][1].predict(X.iloc[:1]).ndim == 2

    def save(self, folder: Path) -> None:
        """`members.json`, and each model in a folder `<member>/<model>` as `tasks.model.save` wrote it."""
        counts = [{"weight": member.weight, "models": len(member.folders)} for member in self.members]
        (folder / "members.json").write_text(json.dumps(counts))
        for number, member in enumerate(self.members):
            for place, source in enumerate(member.folders):
                shutil.copytree(source, folder / str(number) / str(place))

    @classmethod
    def load(cls, folder: Path) -> Bag:
        counts = json.loads((folder / "members.json").read_text())
        bag = cls(
            tuple(
                Member(count["weight"], tuple(folder / str(number) / str(place) for place in range(count["models"])))
                for number, count in enumerate(counts)
            )
        )
        assert bag.models  # read now, so that what can't be read is told here
        return bag
