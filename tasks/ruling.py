"""Ruling: whether a new version of a model takes the champion's place, and by what that was decided."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tasks.verdict import Finding, Number

Ruled = Literal["first", "promoted", "kept", "not_comparable"]


@dataclass(frozen=True)
class Ruling:
    """`first`: there is no champion, and nothing speaks against the new version.

    champion: the version that it was compared with, or would have been. reason: in one sentence. findings: each
    condition with its numbers. rows: of the holdout that it was decided on; left_out: those that one of the two may
    have been trained on. mended: what was to be said of an earlier move that had been interrupted.
    """

    state: Ruled
    reason: str
    champion: int | None = None
    findings: tuple[Finding, ...] = ()
    rows: int = 0
    left_out: int = 0
    mended: str = ""

    @property
    def promotes(self) -> bool:
        return self.state in ("first", "promoted")

    @property
    def numbers(self) -> dict[str, Number]:
        """All numbers, as `CONDITION.NAME` and `CONDITION.PART.NAME`."""
        found: dict[str, Number] = {}
        for one in self.findings:
            found |= {f"{one.check}.{name}": number for name, number in one.numbers.items()}
            for part, numbers in one.parts.items():
                found |= {f"{one.check}.{part}.{name}": number for name, number in numbers.items()}
        return found

    def said(self, name: str, number: int) -> str:
        """In one sentence, what became of the version."""
        champion = "no version is the champion" if self.champion is None else f"version {self.champion} stays champion"
        outcome = {
            "first": f"version {number} of {name} is its champion",
            "promoted": f"version {number} of {name} takes the place of version {self.champion} as champion",
            "kept": f"version {number} of {name} is not promoted, {champion}",
            "not_comparable": f"version {number} of {name} is not comparable and not promoted, {champion}",
        }
        return f"{outcome[self.state]}: {self.reason}"

    def markdown(self, name: str, number: int) -> str:
        """The sentence, and a table of all numbers."""
        lines = [self.said(name, number), ""]  # without marks: MLflow's list of versions shows it as it is written
        if self.rows:
            left_out = f"; {self.left_out:,} that one of the two may have been trained on are left out"
            seen = left_out if self.left_out else ""
            lines += [f"On {self.rows:,} rows of the holdout{seen}.", ""]
        numbers = [(f"{one.check} {one.state.replace('_', ' ')}", one) for one in self.findings]
        if numbers:
            lines += ["| condition | of | value | 95 % interval |", "|---|---|---|---|"]
        for head, one in numbers:
            every = {**one.numbers, **{f"{part} {k}": n for part, own in one.parts.items() for k, n in own.items()}}
            lines += [f"| {head} | {_cell(key)} | {value.value:.5g} | {_ends(value)} |" for key, value in every.items()]
        return "\n".join([*lines, "", *(f"- {one.check}: {one.reason}" for one in self.findings if one.reason)])

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Ruling:
        """What `asdict` gave, with None for NaN."""
        findings = tuple(
            Finding(
                one["check"],
                one["state"],
                one["reason"],
                _numbers(one["numbers"]),
                {part: _numbers(numbers) for part, numbers in one["parts"].items()},
            )
            for one in content["findings"]
        )
        return cls(**{**content, "findings": findings})


def _numbers(stored: Mapping[str, Mapping[str, float | None]]) -> dict[str, Number]:
    return {
        name: Number(**{key: math.nan if value is None else value for key, value in one.items()})
        for name, one in stored.items()
    }


def _cell(name: str) -> str:
    return name.replace("_", " ").replace("|", "\\|")


def _ends(number: Number) -> str:
    return "" if math.isnan(number.low) else f"{number.low:.5g} to {number.high:.5g}"
