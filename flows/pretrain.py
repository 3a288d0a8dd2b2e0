"""Pretrain: a model of a broad source, registered with what fine-tuning needs of it later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from flows.server import Server
    from tasks.records import Result

KEEPING = "pretrain.keep=true"  # what tells this command from `run`
# A language model that begins from nothing has nothing to be searched, and a fold as dear as it: two tell when to stop.
FEW_FOLDS, WRITER = "folds.n_splits=2", "model=text_generator"


def pretraining(overrides: Sequence[str]) -> list[str]:
    """The overrides, before them what the command adds, which they may change."""
    of_folds = any(text.startswith("folds") for text in overrides)
    return [KEEPING, *([FEW_FOLDS] if WRITER in overrides and not of_folds else []), *overrides]


def pretrain(
    overrides: Sequence[str] = (),
    *,
    frame: pd.DataFrame | None = None,
    begun: float | None = None,
    running: Server | None = None,
) -> Result:
    """A run whose model takes rows of its source along: those that it was trained on, for rehearsal, and the sealed
    holdout in two halves, by which choices between strategies are made and forgetting is measured. Arguments and
    faults as `flows.pipeline.run`'s."""
    from flows.pipeline import run  # takes seconds to import

    return run(pretraining(overrides), frame=frame, begun=begun, running=running)
