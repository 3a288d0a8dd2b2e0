"""Pretrain: a model of a broad source, registered with what fine-tuning needs of it later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from flows.server import Server
    from tasks.records import Result

KEEPING = "pretrain.keep=true"  # what tells this command from `run`


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

    return run([KEEPING, *overrides], frame=frame, begun=begun, running=running)
