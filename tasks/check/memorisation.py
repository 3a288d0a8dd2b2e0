"""Memorisation: which responses the model gives back word for word that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from tasks import pairs, parquet
from tasks.check import Case
from tasks.check.duplicates import wilson
from tasks.model import Writes
from tasks.overlap import is_exact
from tasks.source_rows import evenly
from tasks.verdict import Finding, Number
from tasks.workspace import training_of


@dataclass(frozen=True)
class Memorisation:
    """The share of training responses that are written word for word after their prompts (of plain texts the second
    half after the first; Carlini et al. 2023, Quantifying Memorization Across Neural Language Models), beside the same
    of the holdout, whose responses it never saw: what it gets right there it knows, so only the difference was learned
    by heart.

    rows: of either side for which something is written. least_words: of a response; a short one is no evidence.
    most: of the training rows beyond those of the holdout, from which on the check fails; None: it is told.
    """

    name: ClassVar[str] = "memorisation"
    needs_base: ClassVar[bool] = False
    reads_pairs: ClassVar[bool] = True
    rows: Annotated[int, Field(ge=20)]
    least_words: Annotated[int, Field(ge=1)]
    most: Annotated[float, Field(gt=0, le=1)] | None

    def measure(self, case: Case) -> Finding | None:
        if not case.problem.is_generation:
            return None
        seen = self._reproduced(case, "train", len(training_of(case.experiment).y))
        held = self._reproduced(case, "holdout", len(case.holdout.y))
        if not seen[1] or not held[1]:
            return Finding(self.name, "not_measurable", f"no response has {self.least_words} words", {})
        numbers = {"of_training": _share(*seen), "of_holdout": _share(*held)}
        beyond = numbers["of_training"].value - numbers["of_holdout"].value
        numbers["beyond_the_holdout"] = Number(beyond)
        if self.most is None:
            return Finding(self.name, "told", "", numbers)
        if beyond <= self.most or numbers["of_training"].low <= numbers["of_holdout"].high:
            return Finding(self.name, "passed", "", numbers)
        reason = (
            f"{beyond:.0%} of the training responses are written word for word beyond what it gets right of those that "
            f"it never saw, more than check.memorisation.most={self.most:g}; fewer epochs, or a strategy that trains "
            "less, learns less by heart"
        )
        return Finding(self.name, "failed", reason, numbers)

    def _reproduced(self, case: Case, side: str, n_rows: int) -> tuple[int, int]:
        """How many responses are written word for word, and of how many."""
        X = parquet.take(case.split / f"{side}_features.parquet", evenly(np.arange(n_rows), self.rows))
        both = [one for one in zip(*pairs.asked(X), strict=True) if len(one[1].split()) >= self.least_words]
        assert isinstance(case.fitted, Writes)
        written = case.fitted.respond([prompt for prompt, _ in both]) if both else []
        return sum(is_exact(one, wanted) for one, (_, wanted) in zip(written, both, strict=True)), len(both)


def _share(n: int, of: int) -> Number:
    return Number(n / of, *wilson(n, of))
