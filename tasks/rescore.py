"""Rescore: the champion and a new version on today's holdout, on the rows that neither was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tasks import base_folder, decision, parquet, seen
from tasks.check import Case, in_classes_of
from tasks.constant import constant
from tasks.decision import labels_of
from tasks.footprint import N_TIMED_ROWS, side_by_side
from tasks.metric import Floats
from tasks.predictor import Predictor
from tasks.promotion import Contest, Duel, Rows
from tasks.records import Footprint, Problem
from tasks.refusal import Refusal
from tasks.schema import Schema
from tasks.seen import Mask, Today

DATA_TAG, SPLIT_TAG = "finefold.data", "finefold.split"
MAX_NAMED = 5


class ObstacleError(Exception):
    """Why two models can't be compared, in words."""


@dataclass(frozen=True)
class Challenger:
    """The new version: `folder` has its files as they were registered; `tags` are those of its version. prepared, seed:
    the table's folder and the salt of its holdout. allow_packages: see the key of this name."""

    folder: Path
    case: Case
    prepared: Path
    seed: int
    tags: Mapping[str, str]
    footprint: Footprint | None
    allow_packages: tuple[str, ...] = ()

    @property
    def today(self) -> Today:
        return Today(self.prepared, self.case.split, self.seed)


def contest(challenger: Challenger, number: int, logged: Path, tags: Mapping[str, str]) -> Contest:
    """The challenger against version `number`, of which `logged` is what MLflow keeps, and `tags` its tags."""
    left_out = 0
    try:
        folder, champion = _loaded(logged, challenger.allow_packages)
        _check_fit(champion, challenger)
        is_seen = _seen(challenger, folder, tags)
        left_out = int(is_seen.sum())
        duel, footprint = _duel(challenger, folder, champion, np.flatnonzero(~is_seen))
    except ObstacleError as obstacle:
        return Contest(number, None, str(obstacle), challenger.footprint, left_out)
    return Contest(number, duel, "", footprint, left_out)


def _loaded(logged: Path, allow_packages: Sequence[str]) -> tuple[Path, Predictor]:
    """
    Raises:
        ObstacleError: for a model that isn't ours, isn't safe to read, or can't be read any more.
    """
    try:
        folder = base_folder.model_in(logged, "champion")
        base_folder.check(folder, "champion", allow_packages)
        return folder, Predictor.load(folder)
    except Refusal as refusal:
        why = "; ".join(fault.removeprefix("base=").removeprefix("champion").lstrip(": ") for fault in refusal.faults)
    except MemoryError:
        raise
    except Exception as error:  # a library may raise anything of a file that it can't read, and that is the finding
        why = f"{type(error).__name__}: {error}"
    raise ObstacleError(f"the champion doesn't load any more: {why}")


def _check_fit(champion: Predictor, challenger: Challenger) -> None:
    """
    Raises:
        ObstacleError: where the two predict different things, or the champion asks for what today's table lacks.
    """
    problem = challenger.case.problem
    was, is_ = _described(champion.problem), _described(problem)
    if was != is_:
        raise ObstacleError(f"the champion predicts {was}, today's model {is_}")
    own = Schema.from_json((challenger.prepared / "schema.json").read_text(encoding="utf-8"))
    today = {one.name: one for one in own.columns}
    lacking = [one.name for one in champion.schema.columns if one.name not in today]
    if lacking:
        raise ObstacleError(f"another schema: the champion asks for columns that today's lacks: {_listed(lacking)}")
    others = [
        f"{one.name} ({one.kind}, today {today[one.name].kind})"
        for one in champion.schema.columns
        if (one.kind, one.format) != (today[one.name].kind, today[one.name].format)
        or not set(one.features()) <= set(today[one.name].features())
    ]
    if others:
        raise ObstacleError(f"another schema: columns are read differently: {_listed(others)}")


def _described(problem: Problem) -> str:
    classes = f" with the classes {_listed(sorted(map(str, problem.classes)), 20)}" if problem.classes else ""
    return f"{problem.target} as {problem.kind}{classes}"


def _listed(names: Sequence[str], most: int = MAX_NAMED) -> str:
    return ", ".join(names[:most]) + f" and {len(names) - most:,} more" * (len(names) > most)


def _seen(challenger: Challenger, champion: Path, tags: Mapping[str, str]) -> Mask:
    """(n_holdout,) the rows that one of the two may have been trained on, or what it goes on from.

    Raises:
        ObstacleError: where the champion doesn't say what it was trained on, and today's split is another one.
    """
    try:
        of_champion = challenger.today.seen_by(seen.read(champion))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ObstacleError(f"which rows the champion was trained on can't be read: {error}") from error
    if of_champion is None:
        own = challenger.tags
        if not all(tags.get(key) == own.get(key) and own.get(key) for key in (DATA_TAG, SPLIT_TAG)):
            raise ObstacleError("the champion doesn't tell which rows it was trained on, and today's split is another")
        of_champion = np.zeros(len(challenger.case.holdout.y), dtype=np.bool_)
    own_seen = challenger.today.seen_by(seen.read(challenger.folder))
    return of_champion if own_seen is None else of_champion | own_seen


def _duel(
    challenger: Challenger, folder: Path, champion: Predictor, rows: Rows
) -> tuple[Duel, Footprint]:
    """The two on the rows of the holdout at these places, and what the challenger comes to."""
    case, features = challenger.case, champion.schema.features
    file = case.split / "holdout_features.parquet"
    roles = pd.read_parquet(case.split / "train_roles.parquet")
    try:
        parts = [champion.fitted.predict(X[features]) for X in parquet.frames(file)]
        own = np.concatenate(parts)
        predicted, labels = in_classes_of(case.problem, folder, own), _labels(challenger, folder, champion, own)
    except MemoryError:
        raise
    except Exception as error:  # as above: what it was made with may have changed since
        raise ObstacleError(f"the champion doesn't predict today's rows: {type(error).__name__}: {error}") from error
    X = parquet.take(file, np.arange(min(N_TIMED_ROWS, len(predicted))))
    costs = side_by_side([(folder, champion.fitted, X[features]), (challenger.folder, case.fitted, X)])
    y = case.holdout.y
    (before, _), (after, slowest) = costs
    zero: Floats = constant(roles, case.problem, case.experiment.loss, y)
    both = predicted, case.on_holdout
    whole = Duel(
        case.problem, case.metric, y, *both, zero, case.holdout.weight, case.holdout.groups, labels, case.slice_labels,
        (before, after), slowest, case.experiment.seed,
    )  # fmt: skip
    return whole.of(rows), after


def _labels(challenger: Challenger, folder: Path, champion: Predictor, own: Floats) -> tuple[Rows, Rows] | None:
    """(n,) codes of the classes that each of the two names by its own decision; None for a regression. own: what the
    champion predicts, in the order of its classes."""
    case = challenger.case
    labels = case.labels(case.on_holdout)
    if labels is None:
        return None
    place = {str(label): code for code, label in enumerate(case.problem.classes)}
    codes = np.array([place[str(label)] for label in champion.problem.classes], dtype=np.int64)
    return codes[labels_of(own, decision.read(folder))], labels
