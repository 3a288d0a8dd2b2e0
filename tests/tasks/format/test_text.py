"""A text encoder with other columns beside the text as one graph, which takes tokens."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from exports import beside

if find_spec("transformers") is None or find_spec("onnxruntime") is None:
    pytest.skip('needs pip install "finefold[text,onnx]"', allow_module_level=True)

from tiny_encoder import WIDTH, WORDS, tiny_encoder

from tasks import model as models
from tasks import parity
from tasks.format._models import written
from tasks.format._run_onnx import load
from tasks.model._encoder import Body
from tasks.model._head import Head
from tasks.model._inputs import Inputs
from tasks.model._unit import Unit
from tasks.model.text_encoder import Fitted
from tasks.records import Problem
from tasks.schema import Column, Schema

SCHEMA = Schema((
    Column("said", "text", "string"), Column("size", "numeric", "double"), Column("level", "categorical", "string"),
    Column("also said", "text", "string"),
))  # fmt: skip
BINARY = Problem("binary", "y", ("no", "yes"))


def table(n: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, 1 + k % 9)) for k in range(n)]
    frame = pd.DataFrame({"said": texts, "size": random.normal(size=n), "level": random.choice(["u", "v"], n)})
    frame["also said"] = frame["said"].to_numpy()[::-1]
    frame.loc[3, "said"], frame.loc[4, "size"], frame.loc[5, "level"] = None, np.nan, "new"
    return frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model(tmp_path_factory.mktemp("text"), SCHEMA)


def model(place: Path, schema: Schema) -> Path:
    """With a head of random weights."""
    random, text = np.random.default_rng(1), schema.text
    X = schema.apply(table()).drop(columns=list(text))
    inputs = Inputs.learn(X, "standard", 2)
    width = len(text) * WIDTH + inputs.n_numbers + inputs.n_flags + inputs.n_levels
    head = Head(random.normal(size=width), random.uniform(0.5, 2, width), random.normal(size=(width, 2)) / 9,
                random.normal(size=2))  # fmt: skip
    body = Body.load(tiny_encoder(place / "encoder"))
    models.save(Fitted(body, head, inputs, Unit(2), text, 8, 0), place / "model")
    beside(place / "model", schema, BINARY)
    return place / "model"


def test_a_table_of_one_column_of_text_is_a_graph_too(tmp_path: Path) -> None:
    schema = Schema((Column("said", "text", "string"),))
    made = written(model(tmp_path, schema))
    (tmp_path / "model.onnx").write_bytes(made.model.SerializeToString())
    for name, content in made.companions.items():
        (tmp_path / name).write_text(content)
    raw = table()[["said"]]
    fed = parity.fed(raw, schema, made.schema, tmp_path)
    wanted = parity.expected(tmp_path / "model", raw).values
    np.testing.assert_allclose(load(str(tmp_path / "model.onnx"))(fed)["probabilities"], wanted, atol=1e-6)


def test_a_graph_predicts_what_the_encoder_does_whatever_is_beside_a_row(folder: Path, tmp_path: Path) -> None:
    made = written(folder)
    (tmp_path / "model.onnx").write_bytes(made.model.SerializeToString())
    for name, content in made.companions.items():
        (tmp_path / name).write_text(content)
    raw = table()
    raw.loc[7, "said"] = parity.LONG
    wanted = parity.expected(folder, raw).values
    predict = load(str(tmp_path / "model.onnx"))
    for rows in (slice(0, 60), slice(7, 8)):
        fed = parity.fed(raw.iloc[rows], SCHEMA, made.schema, tmp_path)
        np.testing.assert_allclose(predict(fed)["probabilities"], wanted[rows], atol=1e-6)


def test_the_schema_says_how_text_becomes_tokens(folder: Path) -> None:
    made = written(folder)
    told = {one["name"]: one for one in made.schema["inputs"]}
    assert list(told) == ["size", "level", "said ids", "said mask", "also said ids", "also said mask"]
    assert told["said ids"]["max_len"] == 8
    assert told["said ids"]["tokenizer"] in made.companions
