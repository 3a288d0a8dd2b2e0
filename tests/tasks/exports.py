"""Small tables with what is hard to get right in them, and models of them in folders, for tests of exports."""

from __future__ import annotations

import importlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from tasks import metric as metrics
from tasks import model as models
from tasks import parity
from tasks.loss import Loss
from tasks.loss.cross_entropy import CrossEntropy
from tasks.loss.mse import MSE
from tasks.model import Fitted, Model, Training
from tasks.records import Problem, ProblemKind
from tasks.schema import TIME_PARTS, Column, Schema

N, N_HELD = 360, 80
KINDS: tuple[ProblemKind, ...] = ("binary", "multiclass", "regression")
CLASSES = {"binary": ("no", "yes"), "multiclass": (1, 2, 5), "regression": ()}
SCHEMA = Schema((
    Column("size, m", "numeric", "double"), Column("since epoch", "numeric", "double"),
    Column("few", "numeric", "double"), Column("town", "categorical", "string"),
    Column("code", "categorical", "string"), Column("member", "boolean", "boolean"),
    Column("seen", "time", "datetime", None, TIME_PARTS),
))  # fmt: skip
CONF = Path(__file__).parent.parent.parent / "conf"


def table(n: int = N, seed: int = 0) -> pd.DataFrame:
    """Numbers that float32 doesn't hold, gaps, levels (some of digits), truth values, times, and a score."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "size, m": random.normal(size=n).round(4), "since epoch": 1.6e9 + random.integers(0, 10**8, n) + 0.25,
        "few": random.choice([0.0, 0.1, 2.5], n), "town": random.choice(np.array(["x", "y", "Köln"], object), n),
        "code": random.choice(np.array(["007", "12", "n/a?"], object), n), "member": random.choice([True, False], n),
        "seen": pd.Timestamp("2019-12-28 22:00") + pd.to_timedelta(random.integers(0, 500_000, n), unit="min"),
    })  # fmt: skip
    score = 2 * frame["size, m"] + (frame["town"] == "x") + frame["member"] - (frame["since epoch"] > 1.65e9)
    frame["score"] = score + frame["seen"].dt.hour / 12 + random.normal(size=n) / 3
    for column in ("size, m", "town", "seen"):
        frame.loc[random.random(n) < 0.1, column] = None
    return frame


def codes(kind: str, score: pd.Series[float]) -> np.ndarray[Any, Any]:
    cuts = {"binary": [1.5], "multiclass": [0.5, 2.5]}.get(kind)
    return (1e5 + 1e4 * score).round(2).to_numpy() if cuts is None else np.digitize(score, cuts).astype(np.float64)


@dataclass(frozen=True)
class Case:
    """A problem on the table, and a folder of its own for models and the features of a holdout."""

    place: Path
    kind: ProblemKind

    @property
    def problem(self) -> Problem:
        return Problem(self.kind, "y", CLASSES[self.kind])

    @property
    def holdout(self) -> Path:
        path = self.place / "holdout_features.parquet"
        if not path.exists():
            SCHEMA.apply(table(N_HELD, 1)).to_parquet(path)
        return path

    def training(self, loss: Loss | None = None) -> Training:
        frame = table()
        loss = loss or (MSE() if self.kind == "regression" else CrossEntropy())
        side = np.arange(N) % 3
        folds = [(np.flatnonzero(side != k), np.flatnonzero(side == k)) for k in range(3)]
        y = codes(self.kind, frame["score"])
        return Training(SCHEMA.apply(frame), y, None, folds, self.problem, loss, metrics.default(self.kind))

    def fitted(self, it: Model, loss: Loss | None = None, **changed: Any) -> Fitted:
        training = self.training(loss)
        return it.fit(it.workspace(training, None, 1), given(it, **changed), 12, 0)

    def saved(self, fitted: Fitted, name: str) -> Path:
        folder = self.place / name
        models.save(fitted, folder)
        beside(folder, SCHEMA, self.problem)
        return folder


def beside(folder: Path, schema: Schema, problem: Problem) -> None:
    """Writes what stands beside a model."""
    (folder / "schema.json").write_text(schema.to_json())
    (folder / "problem.json").write_text(json.dumps(asdict(problem)))


def family(name: str, **fields: Any) -> Model:
    """As its YAML has it."""
    node = yaml.safe_load((CONF / "model" / f"{name}.yaml").read_text()) | fields
    module, _, kind = node.pop("_target_").rpartition(".")
    made: Model = getattr(importlib.import_module(module), kind)(**node)
    return made


def given(it: Model, **changed: Any) -> dict[str, Any]:
    """The hyperparameters of a first trial."""
    fixed = {key: value for key, value in it.hyperparameters.items() if value is not None}
    return {**it.start, **fixed, **changed}


def farthest(case: Case, folder: Path, place: Path) -> tuple[float, str]:
    """The largest difference on the holdout and all hard rows, and where."""
    from tasks.format._models import written  # which need an extra
    from tasks.format._run_onnx import load

    made = written(folder)
    file = place / "model.onnx"
    file.write_bytes(made.model.SerializeToString())
    rows = parity.rows_of(case.holdout, SCHEMA, made.thresholds, 1000)
    truth = parity.expected(folder, rows.raw)
    answers = load(str(file))(parity.fed(rows.raw, SCHEMA, made.schema, place))
    values = answers["prediction" if truth.labels is None else "probabilities"]
    apart = np.abs(values - truth.values).reshape(len(values), -1).max(axis=1)
    apart = apart / (np.std(truth.values) if truth.labels is None else 1)
    worst = int(np.argmax(apart))
    if truth.labels is not None:
        other = answers["label"].astype(str) != truth.labels.astype(str)
        assert truth.lead is not None
        assert not (other & (truth.lead > 1e-5)).any()
    return float(apart.max()), rows.names[worst] if worst < len(rows.names) else "the holdout"
