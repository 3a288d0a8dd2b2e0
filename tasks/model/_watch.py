"""Watches: what sees a model grow, and ends that when its time is over."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

Curve = Sequence[tuple[int, float]]  # (round, watched metric on the validation rows)
SLACK = 0.9  # of the time that is left: what the rounds that are left may take at the pace of the last ones


class OutOfTimeError(Exception):
    """Raised by a watch when no time is left."""


class Watch(Protocol):
    """Sees a model grow, and ends that by raising."""

    def __call__(self, curve: Curve) -> None:
        """Called after every round with the curve so far, empty where the family watches another metric than the one
        that trials are selected on, or where the curve doesn't tell yet how it goes on.

        Raises:
            OutOfTimeError: when no time is left. A fold ends so, a final fit stays as far as it has come.
        """
        ...


def unwatched(curve: Curve) -> None:
    """A watch that lets everything grow to its end."""


@dataclass
class Until:
    """A watch that ends what grows at a time (Unix time in seconds; None: never) or after so many rounds, and counts
    these."""

    deadline: float | None
    most_rounds: int | None = None
    n_rounds: int = 0
    is_over: bool = False

    def __call__(self, curve: Curve) -> None:
        self.n_rounds += 1
        self.is_over = self.deadline is not None and time.time() > self.deadline
        self.is_over |= self.most_rounds is not None and self.n_rounds >= self.most_rounds
        if self.is_over:
            raise OutOfTimeError


@dataclass
class Paced(Until):
    """The same of a final fit, which rather takes fewer and larger steps than be ended in its middle.

    hurried: by the rounds after which it did so, how many there was time for in the place of all that were left; where
    an earlier run's fit is gone through again, without a deadline, what these were.
    """

    hurried: dict[int, int] = field(default_factory=dict)
    looked: tuple[int, float] | None = None  # last, after which round and when

    def ends(self, planned: int) -> int:
        """After how many of the planned rounds a fit ends that was hurried so."""
        return max(self.hurried) + self.hurried[max(self.hurried)] if self.hurried else planned

    def left(self, n: int) -> int:
        """Of `n` rounds that are left as many as there is time for at the pace since the last look, one at least."""
        if self.deadline is None:
            return self.hurried.get(self.n_rounds, n)
        now = time.time()
        before, self.looked = self.looked, (self.n_rounds, now)
        if before is None:
            return n
        pace, seconds = (now - before[1]) / (self.n_rounds - before[0]), max(0.0, self.deadline - now)
        if n * pace <= seconds:
            return n
        self.hurried[self.n_rounds] = max(1, int(SLACK * seconds / pace))
        return self.hurried[self.n_rounds]


def rounds_left(watch: Watch, n: int) -> int:
    """Of `n` rounds that are left those that a watch has time for, if it tells."""
    return watch.left(n) if isinstance(watch, Paced) else n
