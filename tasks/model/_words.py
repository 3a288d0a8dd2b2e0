"""Text without a pre-trained encoder: TF-IDF of words and of runs of letters, and a linear model on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge

from tasks.model import Floats
from tasks.model import _estimator as estimators
from tasks.model._calm import calm
from tasks.model._head import blocks, side
from tasks.model._inputs import TRUSTED, Inputs
from tasks.records import Footprint

NO_WORD = "no word"  # the only one of a column without any
MOST_RUNS = 200_000  # of letters, the most frequent ones: a large corpus has ever more, each in a text or two


@dataclass(frozen=True)
class Fitted:
    """vectorizers: as many for each column of text: of its words, and of its letters where they count. n_classes: 0 for
    a regression. shares: of the columns in the outputs."""

    text: tuple[str, ...]
    vectorizers: list[TfidfVectorizer]
    inputs: Inputs
    estimator: Any
    n_classes: int
    shares: dict[str, float]

    @property
    def n_parameters(self) -> int:
        """Coefficients and intercepts."""
        return int(np.size(self.estimator.coef_) + np.size(self.estimator.intercept_))

    def predict(self, X: pd.DataFrame) -> Floats:
        Z = _matrix(self.vectorizers, self.inputs, self.text, X)
        with calm:
            if self.n_classes:
                return estimators.probabilities(self.estimator, Z, self.n_classes)
            return np.asarray(self.estimator.predict(Z), dtype=np.float64)

    def footprint(self, more_rows: float, X: pd.DataFrame) -> Footprint:
        """Of a fit on so many times as many rows, which have new words, though ever fewer. Nearly all of the time goes
        into cutting texts, of which X holds some, into words and runs of letters."""
        columns = _of_vectorizers(self.text, self.vectorizers)
        cutting = [
            _microseconds(made) * float(X[column].fillna("").str.len().mean())
            for made, column in zip(self.vectorizers, columns, strict=True)
        ]
        return Footprint(sum(estimators.dumped_bytes(self.parts)) / 1e6 * more_rows**0.7, 1.0 + sum(cutting))

    def importance(self) -> dict[str, float]:
        """Share of each column in the spread of the outputs over the training rows."""
        return dict(self.shares)

    @property
    def parts(self) -> dict[str, Any]:
        return {"vectorizers": self.vectorizers, "estimator": self.estimator}

    def save(self, folder: Path) -> None:
        estimators.dump(self.parts, folder / "words.skops")
        self.inputs.save(folder)
        kept = {"text": self.text, "n_classes": self.n_classes, "shares": self.shares}
        (folder / "words.json").write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Fitted:
        parts = estimators.load(folder / "words.skops", (*TRUSTED, "numpy.float64"))
        kept = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        return cls(tuple(kept["text"]), parts["vectorizers"], Inputs.load(folder), parts["estimator"],
                   kept["n_classes"], kept["shares"])  # fmt: skip


def fit(
    X: pd.DataFrame, text: tuple[str, ...], y: Floats, weight: Floats | None, n_classes: int,
    penalty: float, words: int, letters: int, min_rows: int, most: int,
) -> Fitted:  # fmt: skip
    """penalty: 1/C or alpha. words: in a row that count as one feature. letters: the same within a word, from 2 on; 0:
    none do. min_rows: see `Inputs`. most: iterations."""
    inputs = Inputs.learn(X.drop(columns=list(text)), "standard", min_rows)
    vectorizers = [made for column in text for made in _vectorizers(X[column].fillna(""), words, letters)]
    Z = _matrix(vectorizers, inputs, text, X)
    estimator = LogisticRegression(C=1 / penalty, max_iter=most) if n_classes else Ridge(alpha=penalty)
    with calm:
        estimator.fit(Z, y, weight)
    return Fitted(text, vectorizers, inputs, estimator, n_classes, _shares(vectorizers, inputs, text, estimator, Z))


def _vectorizers(texts: pd.Series[str], words: int, letters: int) -> list[TfidfVectorizer]:
    usual: dict[str, Any] = {"sublinear_tf": True, "dtype": np.float64}
    made = [TfidfVectorizer(ngram_range=(1, words), token_pattern=r"(?u)\b\w+\b", **usual)]
    if letters:
        runs = (min(2, letters), letters)
        made.append(TfidfVectorizer(analyzer="char_wb", ngram_range=runs, max_features=MOST_RUNS, **usual))
    try:
        fitted = [one.fit(texts) for one in made]
    except ValueError:  # no text has a word
        fitted = [one.fit([NO_WORD]) for one in made]
    for one in fitted:  # NumPy's integers, which `max_features` leaves there, skops would write as a file each
        one.vocabulary_ = {term: int(place) for term, place in one.vocabulary_.items()}
    return fitted


def _of_vectorizers(text: tuple[str, ...], vectorizers: Sequence[TfidfVectorizer]) -> list[str]:
    return [column for column in text for _ in range(len(vectorizers) // len(text))]


def _microseconds(made: TfidfVectorizer) -> float:
    """What it takes with a letter of a text: 1,000 texts of 103, 414 and 1,657 letters took .1 to .29 with words one by
    one and in pairs, 1.7 to 2.2 with runs of 2 to 5 too."""
    low, high = map(int, made.ngram_range)
    return 0.15 * high if made.analyzer == "word" else 0.45 * (high - low + 1)


def _matrix(vectorizers: Sequence[TfidfVectorizer], inputs: Inputs, text: tuple[str, ...], X: pd.DataFrame) -> Any:
    columns = _of_vectorizers(text, vectorizers)
    counted = [made.transform(X[column].fillna("")) for made, column in zip(vectorizers, columns, strict=True)]
    rest = sparse.csr_matrix(side(inputs, X.drop(columns=list(text))), dtype=np.float64)
    return sparse.hstack([*counted, rest], format="csr")


def _shares(
    vectorizers: Sequence[TfidfVectorizer], inputs: Inputs, text: tuple[str, ...], estimator: Any, Z: Any
) -> dict[str, float]:
    coefficients = np.atleast_2d(estimator.coef_)
    n = len(vectorizers) // len(text)
    sizes = [sum(len(made.vocabulary_) for made in vectorizers[n * k : n * (k + 1)]) for k in range(len(text))]
    begins = np.cumsum([0, *sizes])
    places = {name: list(range(begins[k], begins[k + 1])) for k, name in enumerate(text)}
    rest = blocks(inputs, (), 0)
    places |= {name: [int(begins[-1]) + one for one in found] for name, found in rest.items()}
    effect = {name: float(np.std(Z[:, found] @ coefficients[:, found].T, axis=0).mean())
              for name, found in places.items()}  # fmt: skip
    total = sum(effect.values())
    return {name: one / total if total else 1 / len(effect) for name, one in effect.items()}
