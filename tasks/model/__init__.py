"""Families of models: one file each, all with one contract, found from `conf/model/`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import source_rows
from tasks.loss import Loss
from tasks.model._explained import Contributions as Contributions
from tasks.model._explained import Explains as Explains
from tasks.model._explained import explained as explained
from tasks.model._training import Floats as Floats
from tasks.model._training import Places as Places
from tasks.model._training import Rows as Rows
from tasks.model._training import Training as Training
from tasks.model._training import without_text as without_text
from tasks.model._watch import Curve as Curve
from tasks.model._watch import OutOfTimeError as OutOfTimeError
from tasks.model._watch import Paced as Paced
from tasks.model._watch import Until as Until
from tasks.model._watch import Watch as Watch
from tasks.model._watch import rounds_left as rounds_left
from tasks.model._watch import unwatched as unwatched
from tasks.records import Footprint, Problem
from tasks.refusal import Refusal

BESIDE_A_MODEL = (
    "schema.json", "problem.json", "example.json", "origin.json", "base.json", "decision.json", "interval.json",
    "seen.json", "seen.npy", "reference.json",
)  # fmt: skip
FAMILY = "family.json"
INNER = "inner"  # the folder of a model within a calibrated one


class Fitted(Protocol):
    """A trained model. It predicts from typed features, saves without pickle, and is loaded by `load`."""

    @property
    def n_parameters(self) -> int:
        """All of them; where some came from elsewhere and were not trained, `n_frozen` says how many."""
        ...

    def predict(self, X: pd.DataFrame) -> Floats:
        """X: (n_rows, n_columns); gives (n_rows,) values or (n_rows, n_classes) probabilities."""
        ...

    def importance(self) -> dict[str, float]:
        """How much each column contributes to the fit, by the family's own measure; sums to one."""
        ...

    def save(self, folder: Path) -> None: ...


Weights = Mapping[str, npt.NDArray[np.floating[Any]]]  # of a net, by name


@runtime_checkable
class HasWeights(Protocol):
    """A trained net whose weights can be laid beside those of another."""

    def weights(self) -> Weights: ...


@runtime_checkable
class HasAdapters(Protocol):
    """A fine-tuned model. adapters: None, or what was trained of it, small enough to be kept of every trial."""

    @property
    def adapters(self) -> object: ...

    def save_adapters(self, folder: Path) -> None: ...


@runtime_checkable
class TrainsOnSource(Protocol):
    """A family that trains on the rows of its base's source beside those of its table."""

    def beside(self, base: Path) -> Model:
        """The family, as it reckons with their number."""
        ...


@runtime_checkable
class BeginsWith(Protocol):
    """A family that begins with pre-trained weights where there is no base. way: how it goes on from there."""

    @property
    def way(self) -> str: ...

    def begins_with(self) -> tuple[Path, str] | None:
        """The folder that holds them, and their name; None where it begins with none."""
        ...

    def beginning_with(self, base: Path) -> Model:
        """The family, as it begins with the weights that a base holds, where these are of its kind."""
        ...


@runtime_checkable
class Writes(Protocol):
    """A trained model that writes."""

    def respond(self, prompts: Sequence[str], most: int | None = None) -> list[str]:
        """A response to each prompt, of at most so many tokens."""
        ...


@dataclass(frozen=True)
class Validated:
    """One fold: predictions for its validation rows, (n_valid,) or (n_valid, n_classes); the best round and the
    learning curve as (round, watched metric on the validation rows), where there are rounds; and the model that
    predicts so, as it is at its best round. Where a fold goes on from a base, the model holds its own part alone.
    costs: the loss's cost on the validation rows, by round, where the family computes it as it goes."""

    prediction: Floats
    rounds: int | None
    curve: tuple[tuple[int, float], ...]
    fitted: Fitted
    costs: tuple[tuple[int, float], ...] = ()


