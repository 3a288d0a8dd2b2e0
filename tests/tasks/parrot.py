"""A model that writes what it was told, for stages whose numbers can be counted by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from tasks import model as models
from tasks.check import Case
from tasks.folds import write_folds
from tasks.loss.next_token import NextToken
from tasks.model import Floats
from tasks.records import Member, Problem, Proposal
from tasks.schema import Column, Schema
from tasks.workspace import Experiment

PROBLEM = Problem("generation", "response", ())
PAIR = Schema(tuple(Column(name, "verbatim", "string") for name in ("prompt", "response")))


@dataclass(frozen=True)
class Parrot:
    """answers: to prompts that it knows. loss: of each token, of which a response has as many as words."""

    answers: Mapping[str, str] = field(default_factory=dict)
    loss: float = 1.0

    @property
    def n_parameters(self) -> int:
        return len(self.answers)

    def predict(self, X: pd.DataFrame) -> Floats:
        n_tokens = X.iloc[:, -1].str.split().str.len().to_numpy(dtype=np.float64)
        return np.stack([self.loss * n_tokens, n_tokens], axis=1)

    def respond(self, prompts: Sequence[str], most: int | None = None) -> list[str]:
        return [self.answers.get(prompt, "") for prompt in prompts]

    def importance(self) -> dict[str, float]:
        return {}

    def save(self, folder: Path) -> None:
        (folder / "answers.json").write_text(json.dumps([dict(self.answers), self.loss]))

    @classmethod
    def load(cls, folder: Path) -> Parrot:
        return cls(*json.loads((folder / "answers.json").read_text()))


def split_of(root: Path, train: pd.DataFrame, held: pd.DataFrame) -> Path:
    """train, held: prompt, response, and maybe group. Two folds, of which the first validates the first half."""
    place = root / "split"
    place.mkdir(parents=True)
    for table, side, roles in ((train, "train", "roles"), (held, "holdout", "labels")):
        table[["prompt", "response"]].to_parquet(place / f"{side}_features.parquet")
        others = table.drop(columns=["prompt", "response"])
        others.assign(target=table["response"].str.len()).to_parquet(place / f"{side}_{roles}.parquet")
    halves = np.split(np.arange(len(train)), [len(train) // 2])
    write_folds(place, [(halves[1], halves[0]), (halves[0], halves[1])])
    return place


def case(root: Path, train: pd.DataFrame, held: pd.DataFrame, model: Parrot, base: Parrot | None = None) -> Case:
    models.save(model, root / "model")
    if base is not None:
        models.save(base, root / "base")
        (root / "base" / "problem.json").write_text(json.dumps(vars(PROBLEM)))
    predictions = root / "predictions.parquet"
    pd.DataFrame(model.predict(held), columns=PROBLEM.outputs).to_parquet(predictions)
    experiment = Experiment(
        digest=str(root), folder=str(root / "study"), split=str(split_of(root, train, held)), problem=PROBLEM,
        families={}, loss=NextToken(), metric="token_loss", base=None, seed=0, n_folds=2, growth=2.0, n_threads=1,
        keep_models=False,
    )  # fmt: skip
    member = Member(Proposal(0, "parrot", {}), 1.0)
    return Case(experiment, root / "model", predictions, None if base is None else root / "base", (member,))


def counted(n: int, word: str = "word") -> pd.DataFrame:
    """(n, 2): every prompt has its own number."""
    prompts = [f"What is {word} number {k}?" for k in range(n)]
    return pd.DataFrame({"prompt": prompts, "response": [f"That is {word} {k} of mine" for k in range(n)]})
