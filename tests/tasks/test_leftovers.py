"""Which runs need what, and what trials and old versions left as files."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import left
import pytest

from tasks import leftovers, monitor_run, tracking

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

Store = tuple["MlflowClient", str, dict[str, str]]


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return left.place(tmp_path_factory.getbasetemp() / "left-to-list")


def test_a_run_that_failed_may_go_on_and_is_not_over(store: Store) -> None:
    client, _, ids = store
    found = {one.run_id: one for one in leftovers.made_by_runs(client)}
    assert {name: found[run_id].is_over for name, run_id in ids.items()} == {
        "old": True, "champion": True, "stopped": False, "new": True
    }  # fmt: skip
    assert (found[ids["old"]].study, found[ids["old"]].split) == (f"{'a' * 16}-1", "a" * 16)


def test_a_base_of_a_needed_version_is_needed_too(store: Store) -> None:
    client, _, _ = store
    needed, others = leftovers.versions(client)
    assert ([one.version for one in needed], [one.version for one in others]) == ([1], [2])
    client.set_model_version_tag("sold", "1", "finefold.base", "models:/sold/2")
    try:
        assert sorted(one.version for one in leftovers.versions(client)[0]) == [1, 2]
    finally:
        client.delete_model_version_tag("sold", "1", "finefold.base")


def test_a_report_of_the_monitor_may_go_when_it_is_old_and_not_among_the_newest(tmp_path: Path) -> None:
    client, uri = tracking.connect(None, tmp_path / "mlruns")
    experiment = tracking.experiment_of(client, uri, "finefold", tmp_path / "mlruns")
    now = time.time()
    for days in (60, 50, 1):
        begun = int((now - days * left.DAY) * 1000)
        run = client.create_run(experiment, start_time=begun, tags={"kind": monitor_run.KIND}, run_name=f"{days}")
        client.log_text(run.info.run_id, "seen", "monitor.html")
        client.set_terminated(run.info.run_id, "FINISHED", begun + 1)

    def old(days: float, last: int) -> list[str]:
        return [one.name.split()[0] for one in leftovers.of_looks(client, now - days * left.DAY, last)]

    assert old(30, last=0) == ["50", "60"]
    assert old(30, last=2) == ["60"]
    assert old(55, last=0) == ["60"]


def test_what_a_trial_left_is_sized_and_removed(store: Store, tmp_path: Path) -> None:
    client, _, ids = store
    runs = [one for one in leftovers.made_by_runs(client) if one.run_id == ids["champion"]]
    (stored,) = leftovers.of_trials(client, runs)
    assert stored.megabytes == pytest.approx(len(left.ERROR) / 1e6)
    folder = Path(stored.address.removeprefix("file://"))
    shutil.copytree(folder, tmp_path / "kept")
    leftovers.remove(client, stored)
    assert not folder.exists()
    assert list(leftovers.of_trials(client, runs)) == []
    shutil.copytree(tmp_path / "kept", folder)
