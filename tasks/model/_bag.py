"""Several models as one: of each trial of an ensemble the models of its folds, averaged (Breiman 1996, Bagging)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tasks import model as models
from tasks.model import Fitted, Floats


@dataclass(frozen=True)
class Member:
    """The models of one trial's folds, which count alike, and the weight of their mean in the ensemble."""

    weight: float
    folds: tuple[Fitted, ...]


@dataclass(frozen=True)
class Bag:
    """Members of any family; their weights sum to one."""

    members: tuple[Member, ...]

    @property
    def n_parameters(self) -> int:
        return sum(fitted.n_parameters for member in self.members for fitted in member.folds)

    def predict(self, X: pd.DataFrame) -> Floats:
        (share, first), *others = self._shares()
        total = share * first.predict(X)
        for share, fitted in others:
            total += share * fitted.predict(X)
        return total

    def importance(self) -> dict[str, float]:
        """The weighted mean of the shares that the models' own measures give."""
        return weighted_mean([(share, fitted.importance()) for share, fitted in self._shares()])

    def save(self, folder: Path) -> None:
        """`members.json`, and each model in a folder `<member>/<fold>` as `tasks.model.save` writes it."""
        counts = [{"weight": member.weight, "folds": len(member.folds)} for member in self.members]
        (folder / "members.json").write_text(json.dumps(counts))
        for number, member in enumerate(self.members):
            for fold, fitted in enumerate(member.folds):
                models.save(fitted, folder / str(number) / str(fold))

    @classmethod
    def load(cls, folder: Path) -> Bag:
        counts = json.loads((folder / "members.json").read_text())
        return cls(
            tuple(
                Member(
                    count["weight"], tuple(models.load(folder / str(n) / str(fold)) for fold in range(count["folds"]))
                )
                for n, count in enumerate(counts)
            )
        )

    def _shares(self) -> list[tuple[float, Fitted]]:
        return [(member.weight / len(member.folds), fitted) for member in self.members for fitted in member.folds]


def weighted_mean(shares: list[tuple[float, Mapping[str, float]]]) -> dict[str, float]:
    """Of each key of the first mapping, which all have."""
    return {key: sum(share * of[key] for share, of in shares) for key in shares[0][1]}
