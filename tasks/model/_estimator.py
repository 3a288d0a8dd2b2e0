"""What families made of scikit-learn's estimators share: each fold encoded once, and models kept without pickle."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import pandas as pd

from tasks.model import Floats, Rows, Training, _skops
from tasks.model._encode import relative
from tasks.model._kept import Kept
from tasks.refusal import Refusal

SCHEMA = "schema.json"  # skops' list of the objects in an archive
BYTES_OF_AN_ENTRY = 114  # in the archive's own lists
BYTES_OF_ADDRESSES = 1.3  # times what the schema takes without them


class Encoder(Protocol):
    """Typed features to the matrix that an estimator takes, dense or sparse."""

    def encode(self, X: pd.DataFrame) -> Any: ...


E = TypeVar("E", bound=Encoder)


@dataclass(frozen=True)
class Encoded(Generic[E]):
    """One fold, or all rows: what was learned of its training rows, and the matrices that it makes.

    train: (n_train, n_encoded); y: (n_train,); weight: as `relative` gives it; valid: (n_valid, n_encoded), or None.
    """

    encoder: E
    train: Any
    y: Floats
    weight: Floats | None
    valid: Any

    @property
    def n_bytes(self) -> int:
        matrices = [self.train, self.valid]
        return sum(getattr(matrix, "data", matrix).nbytes for matrix in matrices if matrix is not None)


@dataclass(frozen=True)
class Workspace(Generic[E]):
    """A fold is encoded once, when a trial first needs it, from its training rows alone; trials fit estimators only."""

    training: Training
    learn: Callable[[pd.DataFrame], E]
    n_threads: int
    folds: Kept[Encoded[E]] = field(default_factory=lambda: Kept(lambda encoded: encoded.n_bytes))

    def fold(self, fold: int, n_rows: int | None) -> Encoded[E]:
        return self.folds.get((fold, n_rows), lambda: self._encode(*self.training.fold(fold, n_rows)))

    def all_rows(self) -> Encoded[E]:
        """All training rows, for the final fit; not kept."""
        return self._encode(np.arange(len(self.training.y)), None)

    def _encode(self, rows: Rows, valid_rows: Rows | None) -> Encoded[E]:
        X = self.training.X.iloc[rows]
        encoder = self.learn(X)
        weight = relative(self.training.fit_weight(rows))
        valid = None if valid_rows is None else encoder.encode(self.training.X.iloc[valid_rows])
        return Encoded(encoder, encoder.encode(X), self.training.y[rows], weight, valid)


def probabilities(estimator: Any, matrix: Any, n_classes: int) -> Floats:
    """(n_rows, n_classes); a class that the training rows lacked has probability 0."""
    known = np.asarray(estimator.predict_proba(matrix), dtype=np.float64)
    every = np.zeros((known.shape[0], n_classes))
    every[:, estimator.classes_.astype(np.int64)] = known
    return every


def refuse_base(base: Path | None, family: str) -> None:
    """
    Raises:
        Refusal: when there is a base, since an estimator is fitted from nothing.
    """
    if base is not None:
        remedy = "choose model=lightgbm or model=mlp, or leave base out"
        raise Refusal(f"base={base}: {family} can't go on from a model; {remedy}.")


def dump(parts: Mapping[str, Any], path: Path) -> None:
    """Writes estimators and arrays in skops' format, which holds no code, lightly compressed."""
    _skops.dump(dict(parts), path, compression=zipfile.ZIP_DEFLATED, compresslevel=1)


def dumped_bytes(parts: Mapping[str, Any]) -> tuple[int, float]:
    """About what `dump` writes, to a hundredth: the arrays, and what stands around them. Not the file's size itself: it
    names objects by their addresses in memory, so that no two dumps of one model are of one size. Takes 10 ms, and 1 s
    for a forest of 30 MB."""
    dumped = _skops.dumps(dict(parts), compression=zipfile.ZIP_DEFLATED, compresslevel=1)
    with zipfile.ZipFile(io.BytesIO(dumped)) as archive:
        arrays = [entry.compress_size for entry in archive.infolist() if entry.filename != SCHEMA]
        schema = re.sub(rb"\d{9,}", b"0", archive.read(SCHEMA))
    return sum(arrays), BYTES_OF_AN_ENTRY * len(arrays) + BYTES_OF_ADDRESSES * len(zlib.compress(schema, 1))


def load(path: Path, trusted: Sequence[str]) -> dict[str, Any]:
    """What `dump` wrote, as long as it holds nothing but skops' own trusted types and the given ones.

    Raises:
        Refusal: when it holds another type, which is named, or is torn.
    """
    try:
        parts: dict[str, Any] = _skops.load(path, trusted=list(trusted))
    except _skops.UntrustedTypesFoundException as error:
        raise Refusal(f"{path} is refused: it holds what no model of this family does. {error}") from error
    except zipfile.BadZipFile as error:
        raise Refusal(f"{path} can't be read: {error}. Train the model again.") from error
    return parts
