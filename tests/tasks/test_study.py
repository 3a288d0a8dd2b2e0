"""Studies on disk: locked, mended after a kill, and folds that are whole or absent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import Trial, TrialState, create_trial

from tasks.records import FoldScore, Proposal, TrialResult
from tasks.refusal import Refusal
from tasks.study import FoldRecord, Study, digest_of, fold_file, opened, read_fold, write_fold

DIGEST = "0123456789abcdef"
HOLD = """
import sys
from pathlib import Path
from tasks.study import opened
with opened(Path(sys.argv[1]), sys.argv[2], is_higher_better=True) as study:
    print(study.folder, flush=True)
    sys.stdin.read()
"""
WRITE = """
import sys
import numpy as np
from pathlib import Path
from tasks.records import FoldScore
from tasks.study import FoldRecord, write_fold
record = FoldRecord(FoldScore(0, 0.5, 0.6, 7, 0.1), (), np.zeros(2_000_000, np.float32))
print("begins", flush=True)
while True:
    write_fold(Path(sys.argv[1]), record)
"""


def add(study: Study, value: float | None = None) -> None:
    """One more trial, told where it has a value."""
    params, space = {"x": 0.5}, {"x": FloatDistribution(0, 1)}
    number = study.add(create_trial(state=TrialState.RUNNING, params=params, distributions=space)).number
    if value is not None:
        study.tell(result(number, value))


def result(number: int, value: float, error: str | None = None) -> TrialResult:
    return TrialResult(Proposal(number, "linear", {"x": 0.5}), (FoldScore(0, value, 0.1, None, 0.2),), error, False)


def record() -> FoldRecord:
    prediction = np.arange(6, dtype=np.float32).reshape(3, 2) / 7
    return FoldRecord(FoldScore(2, 0.91, 0.25, 40, 1.5), ((10, 0.4), (20, 0.3)), prediction, ((10, 0.7),))


def test_a_study_is_found_again_with_its_trials_and_what_it_remembers(tmp_path: Path) -> None:
    with opened(tmp_path, DIGEST, is_higher_better=True) as study:
        add(study, 0.7)
        add(study)
        study.remember("population", 5)
    with opened(tmp_path, DIGEST, is_higher_better=True) as again:
        assert [trial.state for trial in again.trials()] == [TrialState.COMPLETE, TrialState.RUNNING]
        first = again.trials()[0]
        assert (first.value, first.user_attrs["folds"]) == (0.7, [asdict(fold) for fold in result(0, 0.7).folds])
        assert (again.recall("population"), again.recall("unheard of")) == (5, None)
        assert again.folder == study.folder


def test_a_running_trial_of_an_earlier_process_can_be_told(tmp_path: Path) -> None:
    with opened(tmp_path, DIGEST, is_higher_better=False) as study:
        add(study)
    with opened(tmp_path, DIGEST, is_higher_better=False) as again:
        told = again.tell(result(0, 0.2))
        assert (told.state, told.value) == (TrialState.COMPLETE, 0.2)


def test_a_failed_trial_keeps_its_reason_and_is_never_best(tmp_path: Path) -> None:
    with opened(tmp_path, DIGEST, is_higher_better=True) as study:
        add(study, 0.3)
        add(study)
        told = study.tell(result(1, 0.9, "ValueError: no"))
        assert (told.state, told.user_attrs["error"]) == (TrialState.FAIL, "ValueError: no")
        assert study.optuna.best_trial.number == 0


def test_what_a_trial_exceeds_is_kept_and_is_what_optuna_calls_its_constraints(tmp_path: Path) -> None:
    excess = {"megabytes": 0.25, "milliseconds": -0.5}
    with opened(tmp_path, DIGEST, is_higher_better=True) as study:
        add(study)
        first = study.tell(replace(result(0, 0.7), excess=excess))
        add(study)
        Trial(study.optuna, study.trials()[1]._trial_id).set_constraint("megabytes", 0.25)  # and then it was killed
    with opened(tmp_path, DIGEST, is_higher_better=True) as again:
        assert first.constraints == excess
        assert again.told(again.trials()[0], Proposal(0, "linear", {"x": 0.5})).excess == excess
        assert again.tell(replace(result(1, 0.9), excess=excess)).constraints == excess
        assert not again.told(again.trials()[1], Proposal(1, "linear", {"x": 0.5})).is_feasible


@pytest.mark.parametrize("n_cut", [1, 20, 200])
def test_a_torn_last_record_is_cut_and_the_study_goes_on(tmp_path: Path, n_cut: int) -> None:
    with opened(tmp_path, DIGEST, is_higher_better=True) as study:
        add(study, 0.7)
        add(study)
    journal = study.folder / "journal.log"
    os.truncate(journal, journal.stat().st_size - n_cut)
    with opened(tmp_path, DIGEST, is_higher_better=True) as again:
        assert [trial.value for trial in again.trials()] == [0.7]
        add(again, 0.8)
        assert [trial.value for trial in again.trials()] == [0.7, 0.8]
    assert journal.read_bytes().endswith(b"\n")


def test_a_journal_torn_in_its_first_record_begins_anew(tmp_path: Path) -> None:
    with opened(tmp_path, DIGEST, is_higher_better=True) as study:
        pass
    os.truncate(study.folder / "journal.log", 30)
    with opened(tmp_path, DIGEST, is_higher_better=True) as again:
        add(again, 0.7)
        assert again.optuna.best_value == 0.7


def test_the_lock_of_a_killed_process_costs_no_waiting(tmp_path: Path) -> None:
    with opened(tmp_path, DIGEST, is_higher_better=True) as study:
        add(study, 0.7)
    (study.folder / "journal.log.lock").symlink_to(study.folder / "journal.log")
    begun = time.monotonic()
    with opened(tmp_path, DIGEST, is_higher_better=True) as again:
        add(again, 0.8)
    assert time.monotonic() - begun < 5  # Optuna's own grace is 30 s


def test_two_processes_cannot_open_one_study_and_a_killed_one_lets_go(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path), DIGEST], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        folder = other.stdout.readline().strip()
        with pytest.raises(Refusal, match=r"another run is working on this very search .*resume=never"):
            opened(tmp_path, DIGEST, is_higher_better=True).__enter__()
        with opened(tmp_path, DIGEST, is_higher_better=True, anew=True) as beside:
            assert str(beside.folder) != folder
        other.send_signal(signal.SIGKILL)
    with opened(tmp_path, "another", is_higher_better=True), opened(tmp_path, DIGEST, is_higher_better=True):
        pass


def test_anew_begins_a_study_beside_the_earlier_ones_which_is_then_gone_on_with(tmp_path: Path) -> None:
    with opened(tmp_path, DIGEST, is_higher_better=True) as first:
        add(first, 0.7)
    with opened(tmp_path, DIGEST, is_higher_better=True, anew=True) as second:
        assert second.trials() == []
        add(second, 0.1)
    with opened(tmp_path, DIGEST, is_higher_better=True) as third:
        assert [trial.value for trial in third.trials()] == [0.1]
    assert (first.folder.name, second.folder.name, third.folder.name) == ("1", "2", "2")


def test_a_stored_fold_is_read_back_as_it_was(tmp_path: Path) -> None:
    path = fold_file(tmp_path, Proposal(3, "linear", {"x": 0.5}), 2)
    assert read_fold(path) is None
    write_fold(path, record())
    found = read_fold(path)
    assert found is not None
    assert (found.score, found.curve, found.costs) == (record().score, record().curve, record().costs)
    np.testing.assert_array_equal(found.prediction, record().prediction)
    assert found.prediction.dtype == np.float32


def test_a_fold_is_kept_by_hyperparameters_and_not_by_trial(tmp_path: Path) -> None:
    here = fold_file(tmp_path, Proposal(3, "linear", {"x": 0.5, "y": 1}), 0)
    assert here == fold_file(tmp_path, Proposal(8, "linear", {"y": 1, "x": 0.5}), 0)
    others = [
        fold_file(tmp_path, Proposal(3, "linear", {"x": 0.5, "y": 2}), 0),
        fold_file(tmp_path, Proposal(3, "forest", {"x": 0.5, "y": 1}), 0),
        fold_file(tmp_path, Proposal(3, "linear", {"x": 0.5, "y": 1}), 1),
    ]
    assert len({here, *others}) == 4


def test_a_fold_that_can_not_be_written_is_absent_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "folds" / "0.npz"
    path.parent.mkdir()
    (path.parent / "0.npz").mkdir()  # nothing can be moved onto a folder
    with pytest.raises(OSError, match="directory"):
        write_fold(path, record())
    assert [entry.name for entry in path.parent.iterdir()] == ["0.npz"]


def test_a_kill_while_a_fold_is_written_leaves_it_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "0.npz"
    for delay in (0.0, 0.003, 0.01, 0.03):
        with subprocess.Popen([sys.executable, "-c", WRITE, str(path)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout
            assert writer.stdout.readline() == "begins\n"
            time.sleep(delay)
            writer.kill()
        found = read_fold(path)
        assert found is None or found.prediction.shape == (2_000_000,)


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": {"c": [1, 2]}}) == digest_of({"b": {"c": [1, 2]}, "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})
