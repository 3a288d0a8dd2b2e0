"""Calibration: whether a probability of 80 % comes true eight times in ten, and how a prediction is decided by it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.page._blocks import Block, Facts, Points, Remark, Section, Table
from tasks.page._number import number, plural
from tasks.page._values import Values
from tasks.page.checks import evidence, parts

CHECKS = ("calibration", "decision")


def section(values: Values) -> Section | None:
    """Left out where nothing was calibrated, decided or measured."""
    found = [one for one in map(values.finding, CHECKS) if one is not None and one.numbers]
    pairs = [*_calibrated(values), *_decided(values), *_intervals(values)]
    pictures = values.pictures("reliability")
    if not (found or pairs or pictures):
        return None
    blocks: list[Block] = [Facts(pairs)] if pairs else []
    blocks += [Points(reasons)] if (reasons := [one.reason for one in found if one.reason]) else []
    for one in found:
        numbers = Table(f"{one.check.capitalize()} on the holdout", *evidence([one]), "lllrr")
        blocks.append(parts(one) if one.parts else numbers)
    blocks += pictures
    if costs := (values.of_model("decision.json") or {}).get("costs"):
        blocks.append(_costs(values, costs))
    note = "" if values.conclusion is None else values.conclusion.note
    return Section("calibration", "Calibration and decision", blocks, [Remark(note, "warn")] if note else [])


def _calibrated(values: Values) -> list[tuple[str, str]]:
    """By which curve, and what that was worth out of fold."""
    made: Mapping[str, Any] = values.of_model("calibration.json") or {}
    if not made:
        return []
    how = {
        "temperature": f"temperature {number(float(made.get('temperature', 1.0)))}; above 1 its odds were too sure",
        "isotonic": "isotonic: a monotone curve through what was seen out of fold",
    }
    kind = str(made.get("kind"))
    found = [("calibrated by", how.get(kind, kind))]
    if (drawn := values.conclusion) is not None and math.isfinite(drawn.before) and math.isfinite(drawn.after):
        found.append(("log_loss out of fold", f"{number(drawn.before)} without, {number(drawn.after)} with it"))
    return found


def _decided(values: Values) -> list[tuple[str, str]]:
    made: Mapping[str, Any] = values.of_model("decision.json") or {}
    if made.get("threshold") is not None:
        positive = str(values.prepared.problem.classes[-1])
        return [("decided by", f"{positive} where its probability is above {number(float(made['threshold']))}")]
    return [("decided by", "the class of the least expected cost")] if made else []


def _intervals(values: Values) -> list[tuple[str, str]]:
    kept: Mapping[str, Any] = values.of_model("interval.json") or {}
    return [("prediction intervals", f"by {plural(int(kept['n_rows']), 'residual')} out of fold")] if kept else []


def _costs(values: Values, costs: Sequence[Sequence[float]]) -> Table:
    names = [str(label) for label in values.prepared.problem.classes]
    rows = [[name, *(number(float(cost)) for cost in row)] for name, row in zip(names, costs, strict=False)]
    return Table("Cost of each prediction", ("true class", *names), rows, "l" + "r" * len(names))
