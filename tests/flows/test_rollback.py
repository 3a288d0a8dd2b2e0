"""finefold rollback: one command back, in words, and refused where there is nothing to undo."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from registering import versions

from flows import cli
from flows.rollback import rollback
from tasks import aliases, tracking
from tasks.refusal import Refusal


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a registry of one name, of which version 2 took the place of version 1."""
    place = tmp_path_factory.getbasetemp() / "rollback"
    client, uri = tracking.connect(None, place / "mlruns")
    if not client.search_registered_models("name='sold'"):
        versions(client, "sold", 2)
    if aliases.standing(client, "sold").champion == 1:
        aliases.promote(client, uri, "sold", 2, 1)
    monkeypatch.chdir(place)
    return place


def test_it_says_what_it_did_and_a_second_one_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["rollback", "model_name=sold", "output=json"])
    assert ended.value.code == 0
    said, told = capsys.readouterr().out.splitlines()
    assert said == "version 2 of sold is its champion no longer; version 1 of sold is the champion"
    assert json.loads(told) == {"model_name": "sold", "champion": 1, "undone": 2, "said": said}
    with pytest.raises(SystemExit) as ended:
        cli.main(["rollback", "model_name=sold"])
    assert ended.value.code == 2
    assert "there is no previous_champion to go back to" in capsys.readouterr().err


@pytest.mark.parametrize(("overrides", "said"), [
    ([], "rollback needs the name that models are registered under: model_name=NAME"),
    (["model_name=sol"], "model_name=sol: no such model is registered; did you mean 'sold'?"),
    (["model_name=sold", "search.trials=5"], "search.trials=5: rollback looks at model_name, output, tracking.uri"),
    (["model_name=sold", "tracking.uri=http://127.0.0.1:9"], "tracking.uri=http://127.0.0.1:9 does not answer"),
    (["model_name=a/b"], "model_name=a/b"),
])  # fmt: skip
def test_what_it_can_not_undo_is_refused_with_the_key(folder: Path, overrides: list[str], said: str) -> None:
    with pytest.raises(Refusal) as refused:
        rollback(overrides)
    assert said in str(refused.value)


def test_a_folder_without_runs_is_refused_and_stays_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refusal, match=r"there is no mlruns/mlflow\.db here"):
        rollback(["model_name=sold"])
    assert list(tmp_path.iterdir()) == []


def test_it_is_listed_explained_and_runs_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["rollback", "--help"])
    assert "finefold rollback model_name=NAME" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["rollback", "model_name=sold", "--multirun"])
    assert "rollback has no flag --multirun" in capsys.readouterr().err
