"""Verdict: what the checks of a run found, as numbers and as a gate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

State = Literal["passed", "failed", "not_measurable", "told"]


@dataclass(frozen=True)
class Number:
    """A number, and the ends of its 95 % interval; NaN where it has none."""

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Finding:
    """What one check found: `told` where it judges nothing. reason: why it failed, why it can't be measured and what
    would change that, or what follows from it. numbers: by name. parts: numbers of parts of the rows, by part.
    is_suspected: told as what may be a leak."""

    check: str
    state: State
    reason: str
    numbers: Mapping[str, Number]
    parts: Mapping[str, Mapping[str, Number]] = field(default_factory=dict)
    is_suspected: bool = False


@dataclass(frozen=True)
class Verdict:
    """All findings, and whether the model may become a challenger: `failed` where a check failed, `none` where none
    judged."""

    gate: Literal["passed", "failed", "none"]
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> Verdict:
        states = {finding.state for finding in findings}
        return cls("failed" if "failed" in states else "passed" if "passed" in states else "none", tuple(findings))

    @property
    def failed(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.state == "failed")
