"""Rehearsal: source and target rows together, so that the new model keeps what the base knew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from tasks import model as models
from tasks.loss import Loss
from tasks.model import (
    BeginsWith,
    Contributions,
    Explains,
    FitsSeveral,
    Fitted,
    Floats,
    HasForced,
    Model,
    Rows,
    Shortens,
    Training,
    TrainsTogether,
    Validated,
    Watch,
    WatchAll,
    unwatched,
    writes,
)
from tasks.model._kept import Kept
from tasks.records import Footprint, Problem
from tasks.refusal import Refusal
from tasks.source_rows import SourceRows, has_source_rows, source_rows, targets

DOMAIN = "finefold: domain"  # a column that tells target rows (1) from source rows (0)
TARGET, SOURCE = 1.0, 0.0


@dataclass(frozen=True)
class Pooled:
    """target_share: of all weight, how much lies on the target rows. domain: whether a column tells the two apart, so
    that what differs between them can be learned. starts: by model, what its first trial has in the place of the
    model's own start, which is tried too; None: nothing."""

    name: ClassVar[str] = "pooled"
    takes_new_classes: ClassVar[bool] = True
    takes_new_levels: ClassVar[bool] = True
    uses_base: ClassVar[bool] = True
    uses_source: ClassVar[bool] = True
    hyperparameters: dict[str, Any]
    start: dict[str, Any]
    space: dict[str, Any]
    grid: dict[str, Any]
    portfolio: list[dict[str, Any]]
    starts: dict[str, dict[str, Any] | None] = field(default_factory=dict)

    def family(self, name: str, family: Model) -> Model:
        if writes(family):
            raise Refusal(f"strategy=pooled: model={name} trains on the rows of its table alone; put texts of the "
                          "source into it, or choose lora, which forgets less.")  # fmt: skip
        own_start = self.starts.get(name) or {}
        kind = (PooledNets if isinstance(family, TrainsTogether)
                else PooledTrees if isinstance(family, Shortens) else PooledFamily)  # fmt: skip
        return kind(
            family,
            hyperparameters={**family.hyperparameters, **self.hyperparameters},
            start={**family.start, **self.start, **own_start},
            space={**family.space, **self.space},
            grid=self.grid or dict(family.grid),
            portfolio=[*self.portfolio, *([dict(family.start)] if own_start else []), *family.portfolio],
            own=tuple(self.hyperparameters),
        )


@dataclass(frozen=True)
class Domain:
    """A model that is told, for each row, that it is one of the target's."""

    fitted: Fitted

    @property
    def packages(self) -> tuple[str, ...]:
        return models.packages(self.fitted)

    @property
    def n_parameters(self) -> int:
        return self.fitted.n_parameters

    def predict(self, X: pd.DataFrame) -> Floats:
        return self.fitted.predict(X.assign(**{DOMAIN: TARGET}))

    def predict_source(self, X: pd.DataFrame) -> Floats:
        """What it predicts for rows of the source."""
        return self.fitted.predict(X.assign(**{DOMAIN: SOURCE}))

    def importance(self) -> dict[str, float]:
        """Without the domain's own."""
        found = {name: share for name, share in self.fitted.importance().items() if name != DOMAIN}
        total = sum(found.values()) or 1.0
        return {name: share / total for name, share in found.items()}

    def explain(self, X: pd.DataFrame) -> Contributions | None:
        """The family's own account, where it has one; what the domain adds goes into the bias."""
        told = X.assign(**{DOMAIN: TARGET})
        found = self.fitted.explain(told) if isinstance(self.fitted, Explains) else None
        if found is None:
            return None
        of_domain = np.array([name == DOMAIN for name in found.columns])
        bias = found.bias + found.values[:, :, of_domain].sum(axis=2)
        columns = tuple(name for name in found.columns if name != DOMAIN)
        return Contributions(columns, found.values[:, :, ~of_domain], bias, found.scale)

    def save(self, folder: Path) -> None:
        models.save(self.fitted, folder / "pooled")

    @classmethod
    def load(cls, folder: Path) -> Domain:
        return cls(models.load(folder / "pooled"))


@dataclass(frozen=True)
class Workspace:
    """Both sides' rows, and the family's own workspace for each weighting and with or without the domain column."""

    training: Training
    source: SourceRows
    base: Path
    n_threads: int
    inner: Kept[Any] = field(default_factory=lambda: Kept(lambda workspace: 0))


