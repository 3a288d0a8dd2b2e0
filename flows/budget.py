"""Budget: the time that a run may take, and what of it is left for the final fit."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tasks.records import Affordable

LEAST_SHARE = 1 / 4  # of a final fit


@dataclass(frozen=True)
class Budget:
    """`seconds` from `begun` (Unix time), within which the final fit, on `n_threads`, ends too; None: without end.
    Of an earlier run that its time had ended, so that it is gone through again: course: of what its final fit was to
    be; final_rounds: after which it ended; hurried: as it was, see `Paced`; confirming: of each family the folds on
    which its best trial was judged whole after the search, completing: of each member of its ensemble, by its trial's
    number, those on which it was judged in addition, whole: those that were fitted on all rows too; None: whatever
    there is time for; is_without_ensemble: whether there was no time for the models of one;
    left_out: the trials whose models there was no time for."""

    begun: float
    seconds: float | None
    n_threads: int
    course: Affordable | None = None
    final_rounds: int | None = None
    hurried: Mapping[int, int] | None = None
    confirming: Mapping[str, Collection[int]] | None = None
    completing: Mapping[int, Collection[int]] | None = None
    whole: Collection[int] | None = None
    is_without_ensemble: bool = False
    left_out: Collection[int] = ()

    @property
    def end(self) -> float | None:
        """Unix time in seconds."""
        return None if self.seconds is None else self.begun + self.seconds

    def deadline(self, final_seconds: float, more_seconds: float = 0.0) -> float | None:
        """When the search must end so that a final fit of so many seconds on one thread can follow, and before it what
        takes `more_seconds`."""
        return None if self.end is None else self.end - final_seconds / self.speed - more_seconds

    def until(self, final_seconds: float) -> float | None:
        """When that fit is cut short: at the end of the budget, or, where the search took too long, once it has had
        half as much time again as it should need; a fit that is cut in its middle is of little use."""
        return None if self.end is None else max(self.end, time.time() + 1.5 * final_seconds / self.speed)

    def share(self, final_seconds: float) -> float:
        """Of that fit what there is time for; at least a quarter, less being of no use."""
        if self.end is None or not final_seconds:
            return 1.0
        return min(1.0, max(LEAST_SHARE, (self.end - time.time()) * self.speed / final_seconds))

    def turns(self, n_models: int) -> int:
        """How often all threads have a model each to fit, where none has use for more than one."""
        return math.ceil(n_models / self.n_threads)

    @property
    def speed(self) -> float:
        """How many times as fast the final fit is on its threads as on one."""
        # LightGBM on two threads was 1.4 to 1.6 times as fast as on one (2,000 and 50,000 rows); more bring ever less.
        return 1 + 0.4 * (min(self.n_threads, 4) - 1)