class Model(Protocol):
    """A family: what may be tuned, and how it is fitted.

    hyperparameters: fixed values; null means: searched within `space`, else taken from `start`.
    space: hyperparameter to a range {low, high, log} or a list. grid: hyperparameter to a short list, cheap to dear.
    portfolio: settings that are known to be good, cheap ones first; every search tries them before any of its own, and
    first those `made_for` tables of the least {rows: ..., classes: ...} that they name.
    """

    @property
    def hyperparameters(self) -> Mapping[str, Any]: ...
    @property
    def start(self) -> Mapping[str, Any]: ...
    @property
    def space(self) -> Mapping[str, Any]: ...
    @property
    def grid(self) -> Mapping[str, Any]: ...
    @property
    def portfolio(self) -> Sequence[Mapping[str, Any]]: ...

    def check(self, problem: Problem, loss: Loss) -> list[str]:
        """What this family can't do of what is asked for, as faults; none where all is well."""
        ...

    def seconds(self, n_rows: int, n_columns: int, n_classes: int) -> float:
        """What a usual fit costs on one core of some 3 GHz, by a rule of thumb that never looks at a clock: it decides
        how much evidence a search begins with, and the same table and budget must begin alike everywhere."""
        ...

    def affordable(self, seconds: float, n_rows: int, n_columns: int, n_classes: int) -> Self:
        """The family, so changed that its final fit takes no more than about so many seconds by the same rule, or can
        be shortened to that, see `Shortens`."""
        ...

    def final(self, hyperparameters: Mapping[str, Any], rounds: int | None) -> tuple[dict[str, Any], int | None]:
        """Hyperparameters and rounds of the final fit, from those that the search chose."""
        ...

    def footprint(
        self, workspace: Any, fitted: Any, hyperparameters: Mapping[str, Any], rounds: int | None, more_rows: float
    ) -> Footprint:
        """What the final fit with these hyperparameters and rounds will come to, from the model of a fold: its size as
        `save` writes it, and its milliseconds counted from its form by a rule of thumb, for one core of some 3 GHz.

        more_rows: how many times as many rows as the fold's the final fit sees.
        """
        ...

    def workspace(self, training: Training, base: Path | None, n_threads: int) -> Any:
        """What all trials share, built once and never changed: encoded matrices, bins."""
        ...

    def validate(
        self,
        workspace: Any,
        fold: int,
        hyperparameters: Mapping[str, Any],
        seed: int,
        watch: Watch = unwatched,
        n_rows: int | None = None,
    ) -> Validated:
        """Fits on the training rows of a fold, or on a sample of `n_rows` of them, and predicts its validation rows,
        see `Training.fold`. A family with rounds calls `watch` after each and lets pass what it raises."""
        ...

    def fit(
        self,
        workspace: Any,
        hyperparameters: Mapping[str, Any],
        rounds: int | None,
        seed: int,
        watch: Watch = unwatched,
        n_threads: int | None = None,
    ) -> Fitted:
        """Fits on all training rows, `rounds` long where the family has rounds, on more threads than a trial where
        `n_threads` says so; their number doesn't change the model."""
        ...


@runtime_checkable
class HasForced(Protocol):
    """A family with hyperparameters that some targets, losses or bases leave no choice of."""

    def forced(self, problem: Problem, loss: Loss, y: Floats, base: Path | None) -> dict[str, Any]:
        """Their values; none where all are free. y: (n_rows,) the training rows' target.

        Raises:
            Refusal: where the user fixed another one.
        """
        ...


WatchAll = Callable[[Sequence[Curve]], None]  # sees the curves of all folds at the same round


@runtime_checkable
class TrainsTogether(Protocol):
    """A family that can train the folds of a trial as one, where that is faster."""

    def are_one(
        self, workspace: Any, hyperparameters: Mapping[str, Any], folds: Sequence[int], n_rows: int | None
    ) -> bool:
        """Whether these folds are trained as one: decided by shapes alone, never by a clock or by workers."""
        ...

    def validate_together(
        self, workspace: Any, folds: Sequence[int], hyperparameters: Mapping[str, Any], seed: int, watch: WatchAll,
        n_rows: int | None = None,
    ) -> list[Validated]:
        """What `validate` gives for each of the folds, but for rounding. `watch` is called after each round; a fold
        that stopped earlier than others has the shorter curve."""
        ...


@runtime_checkable
class TrainsTrials(TrainsTogether, Protocol):
    """A family that can train several trials as one too, all folds of each. is_faster_so: whether that pays where it is
    left to the family."""

    @property
    def is_faster_so(self) -> bool: ...

    def shape(self, hyperparameters: Mapping[str, Any]) -> Hashable:
        """What trials have in common that may be trained as one, where their folds are; None of one that may not."""
        ...

    def validate_trials(
        self, workspace: Any, folds: Sequence[int], trials: Sequence[Mapping[str, Any]], seed: int,
        watches: Sequence[WatchAll], n_rows: int | None = None,
    ) -> list[list[Validated] | Exception]:
        """What `validate_together` gives for each of the trials (their hyperparameters), but for rounding, or raises: a
        trial that fails or that its watch ends leaves the others as they are."""
        ...


