"""Genetic search for 20 to 200 trials: a small population, seeded with known good settings, and a step that adapts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, Literal

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState
from pydantic import Field

from tasks.search import Space, _draw, excess
from tasks.search._cross import CROSSOVERS
from tasks.search._range import Numeric, from_unit, inside, to_unit
from tasks.search.random import Random

GENERATION = "finefold:generation"
FAMILY_CHANCE = 0.1  # that a child's family is drawn anew, so that none is given up for one bad start

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class Individual:
    """A told trial: its family, and its genes, one for each free hyperparameter. A numeric gene lies in 0..1."""

    family: str
    genes: Mapping[str, Any]


@dataclass(frozen=True)
class Genetic:
    """A (mu + 1) evolution with mu = `population`: each child has two parents, drawn by tournaments from the best mu
    of all told trials (so nothing good is ever lost, and failed trials are no parents), which are crossed and mutated.
    A child thus learns from every trial that was told before it, not only from the last full generation: with 30
    trials there is no time to wait for one. Generations of `population` children are counted for the eye.

    A mutation is Gaussian in unit coordinates. Its step is the spread of the parents in that hyperparameter, so that it
    shrinks as they agree (the operators that Beyer and Deb 2001 call self-adaptive do so too), but at first at least
    `mutation_step`, which shrinks from generation to generation: known good settings agree in what they don't name.
    """

    population: Annotated[int, Field(ge=3)] | Literal["auto"]
    selection: Literal["tournament"]
    crossover: Literal["uniform", "blx_alpha", "sbx"]
    crossover_probability: Probability
    mutation: Literal["gaussian"]
    mutation_probability: Probability | None
    mutation_step: Positive
    mutation_shrink: Annotated[float, Field(gt=0, le=1)]
    fitness: Literal["metric"]

    def ask(
        self, space: Space, view: Sequence[FrozenTrial], seed: int, *, is_higher_better: bool
    ) -> FrozenTrial | None:
        assert self.population != "auto"  # settled when the study begins, see fitting_population
        number, firsts = len(view), space.firsts()
        n_in_first = max(self.population, len(firsts))
        told = _ranked(space, view, is_higher_better)
        generation = 0 if number < n_in_first else 1 + (number - n_in_first) // self.population
        if generation == 0 or len(told) < 2:
            born = Random("sobol").draws(space, view, seed)
        else:
            least = self.mutation_step * self.mutation_shrink ** (generation - 1)
            born = self._children(space, told, seed, number, least)
        candidates = chain(firsts[number : number + 1], born, _draw.at_random(space, seed, number))
        params = space.first_new(view, candidates)
        return None if params is None else space.trial(params, {GENERATION: generation})

    def n_trials(self, space: Space, requested: int) -> int:
        return requested

    def _children(
        self, space: Space, told: Sequence[Individual], seed: int, number: int, least: float
    ) -> Iterator[dict[str, Any]]:
        for attempt in range(_draw.N_ATTEMPTS):
            rng = np.random.default_rng([seed, number, attempt])
            yield self._child(space, told, least, rng)

    def _child(
        self, space: Space, told: Sequence[Individual], least: float, rng: np.random.Generator
    ) -> dict[str, Any]:
        """told: best first. least: the least step of a mutation. The family is a gene too: the first parent's, or by
        mutation any."""
        assert self.population != "auto"
        family = _tournament(told[: self.population], rng).family
        if rng.random() < FAMILY_CHANCE:
            family = list(space.families)[int(rng.integers(len(space.families)))]
        free = space.families[family].free
        parents = [one for one in told if one.family == family][: self.population]
        if len(parents) < 2:
            return space.params(family, _draw.setting(space.families[family], rng, {}))
        genes = self._crossed(parents, free, rng)
        genes = self._mutated(genes, parents, free, least, rng)
        values = {key: from_unit(it, genes[key]) if isinstance(it, Numeric) else genes[key] for key, it in free.items()}
        return space.params(family, {k: v for k, v in values.items() if space.families[family].is_searched(k, values)})

    def _crossed(
        self, parents: Sequence[Individual], free: Mapping[str, BaseDistribution], rng: np.random.Generator
    ) -> dict[str, Any]:
        one, other = _tournament(parents, rng), _tournament(parents, rng)
        if rng.random() >= self.crossover_probability:
            return dict(one.genes)
        cross = CROSSOVERS[self.crossover]
        return {
            key: cross(one.genes[key], other.genes[key], rng)
            if isinstance(it, Numeric)
            else (one, other)[int(rng.integers(2))].genes[key]
            for key, it in free.items()
        }

    def _mutated(
        self,
        genes: Mapping[str, Any],
        parents: Sequence[Individual],
        free: Mapping[str, BaseDistribution],
        least: float,
        rng: np.random.Generator,
    ) -> dict[str, Any]:
        """At least one gene mutates: a child that is a parent's copy would teach nothing."""
        chosen = rng.random(len(free)) < self._chance(len(free))
        if free and not chosen.any():
            chosen[int(rng.integers(len(free)))] = True
        mutated = dict(genes)
        for key in (key for key, is_chosen in zip(free, chosen, strict=True) if is_chosen):
            if isinstance(free[key], Numeric):
                step = max(least, float(np.std([parent.genes[key] for parent in parents])))
                mutated[key] = _reflected(genes[key] + step * rng.standard_normal())
            else:
                mutated[key] = _draw.value(free[key], rng)
        return mutated

    def _chance(self, n_genes: int) -> float:
        return 1 / max(1, n_genes) if self.mutation_probability is None else self.mutation_probability


def generation(trial: FrozenTrial) -> int | None:
    """The generation a trial was proposed in; None for a search that has none."""
    value = trial.system_attrs.get(GENERATION)
    return None if value is None else int(value)


def fitting_population(trials: int) -> int:
    """A sixth of the trials, between 4 and 16: at 40 trials 6 parents came nearer to the optimum than 4 or 10 did."""
    return max(4, min(16, trials // 6))


def _ranked(space: Space, view: Sequence[FrozenTrial], is_higher_better: bool) -> list[Individual]:
    """The complete trials of the view, best first, of equals the earlier one. What exceeds a limit is worse than all
    that hold them, and the worse the more it does so (Deb 2000)."""
    told = [trial for trial in view if trial.state == TrialState.COMPLETE and trial.value is not None]
    told.sort(key=lambda trial: -(trial.value or 0.0) if is_higher_better else (trial.value or 0.0))
    told.sort(key=excess)
    return [_individual(space, trial) for trial in told]


def _individual(space: Space, trial: FrozenTrial) -> Individual:
    family, values = space.setting(trial.params)
    one = space.families[family]
    values = {**one.start, **values}  # what was not searched beside the others has the gene of its start
    numeric = {key: to_unit(it, inside(it, values[key])) for key, it in one.free.items() if isinstance(it, Numeric)}
    return Individual(family, {**values, **numeric})


def _reflected(u: float) -> float:
    """Within 0..1: what goes beyond an end comes back by as much, so that no end draws more than its share."""
    return 1 - abs(1 - abs(u) % 2)


def _tournament(ranked: Sequence[Individual], rng: np.random.Generator) -> Individual:
    """The fitter one of two, drawn from those given best first."""
    return ranked[int(rng.integers(len(ranked), size=2).min())]
