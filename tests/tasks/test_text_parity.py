"""An exported language model gives the model's own logits."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

if any(find_spec(name) is None for name in ("transformers", "onnx", "onnxruntime")):
    pytest.skip('needs more: pip install "finefold[text,onnx]"', allow_module_level=True)

import torch
import transformers
from tiny_generator import questions, tiny_generator

from flows.build import build
from flows.config import compose
from tasks import model
from tasks.export import export
from tasks.format._writer import _exported
from tasks.model.text_generator import Fitted
from tasks.predictor import Predictor
from tasks.records import Problem, Trained
from tasks.refusal import Refusal
from tasks.schema import Column, Schema


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("export")
    made = Fitted.load(tiny_generator(place / "generator"))
    model.save(made, place / "model")
    pair = Schema(tuple(Column(name, "verbatim", "string") for name in ("prompt", "response")))
    (place / "model" / "schema.json").write_text(pair.to_json())
    (place / "model" / "problem.json").write_text(json.dumps(vars(Problem("generation", "response", ()))))
    (place / "split").mkdir()
    questions("units", 30)[["prompt", "response"]].to_parquet(place / "split" / "holdout_features.parquet")
    return place


def formats(*names: str) -> dict[str, Any]:
    config = compose([f"export.formats=[{','.join(names)}]"]).config
    return {name: build(config.format[name], f"format.{name}") for name in names}


@pytest.mark.slow
def test_the_graph_gives_the_logits_and_its_example_writes_what_the_model_writes(folder: Path) -> None:
    trained = Trained(str(folder / "model"), "text_generator", 1, None)
    split: Any = SimpleNamespace(folder=str(folder / "split"))
    (made,) = export.fn(formats("onnx"), trained, split, 20_000)
    (parity,) = made.parity
    assert parity.is_within
    assert (parity.n_rows, parity.n_hard) == (30, 4)
    said = subprocess.run([sys.executable, "example.py"], cwd=made.folder, capture_output=True, text=True, check=True)
    raw = questions("units", 5)[["prompt"]]
    assert json.loads(said.stdout)["prediction"] == Predictor.load(folder / "model").predict(raw)["prediction"].tolist()


def test_more_weights_than_a_file_of_onnx_holds_are_refused_before_it_is_traced() -> None:
    with torch.device("meta"):
        net = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=2048, n_head=8, n_layer=9))
    with pytest.raises(Refusal, match=r"the model has 2.1 GiB of weights, .* leave onnx out"):
        _exported(net)


def test_a_savedmodel_of_a_model_that_writes_is_refused_with_the_reason() -> None:
    family: Any = SimpleNamespace(generates=True, way="from_scratch")
    faults = formats("savedmodel")["savedmodel"].check([("text_generator", family)])
    assert "text_generator writes text, and is exported as onnx alone" in faults[-1]
    assert formats("onnx")["onnx"].check([("text_generator", family)]) == []
