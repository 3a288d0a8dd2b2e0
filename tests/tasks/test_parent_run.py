"""The run of a comparison: new each time, and none is left running for ever."""

from __future__ import annotations

from pathlib import Path

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
