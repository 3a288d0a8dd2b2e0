"""A base is found wherever it lies, its own family goes on from it, and one that doesn't suit is refused by name."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from bases import base_of as made_in
from bases import encoder_in, sealed, source
from sources import QUICK, table

from flows import cli
from flows.base import base_of, naming, takes, told_of, with_own_family
from flows.config import Composed, compose
from flows.pipeline import run
from flows.plan import plan
from flows.pretrain import pretrain
from tasks import provenance
from tasks.provenance import Ancestor
from tasks.records import Result
from tasks.refusal import Refusal

FILE = ["source=file", "source.path=t.csv", "source.target=y"]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base that keeps rows, one that keeps none, and an encoder; the current one."""
    place = tmp_path_factory.mktemp("bases")
    for name, rows in (("rich", True), ("bare", False)):
        (place / name).mkdir()
        shutil.move(made_in(source(), place / f"{name}-stages", rows=rows), place / name / "base")
    encoder_in(place / "encoder")
    encoder_in(place / "writer", **{"config.json": json.dumps({"architectures": ["GPT2LMHeadModel"]})})
    source(60, seed=1).to_csv(place / "t.csv", index=False)
    source(300, seed=2).to_csv(place / "more.csv", index=False)
    return place


@pytest.fixture
def here(bases: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(bases)
    return bases


def composed_of(*overrides: str) -> Composed:
    return compose([*FILE, *with_own_family(overrides)])


def found(*overrides: str) -> Path:
    composed = composed_of(*overrides)
    folder = base_of(composed, plan(composed))
    assert folder is not None
    return folder


def told(*overrides: str) -> list[str]:
    return told_of(found(*overrides), composed_of(*overrides))


def refusal(overrides: Sequence[str]) -> tuple[str, ...]:
    with pytest.raises(Refusal) as refused:
        found(*overrides)
    return refused.value.faults


def like(base: str, name: str, **known: Any) -> Path:
    """A copy of a base of which something else is known."""
    folder = shutil.copytree(Path(base), Path(name), dirs_exist_ok=True)
    sealed(folder, **known)
    return folder


def test_a_folder_is_a_base_and_is_kept_by_its_content(here: Path) -> None:
    folder = found("base=rich/base")
    assert folder.parent == Path("data/bases")
    shutil.copytree("rich/base", "my base, copied")
    assert found("base=my base, copied") == folder


def test_the_bases_own_family_is_taken_where_none_is_named(here: Path) -> None:
    like("bare/base", "of a forest", family="forest")
    given = ["base=of a forest", "strategy=as_is", "model.forest.hyperparameters.n_estimators=7"]
    assert with_own_family(given) == ["model=forest", *given]
    assert with_own_family(["model=linear", "base=of a forest"]) == ["model=linear", "base=of a forest"]
    assert with_own_family(["base=rich/base"]) == ["base=rich/base"]
    assert with_own_family(["base=null", "seed=1"]) == ["base=null", "seed=1"]


def test_a_family_that_an_experiment_names_stays(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    like("bare/base", "of a forest", family="forest")
    (tmp_path / "experiment").mkdir()
    for name, choice in (("linear", "/model: [linear]"), ("kfold", "/folds: kfold")):
        text = f"# @package _global_\ndefaults:\n  - override {choice}\nbase: of a forest\n"
        (tmp_path / "experiment" / f"{name}.yaml").write_text(text)
    monkeypatch.setenv("FINEFOLD_CONF", str(tmp_path))
    assert with_own_family(["experiment=linear"]) == ["experiment=linear"]
    assert with_own_family(["experiment=kfold"]) == ["model=forest", "experiment=kfold"]
    assert list(composed_of("experiment=linear").config.model) == ["linear"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["base=nowhere"], "base=nowhere: there is no such folder; name a registered model (models:/NAME@champion)"),
        (["base=models:/nobody@champion"], "base=models:/nobody@champion isn't there"),
        (["base=" + "0" * 32], "isn't there: "),
        (["base=data"], "base=data is no model: neither one that finefold registered"),
        (["base=net", "model=lightgbm"], "base=net is a mlp model, from which model=lightgbm can't go on by strategy"),
        (["base=encoder", "model=lightgbm", "strategy=as_is"], "is an encoder without a head"),
        *((["base=writer", "model=lightgbm", f"strategy={strategy}"],
           "base=writer is a text_generator model, which writes, and from which model=lightgbm can't go on")
          for strategy in ("as_is", "from_scratch", "full")),
        (["base=bare/base", "strategy=pooled"], "strategy=pooled: base=bare/base keeps no rows of its source"),
        (["source_data=more.csv"], "source_data=more.csv: it is what a base was trained on; name the model too"),
        (["base=rich/base", "source_data=more.csv"], "keeps rows of its source itself; leave source_data out"),
        (["base=bare/base", "source_data=none.csv"], "source_data=none.csv: no such file"),
        (["base=rich/base", "pretrain.rows=-1"], "pretrain.rows must be at least 0, got -1"),
    ],
)
def test_a_base_that_does_not_suit_is_refused(here: Path, overrides: list[str], said: str) -> None:
    Path("data").mkdir(exist_ok=True)
    like("rich/base", "net", family="mlp")
    faults = refusal(overrides)
    assert any(said in fault for fault in faults), faults


