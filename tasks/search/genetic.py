"""Genetic search by Optuna's NSGA-II, with a population that fits budgets of 20 to 200 trials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from optuna.samplers import NSGAIISampler, nsgaii
from optuna.trial import FrozenTrial
from pydantic import Field

from tasks.search import Space
from tasks.search.sampled import Sampled

CROSSOVERS: dict[str, Callable[[], nsgaii.BaseCrossover]] = {
    "uniform": nsgaii.UniformCrossover,
    "blx_alpha": nsgaii.BLXAlphaCrossover,
    "sbx": nsgaii.SBXCrossover,
    "undx": nsgaii.UNDXCrossover,
    "spx": nsgaii.SPXCrossover,
    "vsbx": nsgaii.VSBXCrossover,
}
GENERATION = "NSGAIISampler:generation"

Probability = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Genetic:
    """Deb et al. 2002 with one objective: binary tournaments select, the best of parents and children survive.
    Optuna's default population is 50: with fewer trials than that it is random search."""

    population: Annotated[int, Field(ge=3)] | Literal["auto"]
    selection: Literal["tournament"]
    crossover: Literal["uniform", "blx_alpha", "sbx", "undx", "spx", "vsbx"]
    crossover_probability: Probability
    swapping_probability: Probability
    mutation_probability: Probability | None
    fitness: Literal["metric"]

    def ask(
        self, space: Space, view: Sequence[FrozenTrial], seed: int, *, is_higher_better: bool
    ) -> FrozenTrial | None:
        return Sampled(self._sampler, is_flat=True).ask(space, view, seed, is_higher_better=is_higher_better)

    def n_trials(self, space: Space, requested: int) -> int:
        return requested

    def _sampler(self, seed: int) -> NSGAIISampler:
        assert self.population != "auto"  # settled when the study begins, see fitting_population
        return NSGAIISampler(
            population_size=self.population,
            crossover=CROSSOVERS[self.crossover](),
            crossover_prob=self.crossover_probability,
            swapping_prob=self.swapping_probability,
            mutation_prob=self.mutation_probability,
            seed=seed,
        )


def generation(trial: FrozenTrial) -> int | None:
    """The generation a trial was proposed in; None for a search that has none."""
    value = trial.system_attrs.get(GENERATION)
    return None if value is None else int(value)


def fitting_population(trials: int) -> int:
    """A quarter of the trials, so that there are about four generations, between 4 and 16."""
    return max(4, min(16, trials // 4))
