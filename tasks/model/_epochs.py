"""Training stacked nets epoch by epoch: the same computation for one net and for many.

Notation as in tasks/model/_net.py. Every net has rows, a shuffle (tasks/model/_batches.py), a dropout and an early
stopping of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from tasks.model import Curve, OutOfTimeError
from tasks.model._batches import Batches, Rehearsal, Rows, padded
from tasks.model._device import one_thread
from tasks.model._learner import Learner, Tuning
from tasks.model._loss import RowLosses
from tasks.model._net import Shape, outputs
from tasks.optimizer import Optimizer

EXPLODED = 1e6  # a cost that no target has: those of a regression are scaled to a variance of one
CHUNK = 8192  # rows that are evaluated at once
TELLING = 0.75  # of the epochs of a schedule
STEPS_OF_A_LOOK = 256  # after which the clock is looked at within an epoch
SCHEDULES: dict[str, Callable[[float], float]] = {  # the share of the learning rate, of the share of all steps done
    "none": lambda done: 1.0,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * min(1.0, done))),
    # Smith and Topin 2018: up for three tenths, then down to nothing
    "one_cycle": lambda done: 0.5 * (1 - math.cos(math.pi * done / 0.3)) if done < 0.3
    else 0.5 * (1 + math.cos(math.pi * (min(1.0, done) - 0.3) / 0.7)),
}


class Begins(Protocol):
    """What a net begins as."""

    def parameters(self, shape: Shape, generator: torch.Generator) -> dict[str, Tensor]:
        """Names and sizes as the shape has them."""
        ...


@dataclass(frozen=True)
class Score:
    """Of a net on its validation rows after an epoch: the watched value, and the cost."""

    value: float
    cost: float


@dataclass(frozen=True)
class Job:
    """One net: what it is trained on, by which losses, and how good its outputs for the validation rows are; None: it
    has none, and ends after the last epoch."""

    shape: Shape
    start: Begins
    losses: RowLosses
    train: Rows
    valid: Rows | None = None
    score: Callable[[Tensor], Score] | None = None


@dataclass(frozen=True)
class Plan:
    """How nets are trained. n_steps: of an epoch, at least. is_higher_better: of the score. tuning: of nets that begin
    as a base; None: everything is trained."""

    optimizer: Optimizer
    learning_rate: float
    weight_decay: float
    n_steps: int
    epochs: int
    patience: int
    schedule: str
    dropout: float
    activation: str
    is_higher_better: bool
    seed: int
    tuning: Tuning | None = None
    rehearsal: Rehearsal[Rows] | None = None


@dataclass
class Progress:
    """One net's best epoch so far; `net` is its parameters then, of which `n_trained` were trained; `adapters` what of
    them was merged into it, and the head, where it has adapters."""

    curve: list[tuple[int, float]] = field(default_factory=list)
    costs: list[tuple[int, float]] = field(default_factory=list)
    epoch: int = 0
    value: float = math.nan
    net: dict[str, Tensor] = field(default_factory=dict)
    n_trained: int = 0
    adapters: dict[str, Tensor] = field(default_factory=dict)

    def keep(self, learner: Learner, place: int) -> None:
        """The net in that place, as it is now."""
        self.net, self.adapters, self.n_trained = learner.net(place), learner.adapters(place), learner.n_trained

    def note(self, epoch: int, score: Score, plan: Plan) -> bool:
        """Whether it is the best so far."""
        value = score.value
        self.curve.append((epoch, value))
        self.costs.append((epoch, score.cost))
        is_best = not self.epoch or (value > self.value if plan.is_higher_better else value < self.value)
        if is_best:
            self.epoch, self.value = epoch, value
        return is_best


@dataclass(frozen=True)
class Team:
    """Nets of one plan, such as the folds of a trial. `watch` sees the curves of all after every epoch; what it raises
    ends them."""

    jobs: Sequence[Job]
    plan: Plan
    watch: Callable[[Sequence[Curve]], None]


def train(jobs: Sequence[Job], plan: Plan, watch: Callable[[Sequence[Curve]], None]) -> list[Progress]:
    """Trains a net for each job, all together; `watch` sees the curves of all after every epoch, and what it raises
    ends them all.

    Raises:
        ValueError: when the cost is no number any more, or explodes.
    """
    (done,) = train_teams([Team(jobs, plan, watch)])
    if isinstance(done, Exception):
        raise done
    return done


def train_teams(teams: Sequence[Team]) -> list[list[Progress] | Exception]:
    """Trains the nets of several teams together, and gives in the place of a team what its watch raised or how its cost
    exploded, which ends no other.

    teams: their nets have the same shapes and, job by job, as many rows; their plans differ in learning rate, weight
    decay, dropout, schedule, epochs and patience alone.
    """
    every = [[Progress() for _ in team.jobs] for team in teams]
    ended: dict[int, Exception] = {}

    def look() -> None:
        for t in dict.fromkeys(t for t, _ in course.nets):
            teams[t].watch([() for _ in teams[t].jobs])

    with one_thread:
        course = _Course(teams)
        for epoch in range(1, max(team.plan.epochs for team in teams) + 1):
            try:
                costs = course.run(epoch, look)
            except OutOfTimeError as error:  # what is done stays so
                ended |= {t: error for t, _ in course.nets}
                break
            for (t, _), cost in zip(course.nets, costs, strict=True):
                if not cost < EXPLODED:  # NaN isn't either
                    ended.setdefault(t, _exploded(teams[t].plan, epoch, cost))
            if not course.keep([(t, k) for t, k in course.nets if t not in ended]):
                break
            for place, ((t, k), score) in enumerate(zip(course.nets, course.scores(), strict=True)):
                if every[t][k].note(epoch, score, teams[t].plan):
                    every[t][k].keep(course.learner, place)
            course.keep([(t, k) for t, k in course.nets if epoch - every[t][k].epoch < teams[t].plan.patience])
            for t in dict.fromkeys(t for t, _ in course.nets):
                try:
                    teams[t].watch([one.curve if _is_telling(teams[t].plan, epoch) else () for one in every[t]])
                except Exception as error:
                    ended[t] = error
            if not course.keep([(t, k) for t, k in course.nets if t not in ended and epoch < teams[t].plan.epochs]):
                break
    return [ended.get(t, done) for t, done in enumerate(every)]


def _is_telling(plan: Plan, epoch: int) -> bool:
    """While a schedule still holds the learning rate up, a curve says little of where it ends: it is kept back."""
    return plan.schedule == "none" or epoch >= TELLING * plan.epochs


def _exploded(plan: Plan, epoch: int, cost: float) -> ValueError:
    unit = "" if plan.tuning is None else ", unless the target is in another unit than the base's"
    return ValueError(f"the cost was {cost:.3g} in epoch {epoch} at learning_rate={plan.learning_rate:.3g} "
                      f"(optimizer={plan.optimizer.name}): a smaller learning rate may hold it{unit}")


def train_whole(
    nets: Sequence[tuple[Job, Plan]], n_epochs: int, watch: Callable[[], None], ending: type[Exception],
    n_threads: int = 1,
) -> list[Progress]:
    """Nets without validation rows after so many of their plans' epochs, or after the one in which `ending` was raised;
    none has a curve. Each learns in one thread, `n_threads` at a time."""
    courses = [_Course([Team([job], plan, lambda curves: None)]) for job, plan in nets]
    with one_thread, ThreadPoolExecutor(min(n_threads, len(nets)), thread_name_prefix="finefold-nets") as pool:
        for epoch in range(1, n_epochs + 1):
            costs = pool.map(_Course.run, courses, repeat(epoch), repeat(lambda: None))
            for course, (cost,) in zip(courses, costs, strict=True):
                if not cost < EXPLODED:
                    raise _exploded(course.plan, epoch, cost)
            try:
                watch()
            except ending:
                break
    every = [Progress(epoch=epoch) for _ in nets]
    for done, course in zip(every, courses, strict=True):
        done.keep(course.learner, 0)
    return every


class _Course:
    """Nets in training: what learns, its batches, and each net's own random numbers. nets: the team of each, and which
    job of that it is."""

    def __init__(self, teams: Sequence[Team]) -> None:
        self.nets = [(t, k) for t, team in enumerate(teams) for k in range(len(team.jobs))]
        self.jobs = [job for team in teams for job in team.jobs]
        self.plans = [team.plan for team in teams for _ in team.jobs]
        self.plan, like = teams[0].plan, self.jobs[0].train.numbers
        self.are_paces_own = len({_pace(plan) for plan in self.plans}) > 1
        seeds = np.random.SeedSequence(self.plan.seed).generate_state(4, np.uint64).tolist()
        # All nets begin with the same seeds: a fold's net is what a fit on its training rows gives.
        begins = [_generator(seeds[0], torch.device("cpu")) for _ in self.jobs]
        nets = [job.start.parameters(job.shape, its) for job, its in zip(self.jobs, begins, strict=True)]
        self.dropouts = {k: _generator(seeds[2], like.device) for _, k in self.nets}
        shuffles = seeds[1], seeds[3]
        self.batches = Batches([job.train for job in self.jobs], self.plan.n_steps, shuffles, self.plan.rehearsal)
        self.valid = None if self.jobs[0].valid is None else padded([job.valid for job in self.jobs if job.valid])
        rate, decays = self.plan.learning_rate, [plan.weight_decay for plan in self.plans]
        self.learner = Learner(
            nets, self.plan.optimizer, 1.0 if self.are_paces_own else rate, decays, self.plan.tuning, like, begins
        )
        self._share_dropout()

    def run(self, epoch: int, look: Callable[[], None]) -> list[float]:
        """One epoch; the mean cost of each net."""
        learner, shape = self.learner, self.jobs[0].shape
        learner.begin(epoch)
        costs = learner.stack.flat.new_zeros(len(self.jobs))
        rates = self._rates(epoch)
        for step, (rows, n_rows) in enumerate(self.batches.epoch()):
            learner.stack.gradient.zero_()
            masks = self._masks(n_rows, rows.y.shape[1]) if any(plan.dropout for plan in self.plans) else ()
            parameters = learner.parameters()
            raw = outputs(parameters, shape, self.plan.activation, rows.numbers, rows.levels, masks)
            # Summed over nets, so that each net's gradient is its own; within a net the mean over the batch.
            cost = (self._losses(raw, rows.y) * rows.weight).sum(1)
            (cost.sum() + learner.pull(parameters)).backward()
            learner.step(rates[step])
            costs += cost.detach()
            if self.valid and step % STEPS_OF_A_LOOK == STEPS_OF_A_LOOK - 1:
                look()
        return [float(cost) for cost in (costs / self.plan.n_steps).tolist()]

    def _rates(self, epoch: int) -> list[float] | Tensor:
        """The learning rate in each step: (S,) of all nets, or (S, M) where they have their own."""
        n_steps = self.plan.n_steps

        def course(plan: Plan) -> list[float]:
            share = SCHEDULES[plan.schedule]
            return [plan.learning_rate * share((epoch - 1 + step / n_steps) / plan.epochs) for step in range(n_steps)]

        if not self.are_paces_own:
            return course(self.plan)
        of_plans = {_pace(plan): course(plan) for plan in self.plans}
        rates = np.array([of_plans[_pace(plan)] for plan in self.plans])
        return torch.from_numpy(rates.T).to(self.learner.stack.flat)

    def _losses(self, raw: Tensor, y: Tensor) -> Tensor:
        """(M, B): by one call where all nets have the same losses; in another scale of the target each has its own."""
        first = self.jobs[0].losses
        if all(job.losses is first for job in self.jobs):
            return first(raw, y)
        return torch.cat([job.losses(raw[k : k + 1], y[k : k + 1]) for k, job in enumerate(self.jobs)])

    def scores(self) -> list[Score]:
        """How good each net is on its validation rows."""
        assert self.valid is not None
        raw = evaluated(self.learner.parameters(), self.jobs[0].shape, self.plan.activation, self.valid)
        judges = [(job.valid, job.score) for job in self.jobs]
        return [score(raw[k, : len(rows.y)]) for k, (rows, score) in enumerate(judges) if rows and score]

    def keep(self, nets: Sequence[tuple[int, int]]) -> bool:
        """Goes on with these of the nets; whether there are any."""
        if len(nets) < len(self.nets):
            places = [self.nets.index(net) for net in nets]
            self.nets = list(nets)
            self.jobs, self.plans = [self.jobs[k] for k in places], [self.plans[k] for k in places]
            if places:
                self.learner.drop(places)
                self.batches.of(places)
                self.valid = self.valid and self.valid.of(places)
                self._share_dropout()
        return bool(nets)

    def _share_dropout(self) -> None:
        """Nets that are the same job of several teams share the numbers drawn, which would be the same for each."""
        flat, drawn = self.learner.stack.flat, list(dict.fromkeys(k for _, k in self.nets))
        self.drawn = [(k, [job for _, job in self.nets].index(k)) for k in drawn]  # and whose rows there are as many of
        self.kept = flat.new_tensor([1 - plan.dropout for plan in self.plans])[:, None, None]
        self.owners = torch.tensor([drawn.index(k) for _, k in self.nets], device=flat.device)

    def _masks(self, n_rows: Sequence[int], width: int) -> Iterator[Tensor]:
        """What dropout leaves of each hidden layer, scaled up to the same mean."""
        shape = self.jobs[0].shape
        for _ in range(shape.layers):
            mask = self.learner.stack.flat.new_zeros(len(self.drawn), width, shape.width)
            for place, (k, net) in enumerate(self.drawn):
                mask[place, : n_rows[net]].uniform_(generator=self.dropouts[k])  # bernoulli_ takes twice as long
            mask = mask if len(self.drawn) == len(self.nets) else mask[self.owners]
            yield mask.lt_(self.kept).div_(self.kept)


def _pace(plan: Plan) -> tuple[float, float, str, int]:
    """What decides how fast a net learns."""
    return plan.learning_rate, plan.weight_decay, plan.schedule, plan.epochs


def evaluated(parameters: dict[str, Tensor], shape: Shape, activation: str, rows: Rows) -> Tensor:
    """(M, n, O) without dropout and gradients."""
    with torch.no_grad():
        return torch.cat([
            outputs(parameters, shape, activation, rows.numbers[:, part], rows.levels[:, part])
            for part in (slice(begin, begin + CHUNK) for begin in range(0, max(1, rows.numbers.shape[1]), CHUNK))
        ], dim=1)  # fmt: skip


def _generator(seed: int, device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(seed % 2**63)
