"""Families of models that do something beside their work. Worker processes import them by this name; no choice of any
configuration."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tasks.model import Model, Validated
from tasks.records import Footprint


@dataclass(frozen=True)
class Wrapped:
    """A family that works as another one does."""

    inner: Model

    def workspace(self, *arguments: Any) -> Any:
        return self.inner.workspace(*arguments)

    def final(self, hyperparameters: Mapping[str, Any], rounds: int | None) -> tuple[dict[str, Any], int | None]:
        return self.inner.final(hyperparameters, rounds)

    def footprint(self, *arguments: Any) -> Footprint:
        return self.inner.footprint(*arguments)


@dataclass(frozen=True)
class InEpochs(Wrapped):
    """Its rounds count as a net's."""

    rounds_are_epochs = True


@dataclass(frozen=True)
class Uneven(Wrapped):
    """Its trials take unlike times, so that later ones end first, and fail where `fails` says so."""

    fails: Callable[[Mapping[str, Any]], bool]
    seconds: float

    def validate(
        self, workspace: Any, fold: int, hyperparameters: Mapping[str, Any], seed: int, **more: Any
    ) -> Validated:
        time.sleep(self.seconds * (round(100 * hyperparameters["learning_rate"] + hyperparameters["num_leaves"]) % 4))
        if self.fails(hyperparameters):
            raise ValueError(f"{hyperparameters['num_leaves']} leaves fall")
        return self.inner.validate(workspace, fold, hyperparameters, seed, **more)


@dataclass(frozen=True)
class Blind(Wrapped):
    """It takes every class for as likely, on all rows or else on samples alone."""

    on_all: bool

    def validate(
        self, workspace: Any, fold: int, hyperparameters: Mapping[str, Any], seed: int, **more: Any
    ) -> Validated:
        done = self.inner.validate(workspace, fold, hyperparameters, seed, **more)
        is_blind = (more.get("n_rows") is None) == self.on_all
        return replace(done, prediction=np.full_like(done.prediction, 1 / 3)) if is_blind else done


@dataclass(frozen=True)
class Observed(Wrapped):
    """Notes each fold that is begun, with its process. The first process to come waits `slow_seconds` in each fold;
    once `dies_at` folds were begun, `deaths` processes die."""

    notes: str
    slow_seconds: float
    dies_at: int
    deaths: int

    def validate(
        self, workspace: Any, fold: int, hyperparameters: Mapping[str, Any], seed: int, **more: Any
    ) -> Validated:
        notes = Path(self.notes)
        with (notes / "folds").open("a") as file:
            file.write(f"{os.getpid()}\n")
        n_begun = len((notes / "folds").read_text().splitlines())
        if n_begun > self.dies_at and any(first(notes / f"died-{n}") for n in range(self.deaths)):
            os.kill(os.getpid(), signal.SIGKILL)
        first(notes / "slow")
        if self.slow_seconds and (notes / "slow").read_text() == str(os.getpid()):
            time.sleep(self.slow_seconds)
        return self.inner.validate(workspace, fold, hyperparameters, seed, **more)


def first(path: Path) -> bool:
    """Whether this call is the first of all processes; the file keeps which."""
    try:
        with path.open("x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return False
    return True
