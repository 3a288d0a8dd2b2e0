"""Inspect: what the table and its split show before the search, while a run can still be spared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.check import Inspection
from tasks.divided import Divided
from tasks.verdict import Finding


@task(name="inspect", task_run_name="inspect", cache_policy=NO_CACHE, persist_result=False)
def inspect(checks: Sequence[Any], divided: Divided) -> tuple[Finding, ...]:
    """The findings of those checks that need no model, in their order; no label of the holdout is read."""
    found = [check.inspect(divided) for check in checks if isinstance(check, Inspection)]
    return tuple(finding for finding in found if finding is not None)
