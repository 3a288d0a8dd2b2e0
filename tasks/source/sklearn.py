"""The tables that scikit-learn ships, for a first run without a file or a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from tasks.refusal import Refusal, did_you_mean

_NAMES = ("breast_cancer", "diabetes", "digits", "iris", "wine")  # linnerud has three targets


@dataclass(frozen=True)
class Sklearn:
    """One shipped table: the features, and the column `target`.

    name: one of breast_cancer, digits, iris, wine (classes) or diabetes (regression).
    Raises a Refusal for another name.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in _NAMES:
            near = did_you_mean(self.name, _NAMES)
            raise Refusal(f"source.name={self.name}: no such table{near}. Choices: {', '.join(_NAMES)}.")

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows; `target` is the class by its name where scikit-learn names classes, else the number."""
        from sklearn import datasets

        bunch = getattr(datasets, f"load_{self.name}")(as_frame=True)
        target = bunch.target
        if isinstance(bunch.get("target_names", [0])[0], str):
            target = [str(bunch.target_names[number]) for number in target]
        yield from pa.Table.from_pandas(bunch.data.assign(target=target), preserve_index=False).to_batches()

    def notes(self) -> list[str]:
        """Nothing: these tables are known."""
        return []