def test_a_model_within_another_is_gone_on_from_only_by_what_it_predicts(here: Path) -> None:
    wrapped = like("rich/base", "wrapped")
    (wrapped / "family.json").write_text(json.dumps({"module": "tasks.strategy.recalibrate", "name": "Scaled"}))
    sealed(wrapped)
    assert "is a lightgbm model within another (tasks.strategy.recalibrate)" in refusal(["base=wrapped"])[0]
    assert found("base=wrapped", "strategy=recalibrate")


def test_rows_of_the_source_are_asked_for_only_by_a_family_that_rehearses_them(here: Path) -> None:
    assert found("base=bare/base", "strategy=full", "strategy.hyperparameters.rehearsal=null")
    with pytest.raises(Refusal, match=r"rehearsal=0\.5: lightgbm has none in strategy=full"):
        found("base=rich/base", "strategy=full", "strategy.hyperparameters.rehearsal=0.5")


def test_given_rows_make_a_base_of_one_that_keeps_none(here: Path) -> None:
    given = ["base=bare/base", "strategy=pooled", "source_data=more.csv"]
    assert len(pd.read_parquet(found(*given) / "source" / "features.parquet")) == 300
    assert "source_data: the base may have been trained on rows of more" in told(*given)[1]


def test_unknown_licences_are_told_of_the_base_and_of_what_it_was_made_of(here: Path) -> None:
    unknown = "the licence of base {} is unknown; find out whether its model may be used so"
    assert told("base=rich/base")[1:] == [unknown.format("rich/base")]
    lineage = (Ancestor("models:/a/1", "", "full", "s", None, None),)
    like("rich/base", "licensed", licence="MIT", origin="a.example", lineage=lineage)
    assert told("base=licensed") == [
        "goes on by strategy=full from licensed, a lightgbm model from a.example, MIT", unknown.format("models:/a/1")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("strategy", "classes", "levels"),
    [("full", False, True), ("as_is", False, False), ("pooled", True, True), ("from_scratch", True, True)],
)
def test_what_is_new_to_the_base_is_taken_where_the_strategy_or_the_family_can(
    here: Path, strategy: str, classes: bool, levels: bool
) -> None:
    new = takes(plan(compose([*FILE, "base=rich/base", f"strategy={strategy}"])))
    assert (new.classes, new.levels) == (classes, levels)


@pytest.fixture(scope="module")
def broad(place: Path) -> Result:
    return run([*QUICK, "model_name=broad"], frame=table(300, 0))


