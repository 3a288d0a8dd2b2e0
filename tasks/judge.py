"""Judge: what each check finds of the final model, and whether it may become a challenger."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.check import Case, Check, Inspection
from tasks.verdict import Finding, Verdict


@task(name="judge", task_run_name="judge", cache_policy=NO_CACHE, persist_result=False)
def judge(checks: Sequence[Check | Inspection], case: Case, before: Sequence[Finding] = ()) -> Verdict:
    """The findings in the order of the checks, after those from `before` the search; without a base those alone that
    need none."""
    after = [check for check in checks if isinstance(check, Check)]
    found = [check.measure(case) for check in after if case.base is not None or not check.needs_base]
    return Verdict.of([*before, *(finding for finding in found if finding is not None)])
