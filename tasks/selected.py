"""What a selected trial's score is worth: the values that say it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Corrected:
    """The search's score less the luck of having been selected, by bootstrap bias-corrected cross-validation, and the
    95 % interval, NaN where there is none.

    uncorrected: as the search has it. n_candidates: trials that could have won; n_rows: validation rows that it was
    told by. notes: what this number doesn't know.
    """

    metric: str
    value: float
    low: float
    high: float
    uncorrected: float
    n_candidates: int
    n_rows: int
    notes: tuple[str, ...]

    def in_words(self, of: str = "") -> str:
        """One line. of: whose score it is, where that isn't the final model's."""
        selected = f"selected among {self.n_candidates} trials" if self.n_candidates > 1 else "selected"
        return (
            f"{self.metric} of the folds {of}{self.uncorrected:.5g}; without the luck of having been {selected} "
            f"{self.value:.5g} ({self.low:.5g} to {self.high:.5g})"
        )


@dataclass(frozen=True)
class Nested:
    """Nested cross-validation: the mean of the outer folds and the 95 % interval that knows that they share rows.

    folds: the metric on each outer fold, NaN where it isn't defined. n_fold_fits: what it took.
    """

    metric: str
    value: float
    low: float
    high: float
    folds: tuple[float, ...]
    n_fold_fits: int

    def in_words(self) -> str:
        """One line."""
        ends = f"({self.low:.5g} to {self.high:.5g})"
        return f"{self.metric} of nested cross-validation {self.value:.5g} {ends} over {len(self.folds)} folds"
