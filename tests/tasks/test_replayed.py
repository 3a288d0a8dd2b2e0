"""What policies came to: means over periods, paired with the first policy, and steps that come back as they were."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.remedy import Last
from tasks.replayed import Step, read_step, standings, write


def step(policy: str, month: int, score: float, **changed: object) -> Step:
    made = Step(policy, f"2024-{month:02}", 10, score, "nothing", "", "", "", 1.5, 1, 1)
    return replace(made, **changed)  # type: ignore[arg-type]


def test_policies_are_paired_with_the_first_period_by_period() -> None:
    steps = [step("never", month, 10.0 * month) for month in (1, 2, 3)]
    steps += [step("retrain", month, 10.0 * month - 1) for month in (1, 2, 3)]
    first, other = standings(["never", "retrain"], steps)
    assert first.difference is None
    assert other.difference is not None
    assert (other.score, other.difference.value, other.difference.low) == (19.0, -1.0, -1.0)
    assert other.seconds == 4.5


def test_only_what_was_trained_counts() -> None:
    done = step("monitor", 1, 1.0, action="finetune", outcome="promoted")
    wanted = step("monitor", 2, 1.0, action="search")  # in the last period nothing is trained
    (one,) = standings(["monitor"], [done, wanted])
    assert (one.n_searches, one.n_finetunes, one.n_promoted) == (0, 1, 1)


def test_a_period_in_which_the_metric_is_not_defined_is_left_out() -> None:
    steps = [step("never", 1, math.nan), step("never", 2, 3.0), step("retrain", 1, 1.0), step("retrain", 2, 2.0)]
    first, other = standings(["never", "retrain"], steps)
    assert (first.score, other.difference and other.difference.value) == (3.0, -1.0)


def test_a_step_comes_back_as_it_was_written(tmp_path: Path) -> None:
    last = Last("finetune", "1", datetime(2024, 2, 1, tzinfo=UTC))
    made = step("monitor", 1, 1.0, last=last, action="search", outcome="failed", why="too few rows")
    write(tmp_path / "some" / "step.json", made)
    assert read_step(tmp_path / "some" / "step.json") == made
    assert read_step(tmp_path / "another.json") is None


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_no_number_comes_back_too(tmp_path: Path, score: float) -> None:
    write(tmp_path / "step.json", step("never", 1, score))
    found = read_step(tmp_path / "step.json")
    assert found is not None
    assert str(found.score) == str(score)