@dataclass(frozen=True)
class PooledFamily:
    """A family that trains on source rows too, and is judged on target rows alone. own: the strategy's
    hyperparameters, which the family isn't told. n_source: rows of the source, for what fits cost."""

    family: Model
    hyperparameters: dict[str, Any]
    start: dict[str, Any]
    space: dict[str, Any]
    grid: dict[str, Any]
    portfolio: list[Mapping[str, Any]]
    own: tuple[str, ...]
    n_source: int = 0

    pools: ClassVar[bool] = True

    @property
    def packages(self) -> tuple[str, ...]:
        return models.packages(self.family)

    @property
    def rounds(self) -> int:
        """Raises an AttributeError where the family has none."""
        rounds: int = self.family.rounds  # type: ignore[attr-defined]  # as `getattr` with a default expects
        return rounds

    @property
    def max_rows(self) -> int:
        """Raises an AttributeError where the family has none."""
        most: int = self.family.max_rows  # type: ignore[attr-defined]  # as above
        return most

    @property
    def iterations(self) -> int:
        """Raises an AttributeError where the family has none."""
        most: int = self.family.iterations  # type: ignore[attr-defined]  # as above
        return most

    @property
    def reads_text(self) -> bool:
        return models.reads_text(self.family)

    @property
    def weights(self) -> Callable[[Path | None], str] | None:
        """The digest of the pre-trained weights that the family begins with; None: of none."""
        if not hasattr(self.family, "weights"):
            return None
        return lambda base: str(self._begun(base).weights(None))  # type: ignore[attr-defined]  # as the one that has it

    @property
    def rounds_are_epochs(self) -> bool:
        return models.rounds_are_epochs(self.family)

    def check(self, problem: Problem, loss: Loss) -> list[str]:
        return self.family.check(problem, loss)

    def forced(self, problem: Problem, loss: Loss, y: Floats, base: Path | None) -> dict[str, Any]:
        if not isinstance(self.family, HasForced):
            return {}
        if base is not None and has_source_rows(base):
            y = np.concatenate([y, source_rows(base, "train", problem).y])
        return self.family.forced(problem, loss, y, None)

    def seconds(self, n_rows: int, n_columns: int, n_classes: int) -> float:
        return self.family.seconds(n_rows + self.n_source, n_columns, n_classes)

    def affordable(self, seconds: float, n_rows: int, n_columns: int, n_classes: int) -> Self:
        return replace(self, family=self.family.affordable(seconds, n_rows + self.n_source, n_columns, n_classes))

    def beside(self, base: Path) -> Self:
        return replace(self, n_source=len(targets(base, "train"))) if has_source_rows(base) else self

    def final(self, hyperparameters: Mapping[str, Any], rounds: int | None) -> tuple[dict[str, Any], int | None]:
        changed, rounds = self.family.final(self._inner(hyperparameters), rounds)
        return {**hyperparameters, **changed}, rounds

    def footprint(
        self, workspace: Workspace, fitted: Any, hyperparameters: Mapping[str, Any], rounds: int | None,
        more_rows: float,
    ) -> Footprint:
        within, inner = self._within(workspace, hyperparameters), self._inner(hyperparameters)
        fitted = fitted.fitted if isinstance(fitted, Domain) else fitted
        return self.family.footprint(within, fitted, inner, rounds, more_rows)

    def workspace(self, training: Training, base: Path | None, n_threads: int) -> Workspace:
        """
        Raises:
            Refusal: when the base keeps no rows of its source.
        """
        assert base is not None
        return Workspace(training, source_rows(base, "train", training.problem), base, n_threads)

    def validate(
        self, workspace: Workspace, fold: int, hyperparameters: Mapping[str, Any], seed: int,
        watch: Watch = unwatched, n_rows: int | None = None,
    ) -> Validated:
        within, inner = self._within(workspace, hyperparameters), self._inner(hyperparameters)
        done = self.family.validate(within, fold, inner, seed, watch, n_rows)
        return replace(done, fitted=self._told(done.fitted, hyperparameters))

    def fit(
        self, workspace: Workspace, hyperparameters: Mapping[str, Any], rounds: int | None, seed: int,
        watch: Watch = unwatched, n_threads: int | None = None,
    ) -> Fitted:
        within, inner = self._within(workspace, hyperparameters), self._inner(hyperparameters)
        fitted = self.family.fit(within, inner, rounds, seed, watch, n_threads)
        return self._told(fitted, hyperparameters)

    def _inner(self, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in hyperparameters.items() if key not in self.own}

    def _within(self, workspace: Workspace, hyperparameters: Mapping[str, Any]) -> Any:
        share, has_domain = float(hyperparameters["target_share"]), bool(hyperparameters["domain"])

        def make() -> Any:
            pooled = both(workspace.training, workspace.source, share, has_domain=has_domain)
            return self._begun(workspace.base).workspace(pooled, None, workspace.n_threads)

        return workspace.inner.get((share, has_domain), make)

    def _begun(self, base: Path | None) -> Model:
        """The family, whose pre-trained weights are the base's where that has such; all else is learned anew."""
        if base is None or not isinstance(self.family, BeginsWith):
            return self.family
        return self.family.beginning_with(base)

    def _told(self, fitted: Fitted, hyperparameters: Mapping[str, Any]) -> Fitted:
        return Domain(fitted) if hyperparameters["domain"] else fitted


