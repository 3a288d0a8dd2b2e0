"""Policies: what is done about a model when the labels of a period have come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tasks.observe import observe_table
from tasks.remedy import Decision, Last, Rules, decide
from tasks.source import Source


@dataclass(frozen=True)
class Seen:
    """What is known of a model after a period. folder: its files. rows: of the period, with the target. now: the end of
    the period. last: the policy's last remedy."""

    folder: Path
    version: int
    rows: Source
    rules: Rules
    now: datetime
    last: Last | None


Policy = Callable[[Seen], Decision]


def never(seen: Seen) -> Decision:
    return Decision("nothing", "nothing", "")


def retrain(seen: Seen) -> Decision:
    return Decision("search", "search", "every period")


def finetune(seen: Seen) -> Decision:
    return Decision("finetune", "finetune", "every period")


def monitor(seen: Seen) -> Decision:
    """As `finefold monitor` looks at a table and decides."""
    evidence = observe_table.fn(seen.folder, seen.rows, None, (), seen.rules).evidence
    return decide(evidence, seen.rules, version=str(seen.version), now=seen.now, last=seen.last)


POLICIES: Mapping[str, Policy] = {one.__name__: one for one in (never, retrain, finetune, monitor)}
