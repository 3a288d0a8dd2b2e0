"""Which runs share a study: those whose trials come out the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_decide import job_for

from flows.experiment import identity


@pytest.mark.parametrize(
    ("overrides", "less", "are_one"),
    [
        (["model=forest"], {"max_rows": 100}, False),
        (["model=lightgbm"], {"rounds": 100}, False),
        (["model=lightgbm"], {"final_step": 0.9}, True),  # of the final fit, and a size that nothing limits
        (["model=lightgbm", "search.megabytes=5"], {"final_step": 0.9}, False),
    ],
    ids=["rows of a tree", "rounds", "step", "step within limits"],
)
def test_what_a_budget_makes_less_is_another_study_where_it_decides_a_trial(
    overrides: list[str], less: dict[str, Any], are_one: bool, place: Path
) -> None:
    job = job_for("source=sklearn", "source.name=iris", "search.trials=2", *overrides)
    families: dict[str, Any] = dict(job.families)
    shorter = replace(job, families={name: replace(family, **less) for name, family in families.items()})
    assert (identity(job, None) == identity(shorter, None)) is are_one
