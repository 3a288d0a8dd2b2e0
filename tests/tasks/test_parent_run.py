"""The run of a comparison: new each time, and none is left running for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks import parent_run, tracking
from tasks.tracking import Tracker


def begin(root: Path, comparison: str) -> Tracker:
    client, uri = tracking.connect(None, root)
    return parent_run.begin(client, uri, "some", comparison, "telco: search=a,b", {"x": "y"}, 1.7e9, "comparison", root)


def test_a_comparison_that_was_killed_ends_so_when_the_next_one_begins(tmp_path: Path) -> None:
    killed, other = begin(tmp_path / "mlruns", "a"), begin(tmp_path / "mlruns", "b")
    child = killed.client.create_run(killed.experiment_id, tags={tracking.PARENT_TAG: killed.run_id}).info.run_id
    again = begin(tmp_path / "mlruns", "a")
    status = {one: again.client.get_run(one).info.status for one in (killed.run_id, other.run_id, again.run_id, child)}
    assert status == {killed.run_id: "KILLED", other.run_id: "RUNNING", again.run_id: "RUNNING", child: "RUNNING"}


def test_a_comparison_is_told_from_other_runs_by_its_kind(tmp_path: Path) -> None:
    run = begin(tmp_path / "mlruns", "a")
    kept = run.client.get_run(run.run_id)
    assert (kept.data.tags["kind"], kept.data.tags["x"], kept.info.run_name) == ("comparison", "y", "telco: search=a,b")


def test_a_part_that_was_killed_ends_so_with_the_next_parent_and_a_failed_one_as_failed(tmp_path: Path) -> None:
    killed = begin(tmp_path / "mlruns", "a")
    part = parent_run.child(killed, "a", "never 2024-05", {"x": "y"})
    running = part.__enter__()
    with pytest.raises(ValueError, match="no"), parent_run.child(killed, "a", "never 2024-06", {}) as failed:
        raise ValueError("no")
    again = begin(tmp_path / "mlruns", "a")
    status = [again.client.get_run(one.run_id).info.status for one in (killed, running, failed)]
    assert status == ["KILLED", "KILLED", "FAILED"]
    assert again.client.get_run(running.run_id).data.tags[tracking.PARENT_TAG] == killed.run_id
