"""Promotion: whether the model took the champion's place, and on what evidence."""

from __future__ import annotations

from tasks.page._blocks import Block, Facts, Points, Remark, Section, Table, Text
from tasks.page._values import Values
from tasks.page.checks import TONES, evidence, said
from tasks.ruling import Ruling

STATES = {
    "first": "first version: it is the champion",
    "promoted": "promoted: it is the champion",
    "kept": "not promoted: the champion stays",
    "not_comparable": "not promoted: it can't be compared with the champion",
}


def section(values: Values) -> Section | None:
    """Left out where nothing was ruled."""
    ruling = values.promotion
    if ruling is None:
        return None
    facts = [("ruling", STATES.get(ruling.state, said(ruling.state)))]
    if ruling.champion is not None:
        facts.append(("compared with", f"version {ruling.champion}"))
    if ruling.rows:
        left = f", without {ruling.left_out:,} that the champion may have been trained on" * bool(ruling.left_out)
        facts.append(("on", f"{ruling.rows:,} rows of the holdout{left}"))
    blocks: list[Block] = [Facts(facts)]
    blocks += [Text(ruling.reason)] if ruling.reason else []
    if ruling.findings:
        blocks.append(Table("The conditions", *evidence(ruling.findings), "lllrr"))
        blocks += [Points(reasons)] if (reasons := _reasons(ruling)) else []
    remarks = [] if ruling.promotes else [Remark(f"Not promoted: {ruling.reason}", "warn")]
    return Section("promotion", "Promotion", blocks, remarks, in_card=2)


def _reasons(ruling: Ruling) -> list[str]:
    return [
        f"{said(one.check)}: {one.reason}"
        for one in ruling.findings
        if one.reason and TONES[one.state]
    ]
