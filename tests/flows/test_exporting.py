"""A run that exports: agreeing, it is logged and named in the result; differing, nothing is registered."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from flows.config import compose
from flows.pipeline import run
from flows.plan import plan
from tasks.refusal import Refusal

SMALL = ["search=none", "folds.n_splits=3", "model.lightgbm.rounds=20", "source.target=y", "model_name=exported"]
needs_onnx = pytest.mark.skipif(find_spec("onnxruntime") is None, reason='needs pip install "finefold[onnx]"')


def table(n: int = 300) -> pd.DataFrame:
    random = np.random.default_rng(0)
    rows = pd.DataFrame({"a": random.normal(size=n), "town": random.choice(["x", "y"], n)})
    return rows.assign(y=np.where(rows["a"] + (rows["town"] == "x") > 0.5, "yes", "no"))


@needs_onnx
def test_an_export_is_logged_and_named_in_the_result(place: Path, client: mlflow.MlflowClient) -> None:
    made = run([*SMALL, "export.formats=[onnx]"], frame=table())
    (exported,) = made.exports
    assert exported.parity[0].is_within
    logged = {file.path for file in client.list_artifacts(made.run_id, "export/onnx")}
    assert {f"export/onnx/{name}" for name in ("model.onnx", "schema.json", "example.py", "rows.json")} <= logged
    assert client.get_run(made.run_id).data.metrics["export.onnx.flips"] == 0


@needs_onnx
def test_nothing_is_registered_where_an_export_differs(place: Path, client: mlflow.MlflowClient) -> None:
    too_strict = ["export.formats=[onnx]", "format.onnx.most_difference=1e-300", "model_name=strict"]
    with pytest.raises(Refusal, match=r"differs from the model by .*Nothing is registered"):
        run([*SMALL, *too_strict], frame=table())
    assert client.search_model_versions("name='strict'") == []
    (failed,) = client.search_runs(["1"], "attributes.status = 'FAILED'")
    kept = client.download_artifacts(failed.info.run_id, "export/onnx/parity.json")
    assert not json.loads(Path(kept).read_text())[0]["is_within"]


def test_a_format_that_there_is_not_is_refused_by_its_key() -> None:
    with pytest.raises(Refusal, match=r"export\.formats=onxn: no such choice; did you mean 'onnx'\?"):
        compose(["export.formats=[onxn]"])


def test_formats_are_chosen_by_the_key_of_their_stage() -> None:
    composed = compose(["export.formats=[onnx,savedmodel]", "format.onnx.most_difference=0.001"])
    assert composed.config.export.formats == ("onnx", "savedmodel")
    assert composed.config.format["onnx"]["most_difference"] == 0.001
    assert compose([]).config.export.formats == ()


@pytest.mark.parametrize(("name", "package"), [("onnx", "onnxruntime"), ("savedmodel", "tensorflow")])
def test_without_the_extra_the_command_that_installs_it_is_told_before_the_search(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"tasks.format.{name}.find_spec", lambda _: None)
    with pytest.raises(Refusal, match=rf'{package}\): pip install "finefold\[{name}\]"'):
        plan(compose([f"export.formats=[{name}]", "source.target=y"]))


@needs_onnx
def test_eight_bits_are_refused_for_a_family_without_matrices() -> None:
    with pytest.raises(Refusal, match=r"export\.int8=true: lightgbm has no matrices"):
        plan(compose(["export.formats=[onnx]", "export.int8=true"]))


@needs_onnx
@pytest.mark.skipif(find_spec("transformers") is None, reason='needs pip install "finefold[text]"')
def test_words_without_an_encoder_are_refused_before_the_search() -> None:
    with pytest.raises(Refusal, match="strategy=from_scratch of text_encoder: a graph has no operator"):
        plan(compose(["model=text_encoder", "strategy=from_scratch", "export.formats=[onnx]"]))
