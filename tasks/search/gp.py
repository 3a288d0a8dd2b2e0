"""Bayesian search by a Gaussian process; Optuna's GPSampler, which needs PyTorch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import GPSampler
from optuna.trial import FrozenTrial
from pydantic import Field

from tasks.refusal import Refusal
from tasks.search import Space
from tasks.search.sampled import Sampled


@dataclass(frozen=True)
class GaussianProcess:
    """A Gaussian process (Matern 5/2, a length scale for each hyperparameter) over all dimensions, those of every
    family too, which are therefore proposed in every trial; the point of the greatest log expected improvement
    (Ament et al. 2023) is tried next.

    Raises:
        Refusal: where PyTorch is not installed.
    """

    n_startup_trials: Annotated[int, Field(ge=1)]
    deterministic_objective: bool

    def __post_init__(self) -> None:
        if find_spec("torch") is None:
            raise Refusal(
                "search=gp needs PyTorch: `pip install torch` (its CPU build is enough), "
                "or search=bayesian, which needs nothing more."
            )

    def ask(
        self, space: Space, view: Sequence[FrozenTrial], seed: int, *, is_higher_better: bool
    ) -> FrozenTrial | None:
        # Another seed proposes nearly the same again, after a fit that takes a second.
        sampled = Sampled(self._sampler, is_flat=True, n_attempts=2)
        return sampled.ask(space, view, seed, is_higher_better=is_higher_better)

    def n_trials(self, space: Space, requested: int) -> int:
        return requested

    def _sampler(self, seed: int) -> GPSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return GPSampler(
                seed=seed,
                n_startup_trials=self.n_startup_trials,
                deterministic_objective=self.deterministic_objective,
                warn_independent_sampling=False,
            )
