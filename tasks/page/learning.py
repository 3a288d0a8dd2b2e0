"""Learning: how the winner learned round by round, and what more rows would buy."""

from __future__ import annotations

from tasks.page._blocks import Block, Points, Section
from tasks.page._values import Values
from tasks.page.checks import parts


def section(values: Values) -> Section | None:
    """Left out for a family without rounds where what more rows would buy was not measured."""
    blocks: list[Block] = [*values.pictures("learning_curve")]
    found = values.finding("more_labels")
    if found is not None and found.state == "told":
        blocks += [Points([found.reason]), parts(found), *values.pictures("more_labels")]
    return Section("learning", "Learning", blocks) if blocks else None
