"""Training stacked nets epoch by epoch: the same computation for one net and for many.

Notation as in tasks/model/_net.py; S: steps of an epoch. Every net has rows, a shuffle, a dropout and an early
stopping of its own. Each of its S batches holds nearly equally many of its rows; where others are larger by one, a row
without weight fills it up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from tasks.model import Curve
from tasks.model._device import one_thread
from tasks.model._loss import RowLosses
from tasks.model._net import Shape, Stack, Start, outputs
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


@dataclass(frozen=True)
class Rows:
    """numbers: (n, N + F); levels: (n, C); y: (n,) class codes or the scaled target; weight: (n,). Of several nets each
    is (M, n, ...)."""

    numbers: Tensor
    levels: Tensor
    y: Tensor
    weight: Tensor

    def of(self, keep: Sequence[int]) -> Rows:
        """The rows of some of the nets."""
        nets = list(keep)
        return Rows(self.numbers[nets], self.levels[nets], self.y[nets], self.weight[nets])


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
    start: Start
    losses: RowLosses
    train: Rows
    valid: Rows | None = None
    score: Callable[[Tensor], Score] | None = None


@dataclass(frozen=True)
class Plan:
    """How nets are trained. n_steps: of an epoch, at least. is_higher_better: of the score."""

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


@dataclass
class Progress:
    """One net's best epoch so far; `net` is its parameters then."""

    curve: list[tuple[int, float]] = field(default_factory=list)
    costs: list[tuple[int, float]] = field(default_factory=list)
    epoch: int = 0
    value: float = math.nan
    net: dict[str, Tensor] = field(default_factory=dict)

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
            every[k].net = course.stack.net(place)
    left = [place for place, k in enumerate(alive) if epoch - every[k].epoch < course.plan.patience]
    if 0 < len(left) < len(alive):
        course.drop(left)
    return [alive[place] for place in left]


def train_whole(
    job: Job, plan: Plan, n_epochs: int, watch: Callable[[], None], ending: type[Exception]
) -> dict[str, Tensor]:
    """The parameters of a net without validation rows after so many epochs of the plan's, or after the one in which
    `ending` was raised."""
    with one_thread:
        course = _Course([job], plan)
        for epoch in range(1, n_epochs + 1):
            course.run(epoch, lambda: None)
            try:
                watch()
            except ending:
                break
        return course.stack.net(0)


