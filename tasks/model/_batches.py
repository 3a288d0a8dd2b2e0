"""Rows of stacked nets in shuffled batches, each net's in an order of its own.

Notation as in tasks/model/_net.py; S: steps of an epoch. Each of a net's S batches holds nearly equally many of its
rows; where those of others are larger by one, a row without weight fills it up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """numbers: (n, N + F); levels: (n, C); y: (n,) class codes or the scaled target; weight: (n,). Of several nets each
    is (M, n, ...)."""

    numbers: Tensor
    levels: Tensor
    y: Tensor
    weight: Tensor

    def of(self, keep: Sequence[int]) -> Rows:
        """The rows of some of the nets, or some of one net's rows."""
        places = list(keep)
        return Rows(self.numbers[places], self.levels[places], self.y[places], self.weight[places])


class HasTarget(Protocol):
    """Rows with a target, y: (n,)."""

    @property
    def y(self) -> Sized: ...


R = TypeVar("R", bound=HasTarget)


@dataclass(frozen=True)
class Rehearsal(Generic[R]):
    """Rows of the source, (n, ...), of which `n_rows` stand in every batch of every net (Robins 1995)."""

    rows: R
    n_rows: int

    @classmethod
    def of_share(cls, rows: R, share: float, n_target: int, n_steps: int) -> Self:
        """share: of a batch, beside the target's rows, of which there are as many as without rehearsal."""
        return cls(rows, max(1, round(math.ceil(n_target / n_steps) * share / (1 - share))))

    def places(self, n_steps: int, generator: torch.Generator) -> Tensor:
        """(S, n_rows): shuffled anew for every epoch, and again where there are fewer rows than are taken."""
        n_wanted, n = n_steps * self.n_rows, len(self.rows.y)
        shuffled = torch.cat([torch.randperm(n, generator=generator) for _ in range(math.ceil(n_wanted / n))])
        return shuffled[:n_wanted].view(n_steps, self.n_rows)


class Batches:
    """The training rows of stacked nets. seeds: of the shuffle of each net's rows, and of the source's."""

    def __init__(
        self, every: Sequence[Rows], n_steps: int, seeds: tuple[int, int], rehearsal: Rehearsal[Rows] | None
    ) -> None:
        self.n_rows, self.n_steps, self.rehearsal = [len(rows.y) for rows in every], n_steps, rehearsal
        self.rows = padded(every)
        self.shuffles = [_generator(seeds[0]) for _ in every]
        self.source = _generator(seeds[1])

    def of(self, keep: Sequence[int]) -> None:
        """Goes on with some of the nets."""
        self.n_rows, self.shuffles = [self.n_rows[k] for k in keep], [self.shuffles[k] for k in keep]
        self.rows = self.rows.of(keep)

    def epoch(self) -> Iterator[tuple[Rows, list[int]]]:
        """Batches of all nets, (M, B, ...), their weights divided by the rows of the batch; and how many rows each net
        has in it. Those of the source stand first."""
        places, device = self._places(), self.rows.y.device
        is_row = places >= 0
        n_rows = is_row.sum(2, keepdim=True) + (self.rehearsal.n_rows if self.rehearsal else 0)
        first = len(self.rows.y[0]) * torch.arange(len(self.n_rows))[:, None]
        rows = (places.clamp_min(0) + first).to(device)
        share = (is_row / n_rows.clamp_min(1)).to(self.rows.weight)
        flat = [part.flatten(0, 1) for part in (self.rows.numbers, self.rows.levels, self.rows.y, self.rows.weight)]
        beside = None if self.rehearsal is None else self.rehearsal.places(self.n_steps, self.source).to(device)
        for step, n_rows_of_step in enumerate(n_rows[:, :, 0].tolist()):
            numbers, levels, y, weight = (part[rows[step]] for part in flat)
            batch = Rows(numbers, levels, y, weight * share[step])
            if self.rehearsal is not None and beside is not None:
                batch = _beside(self.rehearsal.rows.of(beside[step].tolist()), batch, n_rows_of_step)
            yield batch, n_rows_of_step

    def _places(self) -> Tensor:
        """(S, M, B): the rows of each batch, shuffled; -1 where a net has fewer than another."""
        every = [_chunks(n, self.n_steps, its) for n, its in zip(self.n_rows, self.shuffles, strict=True)]
        places = torch.full((self.n_steps, len(every), max(one.shape[1] for one in every)), -1)
        for k, one in enumerate(every):
            places[:, k, : one.shape[1]] = one
        return places


def padded(every: Sequence[Rows]) -> Rows:
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


def steps(n_rows: int, batch_size: int) -> int:
    """Steps of an epoch; a batch larger than the rows is all of them."""
    return max(1, math.ceil(n_rows / batch_size))


def _beside(source: Rows, batch: Rows, n_rows: Sequence[int]) -> Rows:
    """(M, n_source + B, ...): the same rows of the source, (n_source, ...), before those of every net."""
    numbers, levels, y, weight = (
        part.expand(len(n_rows), *part.shape) for part in (source.numbers, source.levels, source.y, source.weight)
    )
    share = torch.tensor(n_rows, device=weight.device)[:, None]
    return Rows(
        torch.cat([numbers, batch.numbers], 1), torch.cat([levels, batch.levels], 1), torch.cat([y, batch.y], 1),
        torch.cat([weight / share, batch.weight], 1),
    )


def _chunks(n_rows: int, n_steps: int, generator: torch.Generator) -> Tensor:
    """(n_steps, B): shuffled rows in nearly equal parts, -1 where one is short."""
    shuffled = torch.randperm(n_rows, generator=generator)
    short, n_long = divmod(n_rows, n_steps)
    width = short + (n_long > 0)
    places = torch.full((n_steps, width), -1)
    places[:n_long] = shuffled[: n_long * width].view(n_long, width)
    places[n_long:, :short] = shuffled[n_long * width :].view(n_steps - n_long, short)
    return places


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed % 2**63)
