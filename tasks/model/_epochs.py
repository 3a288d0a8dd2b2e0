"""Training stacked nets epoch by epoch: the same computation for one net and for many.

Notation as in tasks/model/_net.py. Every net has rows, a shuffle (tasks/model/_batches.py), a dropout and an early
stopping of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from tasks.model import Curve
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
    """One net's best epoch so far; `net` is its parameters then, of which `n_trained` were trained."""

    curve: list[tuple[int, float]] = field(default_factory=list)
    costs: list[tuple[int, float]] = field(default_factory=list)
    epoch: int = 0
    value: float = math.nan
    net: dict[str, Tensor] = field(default_factory=dict)
    n_trained: int = 0

    def note(self, epoch: int, score: Score, plan: Plan) -> bool:
        """Whether it is the best so far."""
        value = score.value
        self.curve.append((epoch, value))
        self.costs.append((epoch, score.cost))
        is_best = not self.epoch or (value > self.value if plan.is_higher_better else value < self.value)
        if is_best:
            self.epoch, self.value = epoch, value
        return is_best


def train(jobs: Sequence[Job], plan: Plan, watch: Callable[[Sequence[Curve]], None]) -> list[Progress]:
    """Trains a net for each job, all together; `watch` sees the curves of all after every epoch, and what it raises
    ends them all.

    Raises:
        ValueError: when the cost is no number any more, or explodes.
    """
    every, alive = [Progress() for _ in jobs], list(range(len(jobs)))
    with one_thread:
        course = _Course(jobs, plan)
        for epoch in range(1, plan.epochs + 1):
            # While a schedule still holds the learning rate up, a curve says little of where it ends: it is kept back.
            is_telling = plan.schedule == "none" or epoch >= TELLING * plan.epochs
            course.run(epoch, lambda: watch([() for _ in every]))
            alive = _look(course, every, alive, epoch)
            if not alive:
                break
            watch([one.curve if is_telling else () for one in every])
    return every


def _look(course: _Course, every: Sequence[Progress], alive: list[int], epoch: int) -> list[int]:
    """Notes how good the nets are, and goes on with those that may still become better."""
    for place, (k, score) in enumerate(zip(alive, course.scores(), strict=True)):
        if every[k].note(epoch, score, course.plan):
            every[k].net, every[k].n_trained = course.learner.net(place), course.learner.n_trained
    left = [place for place, k in enumerate(alive) if epoch - every[k].epoch < course.plan.patience]
    if 0 < len(left) < len(alive):
        course.drop(left)
    return [alive[place] for place in left]


def train_whole(
    job: Job, plan: Plan, n_epochs: int, watch: Callable[[], None], ending: type[Exception]
) -> Progress:
    """A net without validation rows after so many epochs of the plan's, or after the one in which `ending` was raised;
    it has no curve."""
    with one_thread:
        course = _Course([job], plan)
        for epoch in range(1, n_epochs + 1):
            course.run(epoch, lambda: None)
            try:
                watch()
            except ending:
                break
        return Progress(epoch=epoch, net=course.learner.net(0), n_trained=course.learner.n_trained)


class _Course:
    """Nets in training: what learns, its batches, and each net's own random numbers."""

    def __init__(self, jobs: Sequence[Job], plan: Plan) -> None:
        self.jobs, self.plan = list(jobs), plan
        like = jobs[0].train.numbers
        seeds = np.random.SeedSequence(plan.seed).generate_state(4, np.uint64).tolist()
        # All nets begin with the same seeds: a fold's net is what a fit on its training rows gives.
        begins = [_generator(seeds[0], torch.device("cpu")) for _ in jobs]
        nets = [job.start.parameters(job.shape, its) for job, its in zip(jobs, begins, strict=True)]
        self.dropouts = [_generator(seeds[2], like.device) for _ in jobs]
        self.batches = Batches([job.train for job in jobs], plan.n_steps, (seeds[1], seeds[3]), plan.rehearsal)
        self.valid = None if jobs[0].valid is None else padded([job.valid for job in jobs if job.valid])
        self.learner = Learner(
            nets, plan.optimizer, plan.learning_rate, plan.weight_decay, plan.tuning, like, begins
        )

    def run(self, epoch: int, look: Callable[[], None]) -> None:
        """One epoch."""
        learner, shape = self.learner, self.jobs[0].shape
        learner.begin(epoch)
        costs = learner.stack.flat.new_zeros(len(self.jobs))
        for step, (rows, n_rows) in enumerate(self.batches.epoch()):
            done = (epoch - 1 + step / self.plan.n_steps) / self.plan.epochs
            learner.stack.gradient.zero_()
            masks = self._masks(n_rows, rows.y.shape[1]) if self.plan.dropout else ()
            parameters = learner.parameters()
            raw = outputs(parameters, shape, self.plan.activation, rows.numbers, rows.levels, masks)
            # Summed over nets, so that each net's gradient is its own; within a net the mean over the batch.
            cost = (self._losses(raw, rows.y) * rows.weight).sum(1)
            (cost.sum() + learner.pull(parameters)).backward()
            learner.step(SCHEDULES[self.plan.schedule](done))
            costs += cost.detach()
            if self.valid and step % STEPS_OF_A_LOOK == STEPS_OF_A_LOOK - 1:
                look()
        largest = float((costs / self.plan.n_steps).max())  # NaN where any is
        if not largest < EXPLODED:
            rate, name = self.plan.learning_rate, self.plan.optimizer.name
            unit = "" if self.plan.tuning is None else ", unless the target is in another unit than the base's"
            raise ValueError(f"the cost was {largest:.3g} in epoch {epoch} at learning_rate={rate:.3g} "
                             f"(optimizer={name}): a smaller learning rate may hold it{unit}")

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

    def drop(self, keep: Sequence[int]) -> None:
        """Goes on with some of the nets."""
        self.learner.drop(keep)
        self.batches.of(keep)
        self.jobs, self.dropouts = ([old[k] for k in keep] for old in (self.jobs, self.dropouts))
        self.valid = self.valid and self.valid.of(keep)

    def _masks(self, n_rows: Sequence[int], width: int) -> Iterator[Tensor]:
        """What dropout leaves of each hidden layer, scaled up to the same mean."""
        shape, kept = self.jobs[0].shape, 1 - self.plan.dropout
        for _ in range(shape.layers):
            mask = self.learner.stack.flat.new_zeros(len(n_rows), width, shape.width)
            for k, (n, generator) in enumerate(zip(n_rows, self.dropouts, strict=True)):
                mask[k, :n].uniform_(generator=generator)  # bernoulli_ takes twice as long
            yield mask.lt_(kept).div_(kept)


def evaluated(parameters: dict[str, Tensor], shape: Shape, activation: str, rows: Rows) -> Tensor:
    """(M, n, O) without dropout and gradients."""
    with torch.no_grad():
        return torch.cat([
            outputs(parameters, shape, activation, rows.numbers[:, part], rows.levels[:, part])
            for part in (slice(begin, begin + CHUNK) for begin in range(0, max(1, rows.numbers.shape[1]), CHUNK))
        ], dim=1)  # fmt: skip


def _generator(seed: int, device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(seed % 2**63)
