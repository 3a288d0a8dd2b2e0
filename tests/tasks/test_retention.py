"""What of data/ may go: nothing in use, nothing needed, nothing new."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tasks import retention
from tasks.leftovers import Made
from tasks.refusal import Refusal
from tasks.store import locked

NOW = time.time()
LETTERS = "abc"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three studies with a table and a split each, 100 days old."""
    root = tmp_path / "data"
    for letter in LETTERS:
        for kind, inner in (("studies", "1"), ("prepared", "."), ("splits", ".")):
            file = root / kind / letter / inner / "content"
            file.parent.mkdir(parents=True)
            file.write_bytes(b"1" * 1_000)
            os.utime(file, (NOW - 100 * 86_400,) * 2)
    return root


def runs(*unfinished: str) -> list[Made]:
    """The newest first: of a, of b, of c."""
    return [Made(letter, f"{letter}-1", letter, letter, "", NOW - 99 * 86_400, letter not in unfinished)
            for letter in LETTERS]  # fmt: skip


def goes(
    data: Path, made: Sequence[Made], needed: Sequence[str] = (), *, last: int = 0, days: float = 30
) -> dict[str, str]:
    """By kind, the letters of what may go."""
    found = retention.judged(retention.folders(data), made, needed, last=last, before=NOW - days * 86_400)
    free = [one for one in found if not one.kept]
    return {kind: "".join(sorted(one.path.relative_to(data / kind).parts[0] for one in free if one.kind == kind))
            for kind in ("studies", "prepared", "splits")}  # fmt: skip


def every(letters: str) -> dict[str, str]:
    return dict.fromkeys(("studies", "prepared", "splits"), letters)


def test_what_is_old_and_needed_by_nothing_may_go(data: Path) -> None:
    assert goes(data, runs()) == every("abc")
    assert goes(data, []) == every("abc")


def test_batches_of_the_monitor_and_interrupted_scorings_go_by_their_age_and_a_reference_stays(data: Path) -> None:
    old = NOW - 100 * 86_400
    for file in ("monitor/sold/3/old/summary.json", "monitor/sold/3/reference.json", "scores/0a/job.json",
                 "scores/0a/parts/0.json"):  # fmt: skip
        (data / file).parent.mkdir(parents=True, exist_ok=True)
        (data / file).write_text("1")
        os.utime(data / file, (old, old))
    (data / "monitor/sold/3/new").mkdir()
    (data / "monitor/sold/3/new/summary.json").write_text("1")
    found = retention.judged(retention.folders(data), runs(), [], last=0, before=NOW - 30 * 86_400)
    free = [one for one in found if not one.kept and one.kind in ("monitor", "scores")]
    assert [one.path.relative_to(data) for one in free] == [Path("scores/0a"), Path("monitor/sold/3/old")]
    for one in free:
        retention.remove(one)
    assert sorted(path.name for path in (data / "monitor/sold/3").iterdir()) == ["new", "reference.json"]


def test_what_was_used_lately_stays(data: Path) -> None:
    assert goes(data, runs(), days=101) == every("")
    os.utime(data / "prepared" / "a" / "content")
    assert goes(data, runs()) == {**every("abc"), "prepared": "bc"}


def test_a_run_that_ended_lately_used_its_table_then(data: Path) -> None:
    assert goes(data, runs(), days=99.5) == every("")


def test_what_the_last_runs_and_those_of_needed_models_made_stays(data: Path) -> None:
    assert goes(data, runs(), last=1) == every("bc")
    assert goes(data, runs(), needed=["b"]) == every("ac")


def test_what_an_unfinished_run_goes_on_with_stays(data: Path) -> None:
    assert goes(data, runs("c")) == every("ab")


def test_while_a_process_works_on_a_study_nothing_shared_goes(data: Path) -> None:
    with locked(data / "studies" / "a" / "1", ""):
        assert goes(data, runs()) == {"studies": "bc", "prepared": "", "splits": ""}


def test_what_is_removed_is_gone_with_its_empty_folder(data: Path) -> None:
    for one in retention.folders(data):
        retention.remove(one)
    assert [path for path in data.rglob("*") if path.is_file() and path.name != "lock"] == []
    assert not (data / "studies" / "a").exists()


def test_a_study_that_a_process_took_up_meanwhile_is_not_removed(data: Path) -> None:
    study = next(one for one in retention.folders(data) if one.kind == "studies")
    with locked(study.path, ""), pytest.raises(Refusal, match="a process works on it by now"):
        retention.remove(study)
    assert (study.path / "content").exists()