def test_a_base_is_found_by_name_version_and_run(broad: Result) -> None:
    folders = {
        found(f"base={named}")
        for named in ("models:/broad@champion", "models:/broad/1", broad.run_id, f"runs:/{broad.run_id}/model")
    }
    (folder,) = folders
    known = provenance.read(folder)
    assert known is not None
    assert known.source["rows"] == 300


@pytest.mark.slow
def test_a_run_of_some_of_the_classes_predicts_all_of_the_bases(broad: Result, client: mlflow.MlflowClient) -> None:
    some = table(120, 1, shift=0.9)
    some = some[some["y"] != "a"]
    for strategy in ("full", "from_scratch", "recalibrate"):
        made = run([*QUICK, "base=models:/broad@champion", f"strategy={strategy}", "model_name=some"], frame=some)
        answer = mlflow.pyfunc.load_model(made.model_uri).predict(some.drop(columns="y"))
        assert list(answer.columns) == ["prediction", "probability_a", "probability_b", "probability_c"]
        assert answer["probability_a"].mean() < 0.2
        tags = client.get_run(made.run_id).data.tags
        assert tags["finefold.base.licence"] == "unknown"
        assert tags["finefold.base.strategy"] == strategy


@pytest.mark.slow
def test_rows_that_the_base_was_trained_on_are_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = pretrain([*QUICK, "model_name=seen"], frame=table(300, 0))
    seen = pd.read_parquet(Path("data/splits") / known.split / "train_features.parquet").head(60)
    again = pd.concat([table(300, 0).merge(seen), table(60, 9)])
    capsys.readouterr()
    asked = ["base=models:/seen@champion", "strategy=as_is", "model_name=again"]
    run([*QUICK, *asked, "holdout.seed=1"], frame=again)  # by the same seed no row that was trained on is sealed
    said = capsys.readouterr().out
    (of_training,) = re.findall(r"(\d+) of \d+ training rows equal rows that the base was trained on", said)
    (sealed,) = re.findall(r"trained on (\d+) of \d+ rows that are sealed here", said)
    assert int(of_training) + int(sealed) == 60


def test_rows_that_are_sealed_now_and_were_not_for_the_base_are_told_on_screen_and_page(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = table(300, 4)
    run([*QUICK, "model_name=knows", "check=[]"], frame=known)
    asked = [*QUICK, "base=models:/knows/1", "strategy=as_is", "check=[]"]
    capsys.readouterr()
    same = run([*asked, "model_name=same"], frame=known)
    said = capsys.readouterr().out
    assert "the folds' scores are far too good; the holdout's is not" in said
    assert "rows that are sealed here" not in said
    other = run([*asked, "model_name=other", "holdout.seed=1"], frame=known)
    n_seen, n_rows = map(int, re.findall(r"the base was trained on (\d+) of (\d+) rows that are sealed here",
                                         capsys.readouterr().out)[0])  # fmt: skip
    assert n_rows / 2 < n_seen <= n_rows
    pages = [Path(made.report).read_text() for made in (same, other)]
    assert [f"{n_seen} of which its base was trained on" in page for page in pages] == [False, True]
    assert ["that it never saw" in page for page in pages] == [True, False]


def test_five_labelled_rows_are_refused_with_a_remedy_and_no_traceback(
    broad: Result, capsys: pytest.CaptureFixture[str]
) -> None:
    table(5, 3).assign(y=list("abcab")).to_csv("five.csv", index=False)
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", "source=file", "source.path=five.csv", *QUICK, "base=models:/broad@champion"])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith("five has 5 rows with a target, and at least 10 are needed")
    assert "Traceback" not in said


def test_what_a_table_lacks_is_said_with_the_base_as_it_was_typed() -> None:
    with pytest.raises(Refusal) as refused, naming("models:/us@champion"):
        raise Refusal("base: the table lacks 1 of the columns", "source.target=y: it is constant")
    assert refused.value.faults == (
        "base=models:/us@champion: the table lacks 1 of the columns", "source.target=y: it is constant",
    )  # fmt: skip