def validated(
    family: Model, workspace: Any, folds: Sequence[int], hyperparameters: Mapping[str, Any], seed: int,
    n_rows: int | None, watch: WatchAll = lambda curves: None,
) -> list[Validated]:  # fmt: skip
    """One fold, or several that are trained as one."""
    if isinstance(family, TrainsTogether) and len(folds) > 1:
        return family.validate_together(workspace, folds, hyperparameters, seed, watch, n_rows)
    (fold,) = folds
    return [family.validate(
        workspace, fold, hyperparameters, seed, watch=lambda curve: watch([curve]), n_rows=n_rows
    )]  # fmt: skip


def packages(it: Model | Fitted) -> tuple[str, ...]:
    """The packages that a family, or what it fitted, needs beyond those that finefold installs anyway."""
    return getattr(it, "packages", ())


def reads_text(family: Model) -> bool:
    """Whether a family takes columns of prose; others never see one."""
    return bool(getattr(family, "reads_text", False))


def writes(family: Model) -> bool:
    """Whether a family writes responses to prompts; others predict a number or a class."""
    return bool(getattr(family, "generates", False))


def times_alone(
    family: Model, workspace: Any, hyperparameters: Mapping[str, Any], n: int, n_rows: int | None
) -> float:
    """How many times its share of the time a fit takes by itself, of n that are trained as one."""
    if n > 1 and hasattr(family, "times_alone"):
        return float(family.times_alone(workspace, hyperparameters, n, n_rows))
    return 1.0


@runtime_checkable
class Shortens(Protocol):
    """A family whose final fit takes smaller steps than the search did, and can do with fewer, larger ones: with
    `least_share` of them they are as large as in the search."""

    @property
    def least_share(self) -> float: ...

    def shorter(self, hyperparameters: Mapping[str, Any], rounds: int, most: int) -> dict[str, Any]:
        """Those with which `most` rounds come as far as `rounds` do with these."""
        ...


@runtime_checkable
class FitsSeveral(Protocol):
    """A family whose final model is the mean of several, each of which has no use for more than one thread."""

    def n_models(self, hyperparameters: Mapping[str, Any]) -> int: ...

    def of_fewer(self, hyperparameters: Mapping[str, Any], n: int) -> dict[str, Any]:
        """Those of a final fit of `n` models."""
        ...


def rounds_are_epochs(family: Model) -> bool:
    """Whether a family's rounds are passes over the rows, of a learning rate that falls to their end."""
    return bool(getattr(family, "rounds_are_epochs", False))


def beside(family: Model, base: Path | None) -> Model:
    """The family, as what its fits cost counts rows of the base's source where it trains on these."""
    return family.beside(base) if base is not None and isinstance(family, TrainsOnSource) else family


def growth_of_rounds(family: Model, growth: float) -> float:
    """How many times as many rounds a fit on `growth` times as many rows has: as many, unless rounds are passes over
    the rows, which have that many more steps anyway."""
    return 1.0 if rounds_are_epochs(family) else growth


def save(fitted: Fitted, folder: Path) -> None:
    """Writes the model and the name of its class, which is all that `load` needs."""
    folder.mkdir(parents=True, exist_ok=True)
    fitted.save(folder)
    kind = type(fitted)
    (folder / FAMILY).write_text(json.dumps({"module": kind.__module__, "name": kind.__qualname__}))


def megabytes(folder: Path) -> float:
    """What the files of a saved model take, in millions of bytes, without what lies beside it: the table's schema and
    example, where it comes from, and rows of its source."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in BESIDE_A_MODEL]
    return sum(path.stat().st_size for path in files if path.relative_to(folder).parts[0] != source_rows.FOLDER) / 1e6


def own_files(folder: Path) -> Path:
    """Where a family's own files lie, by which it goes on from a base: those of a calibrated model within it."""
    return own_files(folder / INNER) if (folder / INNER / FAMILY).exists() else folder


def within(fitted: Fitted) -> Fitted:
    """The model itself, without its calibration."""
    inner: Fitted | None = getattr(fitted, INNER, None)
    return fitted if inner is None else within(inner)


def load(folder: Path) -> Fitted:
    """The model that `save` wrote.

    Raises:
        Refusal: when the folder holds none.
    """
    try:
        family = json.loads((folder / FAMILY).read_text())
        fitted: Fitted = importlib.import_module(family["module"]).__dict__[family["name"]].load(folder)
    except (OSError, KeyError, ValueError, ImportError) as error:
        raise Refusal(f"{folder} holds no model that can be read: {error}") from error
    return fitted


def unsupported(family: str, asked: Loss, known: Sequence[str], kind: str) -> list[str]:
    """A fault that names the loss and the family, where the family can't train on it."""
    if asked.name in known:
        return []
    remedy = f"choose {', or '.join([*known, 'another model'])}"
    return [f"loss={asked.name}: {family} can't train on it for a {kind} problem; {remedy}."]