@dataclass(frozen=True)
class PooledTrees(PooledFamily):
    """The same of a family whose final fit can do with fewer steps."""

    @property
    def least_share(self) -> float:
        return self._shortens.least_share

    def shorter(self, hyperparameters: Mapping[str, Any], rounds: int, most: int) -> dict[str, Any]:
        return self._shortens.shorter(hyperparameters, rounds, most)

    @property
    def _shortens(self) -> Shortens:
        assert isinstance(self.family, Shortens)
        return self.family


@dataclass(frozen=True)
class PooledNets(PooledFamily):
    """The same of a family that trains a trial's folds as one."""

    def are_one(
        self, workspace: Workspace, hyperparameters: Mapping[str, Any], folds: Sequence[int], n_rows: int | None
    ) -> bool:
        family = self._together
        within, inner = self._within(workspace, hyperparameters), self._inner(hyperparameters)
        return family.are_one(within, inner, folds, n_rows)

    def times_alone(
        self, workspace: Workspace, hyperparameters: Mapping[str, Any], n: int, n_rows: int | None
    ) -> float:
        within, inner = self._within(workspace, hyperparameters), self._inner(hyperparameters)
        return models.times_alone(self.family, within, inner, n, n_rows)

    def validate_together(
        self, workspace: Workspace, folds: Sequence[int], hyperparameters: Mapping[str, Any], seed: int,
        watch: WatchAll, n_rows: int | None = None,
    ) -> list[Validated]:
        within, inner = self._within(workspace, hyperparameters), self._inner(hyperparameters)
        every = self._together.validate_together(within, folds, inner, seed, watch, n_rows)
        return [replace(done, fitted=self._told(done.fitted, hyperparameters)) for done in every]

    def n_models(self, hyperparameters: Mapping[str, Any]) -> int:
        return self.family.n_models(hyperparameters) if isinstance(self.family, FitsSeveral) else 1

    def of_fewer(self, hyperparameters: Mapping[str, Any], n: int) -> dict[str, Any]:
        if isinstance(self.family, FitsSeveral):
            return self.family.of_fewer(hyperparameters, n)
        return dict(hyperparameters)

    @property
    def _together(self) -> TrainsTogether:
        assert isinstance(self.family, TrainsTogether)
        return self.family


@dataclass(frozen=True, kw_only=True)
class Both(Training):
    """The rows of `target`, which alone are validated, then those of the source, which stand in every fold's training
    rows. A sample is of the target's rows, the same as without a source, beside all of the source's."""

    target: Training

    def fold(self, fold: int, n_rows: int | None = None) -> tuple[Rows, Rows]:
        train, valid = self.target.fold(fold, n_rows)
        return np.concatenate([train, np.arange(len(self.target.y), len(self.y))]), valid

    def sizes(self, fold: int, n_rows: int | None = None) -> tuple[int, int]:
        n_train, n_valid = self.target.sizes(fold, n_rows)
        return n_train + len(self.y) - len(self.target.y), n_valid


def both(training: Training, source: SourceRows, target_share: float, *, has_domain: bool) -> Both:
    """Both sides' rows.

    target_share: of all weight. The rows keep their weights among those of their side.
    """
    n, n_source = len(training.y), len(source.y)
    X, beside = training.X, source.X[training.X.columns]
    if has_domain:
        X, beside = X.assign(**{DOMAIN: TARGET}), beside.assign(**{DOMAIN: SOURCE})
    weights = [np.ones(n) if training.weight is None else training.weight,
               np.ones(n_source) if source.weight is None else source.weight]
    shares = (target_share, 1 - target_share)
    scaled = [weight / weight.sum() * share * (n + n_source) for weight, share in zip(weights, shares, strict=True)]
    made = {
        "features": pd.concat([X, beside], ignore_index=True),
        "y": np.concatenate([training.y, source.y]),
        "weight": np.concatenate(scaled),
    }
    return Both(**{one.name: getattr(training, one.name) for one in fields(training)} | made, target=training)
