"""Which runs need what, and what trials and old versions left as files."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import left
import pytest

from tasks import leftovers, monitor_run, tracking
from tasks.refusal import Refusal

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


def test_a_version_goes_with_its_files_and_those_with_the_same_files_as_a_needed_one_stay(tmp_path: Path) -> None:
    client, uri = tracking.connect(None, tmp_path / "mlruns")
    experiment = tracking.experiment_of(client, uri, "finefold", tmp_path / "mlruns")
    client.create_registered_model("sold")
    folders = []
    for number in ("1", "2"):
        model = client.create_logged_model(experiment, name=number)
        folders.append(Path(str(model.artifact_location).removeprefix("file://")))
        folders[-1].mkdir(parents=True)
        (folders[-1] / "weights").write_bytes(b"1" * 1_000)
        client.create_model_version("sold", f"models:/{model.model_id}", model_id=model.model_id)
    client.copy_model_version("models:/sold/1", "kept")
    client.set_registered_model_alias("kept", "champion", "1")
    needed, (other,) = leftovers.versions(client)
    assert {(one.name, str(one.version)) for one in needed} == {("kept", "1"), ("sold", "1")}
    stored = leftovers.of_version(client, other)
    assert (stored.name, stored.megabytes) == ("sold 2", 0.001)
    leftovers.remove(client, stored)
    assert [folder.exists() for folder in folders] == [True, False]
    assert [one.version for one in client.search_model_versions("name='sold'")] == [1]
    assert len(client.search_logged_models([experiment])) == 1


def test_what_can_not_be_removed_is_refused_by_name(store: Store) -> None:
    client, _, _ = store
    with pytest.raises(Refusal, match=r"sold 9 stays: "):
        leftovers.remove(client, leftovers.Stored("sold 9", "models:/sold/9", 0.0, None, ("sold", "9")))


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