class _Course:
    """Nets in training: the stack, its optimizer, and each net's own random numbers."""

    def __init__(self, jobs: Sequence[Job], plan: Plan) -> None:
        self.jobs, self.plan = list(jobs), plan
        device = jobs[0].train.numbers.device
        seeds = np.random.SeedSequence(plan.seed).generate_state(3, np.uint64).tolist()
        # All nets begin with the same seeds: a fold's net is what a fit on its training rows gives.
        nets = [job.start.parameters(job.shape, _generator(seeds[0], torch.device("cpu"))) for job in jobs]
        self.shuffles = [_generator(seeds[1], torch.device("cpu")) for _ in jobs]
        self.dropouts = [_generator(seeds[2], device) for _ in jobs]
        self.stack = Stack([job.shape for job in jobs], nets, jobs[0].train.numbers)
        self.train = _padded([job.train for job in jobs])
        self.valid = None if jobs[0].valid is None else _padded([job.valid for job in jobs if job.valid])
        self.optimizer = plan.optimizer.make(self.stack.flat, plan.learning_rate, plan.weight_decay)

    def run(self, epoch: int, look: Callable[[], None]) -> None:
        """One epoch."""
        costs = self.stack.flat.new_zeros(len(self.jobs))
        for step, (rows, n_rows) in enumerate(self._batches()):
            done = (epoch - 1 + step / self.plan.n_steps) / self.plan.epochs
            self.optimizer.param_groups[0]["lr"] = self.plan.learning_rate * SCHEDULES[self.plan.schedule](done)
            self.stack.gradient.zero_()
            masks = self._masks(n_rows, rows.y.shape[1]) if self.plan.dropout else ()
            raw = outputs(
                self.stack.tensors, self.jobs[0].shape, self.plan.activation, rows.numbers, rows.levels, masks
            )
            # Summed over nets, so that each net's gradient is its own; within a net the mean over the batch.
            cost = (self._losses(raw, rows.y) * rows.weight).sum(1)
            cost.sum().backward()
            self.optimizer.step()
            costs += cost.detach()
            if self.valid and step % STEPS_OF_A_LOOK == STEPS_OF_A_LOOK - 1:
                look()
        largest = float((costs / self.plan.n_steps).max())  # NaN where any is
        if not largest < EXPLODED:
            rate, name = self.plan.learning_rate, self.plan.optimizer.name
            raise ValueError(f"the cost was {largest:.3g} in epoch {epoch} at learning_rate={rate:.3g} "
                             f"(optimizer={name}): a smaller learning rate may hold it")

    def _losses(self, raw: Tensor, y: Tensor) -> Tensor:
        """(M, B): by one call where all nets have the same losses; in another scale of the target each has its own."""
        first = self.jobs[0].losses
        if all(job.losses is first for job in self.jobs):
            return first(raw, y)
        return torch.cat([job.losses(raw[k : k + 1], y[k : k + 1]) for k, job in enumerate(self.jobs)])

    def scores(self) -> list[Score]:
        """How good each net is on its validation rows."""
        assert self.valid is not None
        raw = evaluated(self.stack.tensors, self.jobs[0].shape, self.plan.activation, self.valid)
        judges = [(job.valid, job.score) for job in self.jobs]
        return [score(raw[k, : len(rows.y)]) for k, (rows, score) in enumerate(judges) if rows and score]

    def drop(self, keep: Sequence[int]) -> None:
        """Goes on with some of the nets."""
        self.stack.drop(keep, self.optimizer)
        self.jobs, self.shuffles, self.dropouts = (
            [old[k] for k in keep] for old in (self.jobs, self.shuffles, self.dropouts)
        )
        self.train, self.valid = self.train.of(keep), self.valid and self.valid.of(keep)

    def _batches(self) -> Iterator[tuple[Rows, list[int]]]:
        """Batches of all nets, (M, B, ...), their weights divided by the rows of the batch; and how many rows each net
        has in it."""
        places = self._places()
        is_row = places >= 0
        n_rows = is_row.sum(2, keepdim=True)
        first = len(self.train.y[0]) * torch.arange(len(self.jobs))[:, None]
        rows = (places.clamp_min(0) + first).to(self.train.y.device)
        share = (is_row / n_rows.clamp_min(1)).to(self.train.weight)
        flat = [part.flatten(0, 1) for part in (self.train.numbers, self.train.levels, self.train.y, self.train.weight)]
        for step, n_rows_of_step in enumerate(n_rows[:, :, 0].tolist()):
            numbers, levels, y, weight = (part[rows[step]] for part in flat)
            yield Rows(numbers, levels, y, weight * share[step]), n_rows_of_step

    def _places(self) -> Tensor:
        """(S, M, B): the rows of each batch, shuffled; -1 where a net has fewer than another."""
        n_steps = self.plan.n_steps
        every = [_chunks(len(job.train.y), n_steps, its) for job, its in zip(self.jobs, self.shuffles, strict=True)]
        places = torch.full((n_steps, len(every), max(one.shape[1] for one in every)), -1)
        for k, one in enumerate(every):
            places[:, k, : one.shape[1]] = one
        return places

    def _masks(self, n_rows: Sequence[int], width: int) -> Iterator[Tensor]:
        """What dropout leaves of each hidden layer, scaled up to the same mean."""
        shape, kept = self.jobs[0].shape, 1 - self.plan.dropout
        for _ in range(shape.layers):
            mask = self.stack.flat.new_zeros(len(n_rows), width, shape.width)
            for k, (n, generator) in enumerate(zip(n_rows, self.dropouts, strict=True)):
                mask[k, :n].uniform_(generator=generator)  # bernoulli_ takes twice as long
            yield mask.lt_(kept).div_(kept)


def steps(n_rows: int, batch_size: int) -> int:
    """Steps of an epoch; a batch larger than the rows is all of them."""
    return max(1, math.ceil(n_rows / batch_size))


def evaluated(parameters: dict[str, Tensor], shape: Shape, activation: str, rows: Rows) -> Tensor:
    """(M, n, O) without dropout and gradients."""
    with torch.no_grad():
        return torch.cat([
            outputs(parameters, shape, activation, rows.numbers[:, part], rows.levels[:, part])
            for part in (slice(begin, begin + CHUNK) for begin in range(0, max(1, rows.numbers.shape[1]), CHUNK))
        ], dim=1)  # fmt: skip


def _chunks(n_rows: int, n_steps: int, generator: torch.Generator) -> Tensor:
    """(n_steps, B): shuffled rows in nearly equal parts, -1 where one is short."""
    shuffled = torch.randperm(n_rows, generator=generator)
    short, n_long = divmod(n_rows, n_steps)
    width = short + (n_long > 0)
    places = torch.full((n_steps, width), -1)
    places[:n_long] = shuffled[: n_long * width].view(n_long, width)
    places[n_long:, :short] = shuffled[n_long * width :].view(n_steps - n_long, short)
    return places


def _padded(every: Sequence[Rows]) -> Rows:
    """(M, n, ...): the rows of each net, then zeros up to the longest."""
    n = max(len(rows.y) for rows in every)
    n_numbers = max(rows.numbers.shape[1] for rows in every)

    def stacked(tensors: Sequence[Tensor], *size: int) -> Tensor:
        whole = tensors[0].new_zeros(len(tensors), n, *size)
        for k, tensor in enumerate(tensors):
            whole[k][tuple(slice(length) for length in tensor.shape)] = tensor
        return whole

    return Rows(
        stacked([rows.numbers for rows in every], n_numbers),
        stacked([rows.levels for rows in every], every[0].levels.shape[1]),
        stacked([rows.y for rows in every]),
        stacked([rows.weight for rows in every]),
    )


def _generator(seed: int, device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(seed % 2**63)
