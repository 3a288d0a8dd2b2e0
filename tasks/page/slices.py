"""Slices: how the model does on parts of the holdout."""

from __future__ import annotations

from tasks.page._blocks import Points, Section
from tasks.page._values import Values
from tasks.page.checks import parts


def section(values: Values) -> Section | None:
    """Left out where no slice was judged."""
    found = values.finding("slices")
    if found is None or not found.parts:
        return None
    said = [Points([found.reason])] if found.reason else []
    return Section("slices", "Slices", [*said, parts(found), *values.pictures("slices")])
