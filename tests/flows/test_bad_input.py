"""Bad input is refused with exit status 2 and a remedy; odd input works and is said aloud."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flows import cli
from flows.server import Server

N = 60
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "a": RNG.normal(size=N).round(4),
        "b": RNG.integers(0, 50, N),
        "c": RNG.choice(list("xyz"), N),
        "y": ["no", "yes"] * 30,
    }
)
FILE = ("source=file", "source.path=t.csv", "source.target=y")
# As small as a run can be: the stages, not the model, are tried here.
SMALL = ("search.trials=1", "search=none", "model.lightgbm.rounds=5", "folds.n_splits=2", "runner.workers=1")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    TABLE.to_csv("t.csv", index=False)


def refused(capsys: pytest.CaptureFixture[str], *overrides: str) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", *overrides])
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    assert "Traceback" not in said
    return said


def ran(capsys: pytest.CaptureFixture[str], *overrides: str) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", *FILE[:2], *SMALL, *overrides])
    out, err = capsys.readouterr()
    assert ended.value.code == 0, err
    return out


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["search.trials=0"], ["search.trials must be at least 1, got 0"]),
        (["search.trials=many"], ["search.trials must be a whole number, got 'many'"]),
        (["search.together=0"], ["search.together must be at least 1, got 0"]),
        (["search.together=2"], ["search.together=2", "lightgbm", "model=mlp", "leave it out"]),
        (["search.together=8"], ["search.together=8", "search.window=4", "search.window=8"]),
        (["search.trails=3"], ["'search.trails'", "did you mean 'search.trials'?"]),
        (["+search.trails=3"], ["'search.trails'", "did you mean 'search.trials'?"]),
        (["+sed=3"], ["'sed'", "did you mean 'seed'?"]),
        (["model=lightgmb"], ["model=lightgmb", "did you mean 'lightgbm'?"]),
        (["search=bayesain"], ["search=bayesain", "did you mean 'bayesian'?"]),
        (["problem=binry"], ["problem=binry", "did you mean 'binary'?"]),
        (["metric=roc_auk"], ["metric=roc_auk", "roc_auc"]),
        (["source.name=irs", "source=sklearn"], ["source.name=irs", "did you mean 'iris'?"]),
        (["model.lightgbm.hyperparameters.num_leafs=3"], ["num_leafs", "did you mean", "num_leaves"]),
        (["model.lightgbm._target_=os.system"], ["model.lightgbm._target_=os.system", "allow_packages=[os]"]),
        (["search=grid", "search.trials=5"], ["search.trials=5", "12 points"]),
        (["runner.workers=0"], ["runner.workers must be auto or at least 1, got 0"]),
        (["holdout.fraction=1.5"], ["holdout.fraction must be less than 1, got 1.5"]),
        (["tracking.uri=http://127.0.0.1:9"], ["tracking.uri=http://127.0.0.1:9", "start the server"]),
        (["source=sql", "source.url=postgresql://me:hush@h/d", "source.query=SELECT 1"], ["source.url", "oc.env"]),
        (["loss=focal", "loss.gamma=-1"], ["loss.gamma must be at least 0, got -1"]),
        (["loss=quantile", "loss.level=1"], ["loss.level must be less than 1, got 1"]),
        (["loss=huber", "loss.detla=1"], ["'loss.detla'", "did you mean 'loss.delta'?"]),
        (["class_weight=balancd"], ["class_weight=balancd", "class_weight=balanced"]),
        (["class_weight={yes: 0, no: x}"], ["weight of yes must be", "got 0", "weight of no must be", "got x"]),
        (["jsonoutput"], ["'jsonoutput'", "KEY=VALUE"]),
        (["--multirn"], ["--multirn", "did you mean '--multirun'?"]),
    ],
)
def test_a_fault_of_the_configuration_is_refused_before_any_work(
    capsys: pytest.CaptureFixture[str], overrides: list[str], said: list[str]
) -> None:
    message = refused(capsys, *(FILE if not overrides[-1].startswith("source") else ()), *overrides)
    assert [part for part in said if part not in message] == []
    assert "hush" not in message
    assert not list(Path("data").glob("prepared"))


def test_all_misspelt_keys_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, *FILE, "source.pat=t.csv", "+sed=3", "search.trails=3")
    assert [key for key in ("source.pat", "sed", "search.trails") if f"'{key}'" not in message] == []


def test_all_values_of_the_wrong_type_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, *FILE, "search.trials=many", "problem=binry", "seed=-1")
    assert [key for key in ("search.trials", "problem", "seed") if key not in message] == []


def test_a_prefect_server_that_does_not_answer_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert "PREFECT_API_URL=http://127.0.0.1:9/api" in refused(capsys, *FILE)


@pytest.mark.parametrize("folder", ["data", "mlruns"])
def test_a_file_where_a_folder_is_written_is_refused(capsys: pytest.CaptureFixture[str], folder: str) -> None:
    Path(folder).write_text("")
    assert f"{folder} is a file where a folder is needed" in refused(capsys, *FILE)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """`data/` as a file system of its own, 64 KiB large."""
    folder = tmp_path / "data"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small tmpfs needs root and the right to mount")
    yield folder
    if subprocess.run(["umount", str(folder)], capture_output=True).returncode != 0:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # or every later run would stumble over it
        pytest.fail(f"a file in {folder} is still open")


def test_a_read_only_data_folder_is_refused(capsys: pytest.CaptureFixture[str], mounted: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    assert "data/ can't be written: Read-only file system" in refused(capsys, *FILE)


def test_a_full_disk_is_refused_and_leaves_nothing_half_written(
    capsys: pytest.CaptureFixture[str], prefect_server: Server, mounted: Path
) -> None:
    pd.DataFrame(RNG.normal(size=(2_000, 10))).assign(y=["no", "yes"] * 1_000).to_csv("t.csv", index=False)
    assert "No space left on device" in refused(capsys, *FILE)
    assert [path.name for path in mounted.glob("prepared/*")] == []


def _write(content: object, path: str) -> None:
    if isinstance(content, pd.DataFrame):
        content.to_csv(path, index=False)
    elif isinstance(content, bytes):
        Path(path).write_bytes(content)
    elif content is None:
        Path(path).unlink(missing_ok=True)
        Path(path).mkdir()


INFINITE = TABLE.assign(y=[*TABLE["a"][:-1], np.inf])
HOLES = TABLE.assign(y=TABLE["y"].mask(TABLE.index < 3))
RARE = TABLE.assign(y=["k1", "k2"] * 28 + ["rare"] * 4)


@pytest.mark.parametrize(
    ("content", "overrides", "said"),
    [
        (TABLE, ["source.path=tt.csv"], ["source.path=tt.csv: no such file", "did you mean 't.csv'?"]),
        (TABLE, ["source.path="], ["source.path=: is empty"]),
        (None, [], ["source.path=t.csv: is a folder"]),
        (b"", [], ["source.path=t.csv: the file is empty"]),
        (b"a,b,y\n", [], ["source.path=t.csv", "header line but no rows"]),
        (RNG.bytes(5_000), [], ["source.path=t.csv: the bytes are no text"]),
        (b"PAR1" + RNG.bytes(500), [], ["source.path=t.csv", "parquet file is damaged or cut short"]),
        (b"a,b,y\n1,2,yes\n1,2,3,no\n", [], ["source.path=t.csv: line 3 has 4 fields where 3 are expected"]),
        (b"a,a,y\n1,2,yes\n3,4,no\n", [], ["the column name 'a' occurs more than once"]),
        (TABLE, ["source.target=yy"], ["source.target=yy: the table has no such column; did you mean 'y'?"]),
        (TABLE, ["source.drop=[q]", "source.key=[r]"], ["source.drop=q", "source.key=r"]),
        (TABLE, ["source.drop=[y]"], ["source.drop=y: this is the target"]),
        (HOLES, [], ["source.target=y: 3 of 60 values are missing", "source.drop_missing_target=true"]),
        (TABLE.assign(y=3), [], ["source.target=y is constant: every value is 3; choose another"]),
        (TABLE.assign(y="yes"), ["problem=binary"], ["source.target=y is constant: every value is yes"]),
        (RARE, [], ["folds.n_splits=5", "'rare' (4)", "folds=kfold"]),
        (INFINITE, [], ["source.target=y: 1 value is infinite; correct"]),
        (TABLE[["y"]], [], ["one column only (y)", "source.delimiter"]),
        (TABLE.assign(a=None, b=None, c=None), [], ["all features are missing in every row"]),
        (TABLE.assign(a=1, b=None, c="x"), [], ["no column is left to learn from", "a, c are constant", "b is empty"]),
        (TABLE, ["folds=grouped"], ["folds=grouped needs a group column", "source.group=COLUMN"]),
        (TABLE, ["folds=kfold", "folds.n_splits=100"], ["folds.n_splits=100 is too many", "rows"]),
        (TABLE, ["source.group=c"], ["folds.n_splits=5 is too many: source.group has 3 groups", "folds.n_splits=2"]),
        (TABLE, ["metric=rmse"], ["metric=rmse is for regression; this is a binary problem", "roc_auc"]),
        (TABLE, ["loss=mse"], ["loss=mse is for regression; this is a binary problem", "loss=cross_entropy"]),
        (TABLE, ["loss=quantile"], ["loss=quantile is for regression; this is a binary problem", "loss=cross_entropy"]),
        (TABLE, ["loss=focal", "model=linear"], ["loss=focal: linear can't train on it", "choose cross_entropy"]),
        (TABLE, ["class_weight={yse: 2}"], ["class_weight: y has no class 'yse'; did you mean 'yes'?", "no, yes"]),
        (TABLE.assign(y=TABLE["a"]), ["class_weight=balanced"], ["class_weight: y poses a regression", "leave it out"]),
        (TABLE, ["problem=regression"], ["problem=regression: 60 of 60 values of y are no numbers (such as 'no')"]),
        (TABLE, ["source.positive=yess"], ["source.positive=yess: no such class; did you mean 'yes'?"]),
        (TABLE, ["source.weight=c"], ["source.weight=c: weights must be numbers of at least 0, and 60 of 60"]),
        (TABLE, ["source.time=c"], ["source.time=c: 60 of 60 values can't be read as a time"]),
        (TABLE, ["base=models:/nobody@champion"], ["base=models:/nobody@champion isn't there"]),
        (TABLE, ["holdout.path=none.csv"], ["holdout.path=none.csv: no such file"]),
        (TABLE, ["holdout.path=h.csv"], ["holdout.path: the rows lack 1 of the columns", ": b; give each"]),
        (TABLE, ["holdout.path=k.csv"], ["holdout.path: 1 of its classes are not in the training table: maybe"]),
    ],
)
def test_data_that_can_not_be_learned_from_is_refused(
    capsys: pytest.CaptureFixture[str], prefect_server: Server, content: object, overrides: list[str], said: list[str]
) -> None:
    _write(content, "t.csv")
    TABLE.drop(columns="b").to_csv("h.csv", index=False)
    TABLE.assign(y="maybe").to_csv("k.csv", index=False)
    message = refused(capsys, *FILE, *overrides)
    assert [part for part in said if part not in message] == [], message


NAME = 'My [odd], "name": 1'
ODD = TABLE.rename(columns={"a": "größe: {x}", "b": "col,with 'quotes' = ?", "c": NAME, "y": "日本"})
ODD = ODD.assign(**{"q" * 300: RNG.random(N), "null": RNG.random(N), "1": RNG.random(N), "${x}": RNG.random(N)})
DAYS = pd.date_range("2020-01-01", periods=N, freq="37h")
WINDOWS = ODD.drop(columns="日本").assign(y=TABLE["y"]).to_csv(index=False, sep=";").encode("cp1252")
MANY_KINDS = TABLE.assign(
    y=HOLES["y"],
    blank=["", " ", *TABLE["a"].astype(str)[2:]],
    infinite=[*TABLE["a"][2:], np.inf, -np.inf],
    day=DAYS.strftime("%d.%m.%Y"),
    truth=RNG.random(N) < 0.5,
    mixed=[1, "a", 2.5, 3, None, 4] * 10,
    nested=['{"k": 1}', '{"k": [2, 3]}'] * 30,
)
SAID_OF_MANY_KINDS = [
    "57 rows, 12 features, binary",
    "3 rows without a target left out",
    "'blank' are missing",
    "infinite has infinities; they count as missing",
    "day is read as dates (%d.%m.%Y); its parts are used",
    "truth is read as true or false",
    "mixed mixes numbers and text (9 such as 'a')",
    "nested holds nested JSON",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "overrides", "said"),
    [
        (WINDOWS, ["source.target=y"], ["encoding cp1252", "delimiter ';'"]),
        (ODD, ["source.target=日本"], ["60 rows, 7 features, binary"]),
        (ODD, [f"source.target={NAME}", "source.drop=größe: {x}"], [f"{NAME} is text with 3 values", "6 features"]),
        (MANY_KINDS, ["source.target=y", "source.drop_missing_target=true"], SAID_OF_MANY_KINDS),
        (RARE, ["source.target=y"], ["class rare has 0 rows in the holdout; scores of it say little"]),
    ],
)
def test_odd_data_works_and_is_said_aloud(
    capsys: pytest.CaptureFixture[str], prefect_server: Server, content: object, overrides: list[str], said: list[str]
) -> None:
    _write(content, "t.csv")
    out = ran(capsys, *overrides)
    assert [part for part in said if part not in out] == [], out


@pytest.mark.slow
def test_a_column_of_50_000_levels_works(capsys: pytest.CaptureFixture[str], prefect_server: Server) -> None:
    levels = [f"L{number % 50_000}" for number in range(60_000)]
    pd.DataFrame({"d": levels, "a": RNG.random(60_000), "y": ["no", "yes"] * 30_000}).to_csv("t.csv", index=False)
    assert "d has 50,000 levels" in ran(capsys, "source.target=y")


@pytest.mark.slow
def test_a_published_holdout_is_read_with_its_slips(capsys: pytest.CaptureFixture[str], prefect_server: Server) -> None:
    held = pd.concat([TABLE.head(20), TABLE.head(10).assign(y=TABLE["y"] + ".", a=9.5, c="unseen")]).assign(more=1)
    held.to_csv("h.csv", index=False)
    out = ran(capsys, "source.target=y", "holdout.path=h.csv", "stop_on_leak=never")
    assert "10 labels of holdout.path are known only without their full stop ('no.')" in out
    assert "20 of 30 rows of holdout.path are in the training table too" in out
    assert "30 rows sealed as the holdout" in out
