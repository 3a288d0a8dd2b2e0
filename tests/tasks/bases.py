"""A base of a small table in a folder, made by the stages themselves, for tests of what goes on from it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold

from tasks import predictor, provenance, source_rows
from tasks.folds import draw
from tasks.loss.cross_entropy import CrossEntropy
from tasks.loss.mse import MSE
from tasks.model import Training
from tasks.model.lightgbm import LightGBM
from tasks.prepare import prepare
from tasks.provenance import Provenance
from tasks.records import Prepared, Roles
from tasks.source.file import File
from tasks.split import split

ROLES = Roles("y", (), (), (), (), (), None, None, None, None, False)
FAMILY = LightGBM({"learning_rate": 0.2, "num_leaves": 7}, {}, {}, {}, [], 10, 10, 1.0, 5, {})
UNKNOWN = Provenance("lightgbm", {"name": "t", "digest": "", "rows": 0, "kept": {}}, None, None, None, {}, {}, "")


def source(n: int = 200, classes: str = "abc", seed: int = 0) -> pd.DataFrame:
    """A class that depends on a number and on a town."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"size": random.normal(size=n).round(6), "town": random.choice(list("xyz"), n)})
    codes = np.clip(np.round(frame["size"] + len(classes) / 2), 0, len(classes) - 1).astype(int)
    return frame.assign(y=np.array(list(classes))[codes])


def file(frame: pd.DataFrame, path: Path) -> File:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False)
    return File(str(path), None, None, None)


def prepared(frame: pd.DataFrame, place: Path, base: Path | None = None, **more: Any) -> Prepared:
    roles = replace(ROLES, **{key: more.pop(key) for key in list(more) if key in ROLES.__dict__})
    asked = more.pop("problem", "auto")
    return prepare.fn(file(frame, place / "t.csv"), roles, asked, None, 0, base, str(place / "data"), **more)


def base_of(frame: pd.DataFrame, place: Path, *, rows: bool = True, problem: str = "auto") -> Path:
    """Its folder `<place>/base`, with rows of its source or without."""
    made = prepared(frame, place, problem=problem)
    divided = split.fn(made, KFold(3), "kfold", 0.2, str(place / "data"))
    X = pd.read_parquet(Path(divided.folder) / "train_features.parquet")
    y = pd.read_parquet(Path(divided.folder) / "train_roles.parquet")["target"].to_numpy(dtype=np.float64)
    loss = CrossEntropy() if made.problem.is_classification else MSE()
    folds = draw(KFold(3), y, None, None)
    training = Training(X, y, None, folds, made.problem, loss, "log_loss" if loss.name == "cross_entropy" else "rmse")
    fitted = FAMILY.fit(FAMILY.workspace(training, None, 1), FAMILY.hyperparameters, 10, 0)
    folder = place / "base"
    predictor.save(fitted, Path(made.folder), folder)
    if rows:
        source_rows.keep(divided, folder, 1_000)
    sealed(folder)
    return folder


def sealed(folder: Path, **known: Any) -> None:
    """Writes `base.json` for the folder as it is now."""
    told = replace(UNKNOWN, files=provenance.digests(folder), **known)
    (folder / provenance.FILE).write_text(told.as_json())


def encoder_in(folder: Path, **files: str) -> Path:
    """A folder in Hugging Face's form; nothing here reads its weights."""
    folder.mkdir(parents=True)
    own = {"model.safetensors": "weights", "tokenizer.json": "{}", "vocab.txt": "a\nb"}
    contents = {"config.json": json.dumps({"model_type": "bert"}), **own}
    for name, content in {**contents, **files}.items():
        (folder / name).write_text(content)
    return folder
