"""finefold clean: what it lists, what it removes when asked, and what it never touches."""

from __future__ import annotations

import json
from pathlib import Path

import left
import pytest

from flows import cli
from flows.clean import clean
from tasks.refusal import Refusal


@pytest.fixture
def here(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path_factory.getbasetemp() / "left-to-list"
    left.place(place)
    monkeypatch.chdir(place)
    return place


def files(place: Path) -> list[Path]:
    return sorted(path for path in place.rglob("*") if path.is_file() and path.suffix != ".db")


def test_it_lists_what_may_go_and_touches_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(here)
    with pytest.raises(SystemExit) as ended:
        cli.main(["clean", "clean.last=1", "output=json"])
    assert ended.value.code == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    old = {f"data/{kind}/{'a' * 16}" for kind in ("prepared", "splits")} | {f"data/studies/{'a' * 16}/1"}
    assert {one["name"] for one in told["items"] if one["kind"] != "trial artifacts"} == old
    assert [one["kind"] for one in told["items"]].count("trial artifacts") == 1
    assert not any(one["is_gone"] for one in told["items"])
    assert told["kept"].keys() == {
        "a model with an alias, or the base of one", "a run that can go on", "one of the last 1 runs"
    }  # fmt: skip
    assert files(here) == before


@pytest.mark.parametrize(("overrides", "said"), [
    (["model_name=a"], "model_name=a: clean looks at clean.days"),
    (["clean.days=-1"], "clean.days"),
    (["tracking.uri=http://127.0.0.1:9"], "tracking.uri=http://127.0.0.1:9 does not answer"),
])  # fmt: skip
def test_what_it_can_not_do_is_refused(here: Path, overrides: list[str], said: str) -> None:
    with pytest.raises(Refusal) as refused:
        clean(overrides)
    assert said in str(refused.value)


def test_a_folder_without_anything_is_refused_and_stays_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refusal, match="neither data/ nor mlruns/"):
        clean()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_it_removes_what_it_listed_and_models_only_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client, _, ids = left.place(tmp_path)
    monkeypatch.chdir(tmp_path)
    listed = clean(["clean.last=1"])
    done = clean(["clean.last=1", "clean.do=true"])
    assert [one.name for one in done.items] == [one.name for one in listed.items]
    assert all(one.is_gone for one in done.items)
    assert clean(["clean.last=1"]).items == ()
    kept = {path.relative_to(tmp_path / "data").parts[1][0] for path in (tmp_path / "data").rglob("content")}
    assert kept == {"b", "c", "d"}
    assert client.get_run(ids["old"]).info.status == "FINISHED"
    assert sorted(one.version for one in client.search_model_versions("name='sold'")) == [1, 2]
    (model,) = clean(["clean.last=1", "clean.models=true"]).items
    assert (model.kind, model.name) == ("models", "sold 2")
