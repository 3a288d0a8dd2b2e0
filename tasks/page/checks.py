"""Checks: what the model is judged by beyond its score, each with its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tasks.page._blocks import Block, Cell, Content, Points, Remark, Section, Table, Tone
from tasks.page._number import decimals_of, fixed, interval
from tasks.page._values import Values
from tasks.verdict import Finding, Number, State

TONES: dict[State, Tone] = {"passed": "good", "failed": "bad", "not_measurable": "warn", "told": ""}
# Have a section of their own.
ELSEWHERE = ("slices", "more_labels", "calibration", "decision")
MOST_PARTS = 30


def section(values: Values) -> Section | None:
    """Left out where nothing was checked."""
    findings = values.verdict.findings
    if not findings:
        return None
    blocks: list[Block] = [Table("What the checks found", *evidence(findings), "lllrr")]
    said_here = [one for one in findings if one.reason and (one.state != "told" or one.check not in ELSEWHERE)]
    if reasons := [f"{said(one.check)}: {one.reason}" for one in said_here]:
        blocks.append(Points(reasons))
    blocks += [parts(one) for one in findings if one.parts and one.check not in ELSEWHERE]
    return Section("checks", "Checks", blocks, _remarks(findings), in_card=2)


def evidence(findings: Sequence[Finding]) -> tuple[Sequence[str], Sequence[Sequence[Content]]]:
    """Head and rows of a table with a line for each number, the check and its state before the first."""
    head = ("check", "state", "of", "value", "95 % interval")
    return head, [row for finding in findings for row in _rows(finding)]


def said(name: str) -> str:
    """The name of a check, or of one of its numbers, in words."""
    return name.replace("_", " ")


def parts(finding: Finding) -> Table:
    """A line for each part of the rows, the largest ones where there are many."""
    names = list(dict.fromkeys(name for part in finding.parts.values() for name in part))
    shown = list(finding.parts.items())
    if len(shown) > MOST_PARTS:
        kept = sorted(finding.parts, key=lambda name: -_size(finding.parts[name].get("rows")))[:MOST_PARTS]
        shown = [(name, part) for name, part in shown if name in kept]
    left = f"The {MOST_PARTS} largest of {len(finding.parts)}." if len(shown) < len(finding.parts) else ""
    rows = [[name, *(with_interval(part.get(one)) for one in names)] for name, part in shown]
    head = ("part", *(said("model" if name == "fine_tuned" else name) for name in names))
    return Table(f"{said(finding.check).capitalize()}, part by part", head, rows, "l" + "r" * len(names), left)


def with_interval(given: Number | None) -> str:
    if given is None:
        return ""
    decimals = decimals_of(given.low, given.high)
    ends = interval(given.low, given.high, decimals)
    return fixed(given.value, decimals) + (f" ({ends})" if ends else "")


def _size(rows: Number | None) -> float:
    return 0.0 if rows is None else rows.value


def _rows(finding: Finding) -> Iterator[list[Content]]:
    state = Cell(said(finding.state), TONES[finding.state])
    if not finding.numbers:
        yield [said(finding.check), state, "", "", ""]
    for n, (name, found) in enumerate(finding.numbers.items()):
        decimals = decimals_of(found.low, found.high)
        cells = said(name), fixed(found.value, decimals), interval(found.low, found.high, decimals)
        yield [said(finding.check), state, *cells] if n == 0 else ["", "", *cells]


def _remarks(findings: Sequence[Finding]) -> list[Remark]:
    return [Remark(text, tone) for one in findings if (tone := _tone(one)) and (text := _told(one))]


def _tone(one: Finding) -> Tone:
    return "warn" if one.is_suspected else "" if one.state == "passed" else TONES[one.state]


def _told(one: Finding) -> str:
    told = {"failed": "failed", "not_measurable": "could not be measured"}.get(one.state, "suspects a leak")
    return f"The check {said(one.check)} {told}{': ' * bool(one.reason)}{one.reason}"
