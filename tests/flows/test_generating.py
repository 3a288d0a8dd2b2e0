"""A language model from nothing to a registered one that answers, on a real Prefect server and a real MLflow store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import mlflow
import pandas as pd
import pytest

if find_spec("transformers") is None:
    pytest.skip('needs transformers: pip install "finefold[text]"', allow_module_level=True)

from bases import encoder_in
from serving import ask_server
from tiny_generator import CHAT, tiny_generator

from flows.finetune import FineTuned, finetune
from flows.monitor import monitor
from flows.pipeline import run
from flows.pretrain import pretrain, pretraining
from flows.score import score
from tasks.records import Result
from tasks.refusal import Refusal

SMALL = [f"model.text_generator.new.{key}={value}" for key, value in
         {"width": 32, "layers": 2, "heads": 2, "vocabulary": 300, "context": 64}.items()]  # fmt: skip
EPOCHS = "model.text_generator.hyperparameters.epochs=4"
PAIR = ["source.prompt=prompt", "source.response=response", "folds.n_splits=2", "search.trials=1"]
UNITS = ["source=grammar", "source.topic=units", "source.rows=200", *PAIR]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def broad(place: Path) -> Result:
    return pretrain(["model=text_generator", "source=grammar", "source.topic=animals", "source.rows=200",
                     "source.text=[text]", EPOCHS, *SMALL])  # fmt: skip


@pytest.fixture(scope="module")
def encoder(place: Path) -> Path:
    """A folder as of an encoder, whose weights nothing reads."""
    return encoder_in(place / "encoder")


@pytest.fixture(scope="module")
def narrow(broad: Result) -> Result:
    asked = ["strategy=full", "strategy.hyperparameters.step=1.0", "slices=[form]"]
    return run([f"base={broad.model_uri}", *UNITS, *asked])


def test_fine_tuning_lowers_the_target_s_perplexity_and_tells_the_source_s(broad: Result, narrow: Result) -> None:
    before = run([f"base={broad.model_uri}", *UNITS, "strategy=as_is", "model_name=before"])
    assert narrow.problem == "generation"
    assert set(narrow.holdout) == {"bits_per_byte", "token_loss", "perplexity"}
    assert narrow.holdout["perplexity"].high < before.holdout["perplexity"].low
    assert narrow.holdout["bits_per_byte"].baseline == pytest.approx(8)
    checks = {one.check: one for one in narrow.checks.findings}
    assert set(checks) == {"near_prompts", "overfitting", "forgetting", "slices", "more_labels", "memorisation"}
    kept = {name: number.value for name, number in checks["forgetting"].numbers.items()}
    assert kept["perplexity_of_the_base"] > 1
    assert kept["worse"] == pytest.approx(kept["fine_tuned"] - kept["base"])


def test_what_it_writes_lies_in_mlflow_and_in_the_report(narrow: Result) -> None:
    client = mlflow.MlflowClient()
    table = json.loads(Path(client.download_artifacts(narrow.run_id, "generations.json")).read_text())
    assert table["columns"][:4] == ["prompt", "reference", "before", "after"]
    assert "generations.json" in client.get_run(narrow.run_id).data.tags["mlflow.loggedArtifacts"]
    metrics = client.get_run(narrow.run_id).data.metrics
    assert {"holdout_exact_match", "holdout_token_f1_low", "base_token_f1"} <= set(metrics)
    report = Path(narrow.report).read_text()
    assert "What it writes" in report
    assert "could not be made" not in report


def test_the_registered_model_answers_a_prompt(narrow: Result) -> None:
    model = mlflow.pyfunc.load_model(narrow.model_uri)
    assert model.metadata.signature.inputs.input_names() == ["prompt"]
    answer = model.predict(pd.DataFrame({"prompt": ["How many grams are 2 kilograms?"]}))
    assert list(answer) == ["prediction"]
    assert isinstance(answer["prediction"].iloc[0], str)
    folder = Path(mlflow.artifacts.download_artifacts(narrow.model_uri))
    assert list(folder.rglob("model.safetensors"))
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".bin", ".pt")]


def test_a_table_of_prompts_is_answered_row_by_row(narrow: Result, place: Path) -> None:
    asked = [f"How many grams are {n} kilograms?" for n in range(2, 150)]  # of more than one chunk
    pd.DataFrame({"prompt": [*asked, None, " "], "number": range(150)}).to_csv(place / "prompts.csv", index=False)
    name, _, version = narrow.model_uri.removeprefix("models:/").partition("/")
    made = score([
        f"model_name={name}", f"predictions.version={version}", "source=file", "source.path=prompts.csv",
        "source.key=[number]", "predictions.path=responses.parquet",
    ])  # fmt: skip
    assert (made.rows, made.scored, made.rejected) == (150, 148, 2)
    answers = pd.read_parquet(place / "responses.parquet")
    assert answers["number"].tolist() == list(range(148))
    model = mlflow.pyfunc.load_model(narrow.model_uri)
    again = model.predict(pd.DataFrame({"prompt": asked[::50]}))
    assert answers["prediction"].tolist()[::50] == again["prediction"].tolist()
    rejects = pd.read_parquet(made.rejects)
    assert set(rejects["rejected_because"]) == {"prompt, the prompt, is empty"}


def test_mlflow_serves_answers(narrow: Result, place: Path) -> None:
    prompts = pd.DataFrame({"prompt": ["How many grams are 2 kilograms?", "How many metres are 3 kilometres?"]})
    expected = mlflow.pyfunc.load_model(narrow.model_uri).predict(prompts)
    answers = ask_server(narrow.model_uri, place, prompts)
    assert [one["prediction"] for one in answers] == expected["prediction"].tolist()


def test_a_killed_scoring_goes_on_with_the_responses_that_were_written(narrow: Result, place: Path) -> None:
    name, _, version = narrow.model_uri.removeprefix("models:/").partition("/")
    asked = [f"How many grams are {n} kilograms, please?" for n in range(400)]
    pd.DataFrame({"prompt": asked, "number": range(400)}).to_csv(place / "many.csv", index=False)
    command = [sys.executable, "-m", "flows.cli", "score", f"model_name={name}", f"predictions.version={version}",
               "source=file", "source.path=many.csv", "source.key=[number]", "predictions.path=many.parquet",
               "output=json"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, cwd=place, env=environment, stdout=subprocess.DEVNULL)
    while not list(place.glob("data/scores/*/parts/[0-9]*.json")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    again = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(again.stdout.splitlines()[-1])["before"] >= 128
    assert pd.read_parquet(place / "many.parquet")["number"].tolist() == list(range(400))


def test_a_folder_with_a_chat_template_climbs_the_ladder_in_its_template(place: Path) -> None:
    chat = tiny_generator(place / "chat", template=CHAT)
    done = finetune([f"base={chat}", *UNITS, "model_name=chatty", "slices=[form]", EPOCHS,
                     "strategy.rungs=[as_is,recalibrate,lora,full]"])  # fmt: skip
    assert isinstance(done, FineTuned)
    passed = {one.strategy: one.error for one in done.climb.rungs}
    assert [name for name, why in passed.items() if why] == ["recalibrate"]  # which a model that writes can't
    assert done.climb.best not in ("", "as_is")
    assert done.result.holdout["perplexity"].value < 1_000
    folder = Path(mlflow.artifacts.download_artifacts(done.result.model_uri))
    (template,) = folder.rglob("chat_template.jinja")
    assert template.read_text() == CHAT


def test_prompts_that_became_longer_are_drift(broad: Result, narrow: Result, place: Path) -> None:
    name = narrow.model_uri.removeprefix("models:/").partition("/")[0]
    longer = [f"How many grams are {n} kilograms, and what else is there to be said of it?" for n in range(600)]
    pd.DataFrame({"prompt": longer}).to_csv(place / "longer.csv", index=False)
    looked = monitor([f"model_name={name}", "source.path=longer.csv"])
    assert [one.name for one in looked.drifted] == ["prompt"]
    (place / "labels.csv").write_text("prompt,response\na,b\n")
    with pytest.raises(Refusal, match=r"labels\.path=labels\.csv: \S+ writes response, which isn't scored here"):
        monitor([f"model_name={name}", "source.path=longer.csv", "source.key=[prompt]", "labels.path=labels.csv"])


def test_a_model_that_writes_nothing_is_no_base_for_one_that_does_by_any_strategy(
    broad: Result, place: Path, encoder: Path
) -> None:
    said = "is a text_encoder model, which writes nothing; model=text_generator goes on from a causal language model"
    for strategy in ("as_is", "from_scratch", "full"):
        with pytest.raises(Refusal, match=said):
            run([f"base={encoder}", "model=text_generator", *UNITS, f"strategy={strategy}"])
    with pytest.raises(Refusal, match=said):
        finetune([f"base={encoder}", "model=text_generator", *UNITS])
    given = ["source=file", "source.path=kinds.csv", "source.target=kind", "source.text=[words]"]
    pd.DataFrame({"words": ["one of a", "two of b"] * 60, "kind": ["a", "b"] * 60}).to_csv(place / "kinds.csv")
    with pytest.raises(Refusal, match="model, which writes, and from which model=text_encoder can't go on"):
        finetune([f"base={broad.model_uri}", "model=text_encoder", *given])


def test_a_base_whose_parts_do_not_fit_is_refused_by_its_name_before_anything_is_trained(place: Path) -> None:
    tiny_generator(place / "endless", eos_token_id=9_999, bos_token_id=9_998)
    with pytest.raises(Refusal) as refused:
        run(["base=endless", *UNITS, "strategy=full"])
    assert [fault[:36] for fault in refused.value.faults] == [
        "base=endless: its bos_token_id=9998 ", "base=endless: its eos_token_id=9999 ",
    ]  # fmt: skip


def test_few_folds_are_what_pretraining_adds_and_what_is_asked_for_goes_before() -> None:
    assert pretraining(["model=text_generator"]) == ["pretrain.keep=true", "folds.n_splits=2", "model=text_generator"]
    asked = ["model=text_generator", "folds.n_splits=4"]
    assert pretraining(asked) == ["pretrain.keep=true", *asked]
    assert pretraining(["model=mlp"]) == ["pretrain.keep=true", "model=mlp"]
