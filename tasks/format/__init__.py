"""Formats that a model is exported in, beside its own: one file each, found from `conf/format/`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tasks.model import Model, writes

NO_WORDS = ("strategy=from_scratch of text_encoder: a graph has no operator that cuts text into words as scikit-learn "
            "does; take another strategy, or leave export.formats out.")  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """How far an export may be from the model: the largest difference of a probability, or of a number in standard
    deviations of the model's own predictions; and the share of rows that may get another label."""

    difference: float
    flips: float


@dataclass(frozen=True)
class Variant:
    """One model as it was written. name: of the format, or what it is labelled as; path: its file or folder."""

    name: str
    path: Path
    limits: Limits


@dataclass(frozen=True)
class Made:
    """What a format wrote. schema: as JSON. thresholds: numbers at which its trees split, by feature."""

    variants: tuple[Variant, ...]
    schema: dict[str, Any]
    thresholds: dict[str, list[float]]


class Format(Protocol):
    """A way to write a model with everything around it, from the table's columns to labels and probabilities."""

    def check(self, families: Sequence[tuple[str, Model]]) -> list[str]:
        """What is missing for it, before any work starts, as faults; none where all is well."""
        ...

    def write(self, folder: Path, place: Path) -> Made:
        """Writes the model of a folder into another, with a schema and an example that runs it.

        Raises:
            Refusal: where the model has no place in the format; says why.
        """
        ...

    def run(self, variant: Variant, rows: Path, answers: Path) -> list[str]:
        """The command of a process of its own that predicts rows, see `tasks/format/_rows.py`."""
        ...


def without_graph(families: Sequence[tuple[str, Model]]) -> list[str]:
    """Faults of families that can't be written, whatever they learn."""
    return [NO_WORDS for _, family in families if getattr(family, "way", "") == "from_scratch" and not writes(family)]
